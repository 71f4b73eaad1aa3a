"""Amazon Web Services: the settings of an account, signed calls, and what errors are called.

Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
Errors of all services: https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import reduce
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shared.adapters.http.client import Http, HttpResponse, field_text
from shared.adapters.providers.common.rules import PACED, SETTINGS, Rule, by_status
from shared.setting_types import Probe, Setting, Values, secret, text, url

ALGORITHM = "AWS4-HMAC-SHA256"
REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
NAME = re.compile(r"\w{1,99}(/\w{1,99})?")
BUSY = re.compile(r"Throttl|TooManyRequests")
# Not all services refuse these with 401 or 403.
OF_CREDENTIALS = re.compile(
    r"AccessDenied|ExpiredToken|InvalidClientTokenId|UnrecognizedClient|InvalidSignature|SignatureDoesNotMatch"
    r"|IncompleteSignature|MissingAuthenticationToken|NotAuthorized|OptInRequired"
)


class Signer(msgspec.Struct, frozen=True):
    """service: its name in the scope of a signature."""

    key_id: str
    key: str
    region: str
    service: str

    def signed(self, method: str, url: str, headers: Mapping[str, str], body: bytes, at: datetime) -> dict[str, str]:
        """The headers, with those that prove the request. url: its path holds nothing that would have to be encoded."""
        time = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{time[:8]}/{self.region}/{self.service}/aws4_request"
        covered = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        covered |= {"host": urlsplit(url).netloc, "x-amz-date": time}
        request = _canonical(method, url, covered, body)
        signature = self._signature(scope, "\n".join((ALGORITHM, time, scope, _hash(request.encode()))))
        proof = f"Credential={self.key_id}/{scope}, SignedHeaders={';'.join(sorted(covered))}, Signature={signature}"
        return {**headers, "X-Amz-Date": time, "Authorization": f"{ALGORITHM} {proof}"}

    def _signature(self, scope: str, words: str) -> str:
        start = f"AWS4{self.key}".encode()
        key = reduce(lambda key, part: hmac.digest(key, part.encode(), "sha256"), scope.split("/"), start)
        return hmac.new(key, words.encode(), "sha256").hexdigest()


def _canonical(method: str, url: str, headers: Mapping[str, str], body: bytes) -> str:
    parts, names = urlsplit(url), sorted(headers)
    query = "&".join(sorted(parts.query.split("&"), key=lambda pair: pair.partition("=")))
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    return "\n".join((method, parts.path or "/", query, lines, ";".join(names), _hash(body)))


def _hash(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


class AwsAccount:
    """The settings of one service.

    Args:
        prefix: begins its variables.
        host: begins the address of its API.
        service: its name in signatures.
    """

    def __init__(self, prefix: str, host: str, service: str) -> None:
        self.region = _region(prefix)
        self.key_id = text(f"{prefix}_ACCESS_KEY_ID", "the access key of an IAM user", None)
        self.key = secret(f"{prefix}_SECRET_ACCESS_KEY", "the secret of that access key")
        self.url = url(f"{prefix}_API_URL", "another base; empty: the region's")
        self.settings: tuple[Setting[Any], ...] = (self.region, self.key_id, self.key, self.url)
        self.credentials = f"{self.key_id.name}, {self.key.name}"
        self.probe = Probe(url=self._who, headers=self._proof_of_who, secret=self.key)
        self._host, self._service = host, service

    def base(self, values: Values) -> str:
        return values[self.url] or f"https://{self._host}.{domain(values[self.region])}"

    def signer(self, values: Values, service: str = "") -> Signer:
        """service: another than its own."""
        return Signer(values[self.key_id], values[self.key], values[self.region], service or self._service)

    def rule(self, answer: HttpResponse, known: Mapping[str, Rule]) -> Rule:
        """What a refusal means. known: what the service's own errors do, by `error_of` or its first part."""
        name = error_of(answer)
        if found := known.get(name) or known.get(name.partition("/")[0]):
            return found
        if BUSY.search(name):
            return PACED("too many requests")
        if OF_CREDENTIALS.search(name):
            return SETTINGS(f"it refuses the credentials; check {self.credentials}")
        return by_status(answer.status, self.credentials, self.url.name)

    def _who(self, values: Values) -> str:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: it needs no permission."""
        return f"https://sts.{domain(values[self.region])}/?Action=GetCallerIdentity&Version=2011-06-15"

    def _proof_of_who(self, values: Values) -> dict[str, str]:
        return self.signer(values, "sts").signed("GET", self._who(values), {}, b"", datetime.now(UTC))


class AwsApi:
    """Signed calls to one address. http: of that service."""

    def __init__(self, url: str, signer: Signer, http: Http, clock: Callable[[], datetime]) -> None:
        self._url, self._signer, self._http, self._clock = url, signer, http, clock

    def post(self, body: object, headers: Mapping[str, str]) -> HttpResponse:
        """Raises as `Http.post_json` does."""
        data = msgspec.json.encode(body)
        proven = self._signer.signed("POST", self._url, headers, data, self._clock())
        return self._http.post_json(self._url, msgspec.Raw(data), proven)


def domain(region: str) -> str:
    """What the names of a region's hosts end with."""
    return f"{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def error_of(answer: HttpResponse) -> str:
    """The name of an error, and after a slash its reason where it has one: "ConflictException/RESOURCE_NOT_ACTIVE".

    "" for what is no such name: it becomes a part of error texts.
    """
    body = answer.json()
    name = answer.headers.get("x-amzn-errortype") or field_text(body.get("__type"))
    reason = field_text(body.get("Reason"))
    found = name.partition(":")[0].rpartition("#")[2] + (f"/{reason}" if reason else "")
    return found if NAME.fullmatch(found) else ""


def _region(prefix: str) -> Setting[str]:
    return Setting(
        name=f"{prefix}_REGION",
        meaning="the AWS region that sends",
        parse=_checked,
        wanted="a region like us-east-1",
        default=None,
    )


def _checked(region: str) -> str:
    if not REGION.fullmatch(region):
        raise ValueError
    return region
