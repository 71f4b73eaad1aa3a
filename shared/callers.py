"""Who calls a private function: what the identity token says that Cloud Run has let in (docs/adr/0020-callers.md)."""

import base64
import re
from collections.abc import Collection, Mapping

import msgspec

TOKEN = re.compile(r"Bearer [\w-]+\.([\w-]+)\.[\w-]*", re.ASCII | re.IGNORECASE)
CLOCK_SKEW = 60.0  # seconds
UNREADABLE = "no identity token that can be read"


class TokenClaims(msgspec.Struct, frozen=True):
    """aud: whom the token is for. exp: until when, in seconds since 1970."""

    aud: str = ""
    email: str = ""
    email_verified: bool = False
    exp: float = 0.0


NONE = TokenClaims()
CLAIMS = msgspec.json.Decoder(TokenClaims)


def claims(headers: Mapping[str, str]) -> TokenClaims:
    """Of the caller's token; NONE without one that can be read.

    Cloud Run checks X-Serverless-Authorization where there is one, else Authorization, and replaces the signature by
    a fixed text: https://cloud.google.com/run/docs/troubleshooting#signature-removed
    """
    given = headers.get("X-Serverless-Authorization")
    found = TOKEN.fullmatch(headers.get("Authorization", "") if given is None else given)
    try:
        return CLAIMS.decode(base64.urlsafe_b64decode(found[1] + "==")) if found else NONE
    except (ValueError, msgspec.DecodeError, RecursionError):
        return NONE


class Callers:
    """accounts: e-mail addresses of those who may call; without any, nothing is checked. audience: of their tokens."""

    def __init__(self, accounts: Collection[str], audience: str) -> None:
        self.accounts, self.audience = accounts, audience

    def refusal(self, headers: Mapping[str, str], now: float) -> str:
        """Why a call is refused; "" if it is not. now: seconds since 1970."""
        if not self.accounts:
            return ""
        found = claims(headers)
        if found is NONE:
            return UNREADABLE
        if found.aud != self.audience:
            return "the token is for another audience"
        if not found.email_verified or found.email not in self.accounts:
            return "the token is of an account that may not call this function"
        return "the token has expired" if found.exp < now - CLOCK_SKEW else ""
