"""What every SigningKey must do: the one in a file, and the one in Cloud KMS, whose API a stand-in answers."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from google.auth.exceptions import RefreshError

from shared.adapters.signing.kms import KmsKey
from shared.adapters.signing.local_file import FileKey
from shared.domain.errors import PermanentFailure, RetryLater
from shared.ports import SigningKey
from shared.setting_types import SettingError
from tests.stand_in import closed_port

VERSION = "projects/p/locations/europe-west1/keyRings/relay/cryptoKeys/evidence/cryptoKeyVersions/1"


class Kms(BaseHTTPRequestHandler):
    """Answers as Google documents the two methods; a digest of another form is refused with 400."""

    key = ec.generate_private_key(ec.SECP256R1())
    status = 200

    def do_GET(self) -> None:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = self.key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
        self._answer(f"/v1/{VERSION}/publicKey", {"pem": pem, "algorithm": "EC_SIGN_P256_SHA256"})

    def do_POST(self) -> None:
        body = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        digest = base64.b64decode(body["digest"]["sha256"], validate=True)
        signature = self.key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        self._answer(f"/v1/{VERSION}:asymmetricSign", {"signature": base64.b64encode(signature).decode()})

    def _answer(self, path: str, document: dict[str, str]) -> None:
        self.send_response(self.status if self.path == path else 404)
        self.end_headers()
        self.wfile.write(msgspec.json.encode(document))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def kms() -> Iterator[KmsKey]:
    Kms.status = 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kms)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield KmsKey(VERSION, f"http://127.0.0.1:{server.server_port}/v1", requests.Session())
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["file", "kms"])
def key(request, tmp_path) -> SigningKey:
    return request.getfixturevalue("kms") if request.param == "kms" else FileKey(tmp_path / "keys" / "evidence.pem")


def test_what_it_signs_its_public_key_verifies_and_nothing_else(key):
    public = serialization.load_pem_public_key(key.public_key().encode())
    signature = key.sign(b"statement")
    public.verify(signature, b"statement", ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"Statement", ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(
    ("status", "error"), [(503, RetryLater), (429, RetryLater), (403, PermanentFailure), (404, PermanentFailure)]
)
def test_what_cloud_kms_refuses_is_said(kms, status, error):
    Kms.status = status
    with pytest.raises(error, match=str(status)):
        kms.sign(b"statement")


def test_cloud_kms_out_of_reach_is_for_later():
    away = KmsKey(VERSION, f"http://127.0.0.1:{closed_port()}/v1", requests.Session())
    with pytest.raises(RetryLater, match="cannot be reached"):
        away.public_key()


class NoAccount:
    def request(self, *_: object, **__: object) -> None:
        raise RefreshError("the metadata server answers 404: r@p.iam.gserviceaccount.com")


def test_an_account_that_gets_no_token_is_for_later():
    with pytest.raises(RetryLater, match=r"cannot be reached \(RefreshError\)"):
        KmsKey(VERSION, session=NoAccount()).public_key()


def test_a_key_in_a_file_is_made_once_and_is_its_owners_alone(tmp_path):
    path = tmp_path / "evidence.pem"
    assert FileKey(path).public_key() == FileKey(path).public_key()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "no key", "other curve"])
def test_a_file_without_such_a_key_is_named(tmp_path, content):
    path = tmp_path / "evidence.pem"
    if content == "other curve":
        content = (
            ec.generate_private_key(ec.SECP384R1())
            .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            .decode()
        )
    path.write_text(content)
    with pytest.raises(SettingError, match="EVIDENCE_KEY"):
        FileKey(path)
