"""Microsoft 365, by Microsoft Graph. In MIME, which keeps our Message-ID and both bodies; in JSON a mail has one body.

Send: https://learn.microsoft.com/en-us/graph/api/user-sendmail, and what happens then:
https://learn.microsoft.com/en-us/graph/outlook-things-to-know-about-send-mail
From another address of ours: https://learn.microsoft.com/en-us/graph/outlook-send-mail-from-other-user
Errors: https://learn.microsoft.com/en-us/graph/errors, and Exchange's own codes:
https://learn.microsoft.com/en-us/exchange/client-developer/web-service-reference/responsecode
Waits: https://learn.microsoft.com/en-us/graph/throttling
Messages: https://learn.microsoft.com/en-us/graph/api/user-list-messages
Token: https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from shared.adapters.http.client import DEADLINE, Http, HttpResponse, bearer, field_text
from shared.adapters.providers.common.lookup import earliest, listed
from shared.adapters.providers.common.mail import Letterhead, as_sent
from shared.adapters.providers.common.oauth import LOGIN_URL, Grant, Tokens, client_credentials
from shared.adapters.providers.common.rules import ADDRESS, PACED, REFUSED, SETTINGS, Rule, by_status, mapping
from shared.adapters.providers.common.settings import EMAIL_FROM, EMAIL_REPLY_TO
from shared.domain.errors import Accepted, CannotSay, OutcomeUnknown
from shared.ports import Outgoing, Sought
from shared.setting_types import ProviderSpec, Values, secret, text, url

TENANT_ID = text("MICROSOFT_TENANT_ID", "the directory (tenant) id of your Microsoft 365", None)
CLIENT_ID = text("MICROSOFT_CLIENT_ID", "the application (client) id", None)
CLIENT_SECRET = secret("MICROSOFT_CLIENT_SECRET", "the value of a client secret of the application")
MAILBOX = text(
    "MICROSOFT_MAILBOX",
    "id or user principal name of the mailbox that sends, where that is not the address in `EMAIL_FROM`",
)
API_URL = url("MICROSOFT_API_URL", "another base (a national cloud's)", "https://graph.microsoft.com")
LAG = 120.0  # seconds; a message is in the mailbox before the send is answered
SPEC = ProviderSpec(
    title="Microsoft 365",
    documentation="https://learn.microsoft.com/en-us/graph/api/user-sendmail",
    sending=(TENANT_ID, CLIENT_ID, CLIENT_SECRET, MAILBOX, API_URL, LOGIN_URL, EMAIL_FROM, EMAIL_REPLY_TO),
    lag=LAG,
)
APPLICATION = "MICROSOFT_TENANT_ID, MICROSOFT_CLIENT_ID, MICROSOFT_CLIENT_SECRET"

NO_MAILBOX = SETTINGS("the sender has no mailbox there; check MICROSOFT_MAILBOX, EMAIL_FROM")
MAY_NOT = SETTINGS(
    "the application may not send from this mailbox; grant it Mail.Send, with an administrator's consent"
)
BLOCKED = SETTINGS("the mailbox may not send; see the notice in its inbox")
# `code` of an error. Others are read by their status.
REFUSALS: dict[str, Rule] = {
    "ErrorSendAsDenied": SETTINGS("the mailbox may not send as this sender; check EMAIL_FROM, or grant it Send As"),
    "ErrorAccessDenied": MAY_NOT,
    "Authorization_RequestDenied": MAY_NOT,
    "MailboxNotEnabledForRESTAPI": NO_MAILBOX,
    "MailboxNotSupportedForRESTAPI": NO_MAILBOX,
    "ErrorInvalidUser": NO_MAILBOX,
    "ErrorNonExistentMailbox": NO_MAILBOX,
    "Request_ResourceNotFound": NO_MAILBOX,
    "ResourceNotFound": NO_MAILBOX,
    "ErrorAccountSuspend": BLOCKED,
    "ErrorMessageSubmissionBlocked": BLOCKED,
    "ErrorExceededMessageLimit": BLOCKED,
    "ErrorQuotaExceeded": SETTINGS("the mailbox is full; check its Sent Items"),
    "ErrorSubmissionQuotaExceeded": PACED("the mailbox has sent as much as it may for now", after=3600),
    "ErrorInvalidRecipients": ADDRESS("the address is not valid"),
    "ErrorMessageSizeExceeded": REFUSED("the message is too large"),
}
THROTTLED = 509  # "Bandwidth Limit Exceeded"; 429 is read by all adapters
OURS = re.compile(r"<[0-9a-f]{64}@")  # how our Message-IDs begin
PAGE = 1000  # messages; the most that one answer lists


class Sender:
    """deadline: seconds of wall clock for a call. Each is two at most: a token that is refused is renewed once."""

    name, lag = "microsoft", LAG

    def __init__(self, values: Values, clock: Callable[[], datetime], deadline: float = DEADLINE) -> None:
        self._letterhead, self._clock = Letterhead(values), clock
        mailbox = quote(values[MAILBOX] or self._letterhead.sender.addr_spec)
        self._url = f"{values[API_URL]}/v1.0/users/{mailbox}"
        self._http = Http("Microsoft 365", clock, deadline, _check)
        self._asking = Http("Microsoft 365", clock, deadline)  # a refusal to tell is none of the send
        self._tokens = Tokens(_grant(values), clock, deadline)

    def send(self, message: Outgoing) -> Accepted:
        mail = self._letterhead.compose(message, self._clock())
        body = base64.b64encode(mail.as_bytes())
        answer = self._with_token(lambda login: self._http.post_text(f"{self._url}/sendMail", body, login))
        if answer.status >= 300:
            rule = by_status(answer.status, APPLICATION, "MICROSOFT_API_URL")
            raise rule.error("Microsoft 365", _code(answer) or f"HTTP {answer.status}")
        if answer.status != 202:
            raise OutcomeUnknown(f"Microsoft 365 answered {answer.status}, not 202")
        return Accepted(str(mail["Message-ID"]))

    def find(self, sought: Sought) -> Accepted | None:
        """By our Message-ID, in all folders of the mailbox. The application needs Mail.ReadBasic.All for it."""
        query = {
            "$filter": f"createdDateTime ge {earliest(sought):%Y-%m-%dT%H:%M:%SZ}",
            "$select": "internetMessageId,toRecipients",
            "$top": PAGE,
        }
        asked = f"{self._url}/messages?{urlencode(query, safe='$,', quote_via=quote)}"
        answer = self._with_token(lambda login: self._asking.get(asked, login))
        told = listed(answer, "Microsoft 365", "value")
        ids = [field_text(row.get("internetMessageId")) for row in told]
        if found := [one for one in ids if one.startswith(f"<{sought.notice}@")]:
            return Accepted(found[0])
        # One with an id of another's making may be ours all the same, had Exchange given it a new one.
        doubtful = [row for row, id_ in zip(told, ids, strict=True) if not OURS.match(id_) and _to(row, sought.to)]
        if doubtful or "@odata.nextLink" in answer.json():
            raise CannotSay("Microsoft 365 lists messages to this address without telling what they are")
        return None

    def check(self) -> None:
        """Asks for a token and sends nothing. Raises RetryLater."""
        self._tokens.current()

    def _with_token(self, call: Callable[[dict[str, str]], HttpResponse]) -> HttpResponse:
        """401 is certainly without effect, so the call is made again with a new token."""
        token = self._tokens.current()
        answer = call(bearer(token))
        if answer.status == 401:
            self._tokens.forget(token)
            answer = call(bearer(self._tokens.current()))
        return answer


def _grant(values: Values) -> Grant:
    place, scope = values[LOGIN_URL], f"{values[API_URL]}/.default"
    client = values[TENANT_ID], values[CLIENT_ID], values[CLIENT_SECRET]
    return client_credentials(place, *client, scope=scope, settings=APPLICATION)


def _check(answer: HttpResponse) -> None:
    rule = REFUSALS.get(_code(answer)) if answer.status >= 400 else None
    if rule is None and answer.status == THROTTLED:
        rule = PACED("it is asked too much")
    if rule:
        raise rule.error("Microsoft 365", _code(answer) or answer.status)


def _code(answer: HttpResponse) -> str:
    return field_text(mapping(answer.json().get("error")).get("code"))


def _to(row: Mapping[str, Any], address: str) -> bool:
    """Whether a message may be addressed so: it is, or it does not say to whom."""
    told = row.get("toRecipients")
    people = [mapping(mapping(one).get("emailAddress")) for one in told] if isinstance(told, list) else []
    addresses = [field_text(person.get("address")).lower() for person in people]
    return not addresses or as_sent(address).lower() in addresses
