"""A private key in a PEM file, for use without Cloud KMS."""

import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.setting_types import SettingError


class FileKey:
    """Implements the port SigningKey: ECDSA on P-256 with SHA-256. A file that does not exist is made.

    Raises:
        SettingError: the file holds no such key.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        if not path.exists():
            _create(path)
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except (ValueError, TypeError, OSError) as e:
            raise SettingError(f"EVIDENCE_KEY: {path} holds no private key in PEM form ({e})") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise SettingError(f"EVIDENCE_KEY: the key in {path} is not one on the curve P-256")
        self._key = key

    def public_key(self) -> str:
        """In PEM form."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def sign(self, data: bytes) -> bytes:
        """In DER form."""
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


def _create(path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
