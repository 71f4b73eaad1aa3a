"""What Amazon's services share: each request is held against Amazon's own library and its descriptions (botocore)."""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import flask
import msgspec

from local.provider_stubs.common import desk, setting

SIGNED = re.compile(r"SignedHeaders=([^,]+)")
TOLERANCE = timedelta(minutes=5)
REGION, KEY_ID, KEY = "us-east-1", "AKIADEMO", "demo-secret"


def credentials(prefix: str) -> dict[str, str]:
    return {f"{prefix}_REGION": REGION, f"{prefix}_ACCESS_KEY_ID": KEY_ID, f"{prefix}_SECRET_ACCESS_KEY": KEY}


def signature_fault(prefix: str, service: str) -> str:
    """The name of the error, "" for a request that is signed with the account's key, now.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
    """
    given = flask.request.headers.get("Authorization", "")
    names = SIGNED.search(given)
    if not names:
        return "MissingAuthenticationTokenException"
    if f"Credential={setting(f'{prefix}_ACCESS_KEY_ID')}/" not in given:
        return "UnrecognizedClientException"
    fits = given == _by_botocore(prefix, service, names[1].split(";")) and _is_now()
    return "" if fits else "InvalidSignatureException"


def _is_now() -> bool:
    at = datetime.strptime(flask.request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return abs(at - desk().clock()) <= TOLERANCE


def _by_botocore(prefix: str, service: str, names: list[str]) -> str:
    """The Authorization that botocore gives the request, with the same headers signed."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    sent = flask.request
    signer = SigV4Auth(
        Credentials(setting(f"{prefix}_ACCESS_KEY_ID"), setting(f"{prefix}_SECRET_ACCESS_KEY")),
        service,
        setting(f"{prefix}_REGION"),
    )
    request = AWSRequest(sent.method, sent.url, {n: sent.headers.get(n, "") for n in names}, sent.get_data())
    request.context["timestamp"] = sent.headers.get("X-Amz-Date", "")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    scope = f"Credential={signer.scope(request)}, SignedHeaders={';'.join(names)}"
    return f"AWS4-HMAC-SHA256 {scope}, Signature={signature}"


def body_of(service: str, operation: str) -> tuple[dict[str, Any], str]:
    """The request's object, and what of it does not fit Amazon's description of the operation."""
    from botocore.validate import ParamValidator

    try:
        body = msgspec.json.decode(flask.request.get_data(), type=dict[str, Any])
    except msgspec.DecodeError:
        return {}, "the body is no JSON object"
    shape = _described(service).operation_model(operation).input_shape
    return body, str(ParamValidator().validate(body, shape).generate_report())


@cache
def _described(service: str) -> Any:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model(service, "service-2"), service)
