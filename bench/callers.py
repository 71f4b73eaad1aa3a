"""What the check of a private function's caller costs, and what google-auth's would."""

import subprocess
import sys
import time
import timeit
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

from local.stack.identity import passed_on
from shared.callers import Callers

URL, ACCOUNT = "https://region-project.cloudfunctions.net/resolve", "relay-push@project.iam.gserviceaccount.com"
LOADED = "import flask, functions_framework, msgspec"  # what is there anyway


def main() -> None:
    ours, given = Callers((ACCOUNT,), URL), passed_on(URL, ACCOUNT)
    key, certificates = _key()
    token = jwt.encode(key, {"aud": URL, "email": ACCOUNT, "iat": time.time() - 9, "exp": time.time() + 3_600})  # type: ignore[no-untyped-call]
    print(f"claims alone       a call {_micros(lambda: ours.refusal(given, time.time())):5.0f} µs", end=", ")
    print(f"import {_import('shared.callers'):4.0f} ms")
    verified = partial(jwt.decode, token, certificates, audience=URL)
    print(f"google-auth, keys  a call {_micros(verified):5.0f} µs", end=", ")
    print(f"import {_import('google.oauth2.id_token, google.auth.transport.requests'):4.0f} ms")
    try:
        jwt.decode(f"{token.decode().rpartition('.')[0]}.SIGNATURE_REMOVED_BY_GOOGLE", certificates, audience=URL)  # type: ignore[no-untyped-call]
    except ValueError as e:
        print(f"google-auth, of a token as Cloud Run passes it on: {e}")


def _micros(call: Any) -> float:
    return min(timeit.repeat(call, number=200, repeat=7)) / 200 * 1e6


def _import(modules: str) -> float:
    """Milliseconds, the best of five."""
    code = f"{LOADED}; import time; t = time.perf_counter(); import {modules}; print(time.perf_counter() - t)"
    runs = (subprocess.check_output([sys.executable, "-W", "ignore", "-c", code], text=True) for _ in range(5))
    return min(map(float, runs)) * 1e3


def _key() -> tuple[Any, dict[str, bytes]]:
    """A signer, and its certificate as Google publishes its own."""
    key, now = rsa.generate_private_key(public_exponent=65537, key_size=2048), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    form = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, *form)
    signer = crypt.RSASigner.from_string(pem, key_id="1")  # type: ignore[no-untyped-call]
    return signer, {"1": made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)}


if __name__ == "__main__":
    main()
