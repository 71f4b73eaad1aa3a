"""A stand-in for AWS End User Messaging SMS."""

from typing import NoReturn

import flask

from local.provider_stubs.amazon import body_of, credentials, signature_fault
from local.provider_stubs.common import E164, Account, keep, refuse, setting
from shared.domain.model import ChannelName

blueprint = flask.Blueprint("aws", __name__)
ACCOUNTS = (
    Account(ChannelName.SMS, "AWS_SMS_API_URL", credentials=credentials("AWS_SMS") | {"AWS_SMS_FROM": "+15005550006"}),
)
NAMESPACE = "com.amazonaws.pinpointsmsvoicev2#"


@blueprint.post("/")
def send_text_message() -> flask.typing.ResponseReturnValue:
    """https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html"""
    if fault := signature_fault("AWS_SMS", "sms-voice"):
        _error(fault)
    target = "PinpointSMSVoiceV2.SendTextMessage"
    if flask.request.headers.get("X-Amz-Target") != target or flask.request.mimetype != "application/x-amz-json-1.0":
        _error("UnknownOperationException")
    body, wrong = body_of("pinpoint-sms-voice-v2", "SendTextMessage")
    if wrong or not body.get("MessageBody", "").strip():
        _error("ValidationException", Reason="INVALID_REQUEST", Message=wrong)
    to = body["DestinationPhoneNumber"]
    if not E164.fullmatch(to):
        fields = [{"Name": "DestinationPhoneNumber", "Message": "not a valid phone number"}]
        _error("ValidationException", Reason="FIELD_VALIDATION_FAILED", Fields=fields)
    if body.get("OriginationIdentity") != setting("AWS_SMS_FROM"):
        _error("ResourceNotFoundException", ResourceType="phone-number")
    return {"MessageId": keep("sms", to, body["MessageBody"], notice=body.get("Context", {}).get("notice", ""))}


def _error(name: str, **more: object) -> NoReturn:
    """All refusals are a 400; their name is in the body."""
    refuse(400, {"__type": f"{NAMESPACE}{name}", **more})
