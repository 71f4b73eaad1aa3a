"""A key in Cloud KMS, which signs without leaving it: an asymmetric key with the algorithm EC_SIGN_P256_SHA256.

REST instead of Google's client library, which is one more package for two calls. Source:
https://docs.cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys.cryptoKeyVersions
"""

import base64
import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.adapters.gcp.calls import authorized
from shared.domain.errors import PermanentFailure, RetryLater

if TYPE_CHECKING:
    from requests import Session

URL = "https://cloudkms.googleapis.com/v1"
SCOPE = "https://www.googleapis.com/auth/cloudkms"
DEADLINE = 10.0  # seconds


class KmsKey:
    """Implements the port SigningKey.

    Args:
        name: the key version, `projects/.../cryptoKeyVersions/1`.
        url: base of the API.
        session: sends the calls; None uses the account that the process runs as.
    """

    def __init__(self, name: str, url: str = URL, session: "Session | None" = None) -> None:
        self.name, self._url, self._given = name, url, session

    def public_key(self) -> str:
        """In PEM form. Raises RetryLater, PermanentFailure."""
        return str(self._call("GET", f"{self.name}/publicKey")["pem"])

    def sign(self, data: bytes) -> bytes:
        """In DER form. Raises RetryLater, PermanentFailure."""
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        answer = self._call("POST", f"{self.name}:asymmetricSign", json={"digest": {"sha256": digest}})
        return base64.b64decode(answer["signature"])

    @cached_property
    def _session(self) -> "Session":
        return self._given or authorized(SCOPE)

    def _call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        import requests
        from google.auth.exceptions import GoogleAuthError

        try:
            answer = self._session.request(method, f"{self._url}/{path}", timeout=DEADLINE, **body)
        except (requests.RequestException, GoogleAuthError) as e:
            raise RetryLater(f"Cloud KMS cannot be reached ({type(e).__name__})") from e
        if answer.status_code >= 500 or answer.status_code == 429:
            raise RetryLater(f"Cloud KMS answered {answer.status_code}")
        if answer.status_code != 200:
            raise PermanentFailure(f"Cloud KMS refuses the key in EVIDENCE_KEY ({answer.status_code})")
        document: dict[str, Any] = answer.json()
        return document
