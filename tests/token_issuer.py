"""A local issuer of ID tokens: real RSA keys, a JWK set over HTTP, tokens that it signs.

    with token_issuer() as issuer:
        ... load_settings(google_certs_url=issuer.certs_url, google_issuers=issuer.issuer) ...
        token = issuer.token(email="scheduler@project.iam.gserviceaccount.com", audience="https://query.example")

What the tokens look like: https://cloud.google.com/docs/authentication/token-types#id
"""

import base64
import functools
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

Json = dict[str, Any]

EMAIL = "scheduler@a-project.iam.gserviceaccount.com"
AUDIENCE = "https://query-abc123.run.app"


@functools.cache
def rsa_key(number: int, bits: int = 2_048) -> rsa.RSAPrivateKey:
    """One of a few keys, each made once in this process, for that takes a while."""
    assert number >= 0
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwk(key: rsa.RSAPrivateKey, key_id: str, **other: object) -> Json:
    """The public half of `key` as a JSON Web Key, as Google's set has it."""
    made = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": key_id, "alg": "RS256", "use": "sig", **other}


def b64(content: bytes | Json) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class TokenIssuer:
    """Signs with its newest key, and publishes those in `published`. `fetches` counts requests for the set.

    `status`, `body` and `location` change how the set is answered; `hold` lets requests wait until it is set.
    """

    issuer = "https://accounts.example"

    def __init__(self) -> None:
        self.certs_url = ""  # once it serves
        self.key_id = "key-0"
        self.key = rsa_key(0)
        self.published: list[Json] = [jwk(self.key, self.key_id)]
        self.fetches = 0
        self.status = 200
        self.body: bytes | None = None
        self.location: str | None = None
        self.hold = threading.Event()
        self.hold.set()

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish it beside the ones before."""
        number = len(self.published)
        self.key_id, self.key = f"key-{number}", rsa_key(number)
        self.published.append(jwk(self.key, self.key_id))

    def claims(self, **other: object) -> Json:
        """Of a token that is good for an hour; `other` go before, and those that are None are left out."""
        now = int(time.time())
        usual = {
            "iss": self.issuer, "aud": AUDIENCE, "azp": "1078", "sub": "1078", "email": EMAIL, "email_verified": True,
            "iat": now, "exp": now + 3600,
        }  # fmt: skip
        return {name: value for name, value in {**usual, **other}.items() if value is not None}

    def token(self, *, audience: str = AUDIENCE, **claims: object) -> str:
        return self.signed(self.claims(**{"aud": audience, **claims}))

    def signed(self, claims: Mapping[str, object], **header: object) -> str:
        """A token with `claims`, signed by the newest key; `header` goes before the usual one."""
        return self.signed_text(b64({"alg": "RS256", "kid": self.key_id, "typ": "JWT", **header}), b64(dict(claims)))

    def signed_text(self, header: str, payload: str) -> str:
        """As `signed`, of two texts that may be anything."""
        signer = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
        return f"{header}.{payload}.{b64(signer.sign(f'{header}.{payload}'.encode(), self.key))}"

    def confused(self) -> str:
        """A token whose HMAC is made with the public key: the oldest trick against libraries that trust `alg`."""
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = f"{b64({'alg': 'HS256', 'kid': self.key_id, 'typ': 'JWT'})}.{b64(self.claims())}"
        return f"{text}.{b64(hmac.digest(public, text.encode(), sha256))}"

    def handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetches += 1
                issuer.hold.wait(30)
                body = issuer.body if issuer.body is not None else json.dumps({"keys": issuer.published}).encode()
                self.send_response(issuer.status)
                if issuer.location is not None:
                    self.send_header("Location", issuer.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Tests count fetches; nobody reads this."""

        return Handler


@contextmanager
def token_issuer() -> Iterator[TokenIssuer]:
    """An issuer that serves its key set until the end of the block."""
    issuer = TokenIssuer()
    with ThreadingHTTPServer(("127.0.0.1", 0), issuer.handler()) as server:
        issuer.certs_url = f"http://127.0.0.1:{server.server_address[1]}/certs"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield issuer
        finally:
            issuer.hold.set()
            server.shutdown()
