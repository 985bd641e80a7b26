"""A local server that speaks Cloud KMS's wire format, so that tests run through the real client library.

    with KmsServer() as server:
        server.script(Behaviour(status=503))  # the next call; then sensible answers
        ... CloudKmsKey(server.key, server.url), server.requests ...

It encrypts with AES-256-GCM under a key of its own for each version. By hand: `python -m tests.kms_server --port 8091`,
then start the product with the two variables that it prints.

Source of the shapes: https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys
"""

import argparse
import base64
import binascii
import json
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google_crc32c import value as sum_of

Json = dict[str, Any]

KEY = "projects/acme/locations/europe-west3/keyRings/lending/cryptoKeys/data"

_ROUTE = re.compile(r"/v1/(?P<key>projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+):(?P<verb>\w+)")
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How one call is answered; what is left out is as usual."""

    status: int = 200
    flipped: bool = False  # a bit of what is answered changes on the way, its sum does not
    unverified: bool = False  # the sums that came were not looked at
    disabled: bool = False  # the version of the key that it takes
    other_key: bool = False  # the answer names another key
    silent: bool = False  # the connection is closed without a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A request that came in."""

    verb: str
    key: str
    headers: Mapping[str, str]
    body: Json


class Refused(Exception):
    """What the API refuses, with its status."""

    def __init__(self, status: int, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = _error(status, message, name)


class KmsServer:
    """Listens on 127.0.0.1 from the start of its `with` block; it has one key, of one version at first."""

    def __init__(self, *, port: int = 0, key: str = KEY) -> None:
        self.key = key
        self.requests: list[Recorded] = []
        self._versions: list[AESGCM | None] = [AESGCM(AESGCM.generate_key(256))]
        self._script: deque[Behaviour] = deque()
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.kms = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def script(self, *behaviours: Behaviour) -> None:
        """Answer the next calls like this."""
        self._script.extend(behaviours)

    def rotate(self) -> None:
        """Encrypt with a new version from now on; what older ones encrypted is still decrypted."""
        self._versions.append(AESGCM(AESGCM.generate_key(256)))

    def destroy_old_versions(self) -> None:
        """Decrypt nothing any more that another version than the newest encrypted."""
        self._versions[:-1] = [None] * (len(self._versions) - 1)

    def received(self, request: Recorded) -> Behaviour:
        """Keep `request`; how to answer it."""
        with self._lock:
            self.requests.append(request)
            return self._script.popleft() if self._script else Behaviour()

    def answer(self, request: Recorded, behaviour: Behaviour) -> Json:
        """The body of the answer.

        Raises:
            Refused: with the status and words of the API.
        """
        if behaviour.status != HTTPStatus.OK:
            raise Refused(behaviour.status, f"scripted; it was asked for {json.dumps(request.body)}")
        if behaviour.disabled:
            raise Refused(400, f"{self.key}/cryptoKeyVersions/1 is not enabled.", "FAILED_PRECONDITION")
        if request.key != self.key:
            raise Refused(404, f"CryptoKey {request.key} not found.")
        if request.verb == "encrypt":
            return self._encrypt(request.body, behaviour)
        if request.verb == "decrypt":
            return self._decrypt(request.body, behaviour)
        raise Refused(404, "Method not found.")

    def _encrypt(self, body: Json, behaviour: Behaviour) -> Json:
        plain, context = _data(body, "plaintext"), _data(body, "additionalAuthenticatedData")
        nonce = os.urandom(_NONCE_BYTES)
        version, newest = len(self._versions), self._versions[-1]
        assert newest is not None
        ciphertext = bytes([version]) + nonce + newest.encrypt(nonce, plain, context)
        key = f"{self.key}-other" if behaviour.other_key else self.key
        return {
            "name": f"{key}/cryptoKeyVersions/{version}",
            "ciphertext": _text(ciphertext, behaviour),
            "ciphertextCrc32c": str(sum_of(ciphertext)),
            "verifiedPlaintextCrc32c": "plaintextCrc32c" in body and not behaviour.unverified,
            "verifiedAdditionalAuthenticatedDataCrc32c": "additionalAuthenticatedDataCrc32c" in body,
            "protectionLevel": "SOFTWARE",
        }

    def _decrypt(self, body: Json, behaviour: Behaviour) -> Json:
        sealed, context = _data(body, "ciphertext"), _data(body, "additionalAuthenticatedData")
        try:
            version = self._versions[sealed[0] - 1]
            if version is None:
                raise Refused(400, f"{self.key}/cryptoKeyVersions/{sealed[0]} is destroyed.", "FAILED_PRECONDITION")
            plain = version.decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], context)
        except (IndexError, ValueError, InvalidTag):
            raise Refused(400, "Decryption failed: verify that 'name' refers to the correct CryptoKey.") from None
        is_newest = version is self._versions[-1]
        return {
            "plaintext": _text(plain, behaviour),
            "plaintextCrc32c": str(sum_of(plain)),
            "usedPrimary": is_newest,
            "protectionLevel": "SOFTWARE",
        }


def _data(body: Json, name: str) -> bytes:
    """A field of bytes, whose sum must fit where one came along."""
    try:
        data = base64.b64decode(body.get(name, ""), validate=True)
    except binascii.Error:
        raise Refused(400, f"Invalid value at '{name}' (TYPE_BYTES)") from None
    given = body.get(f"{name}Crc32c")
    if given is not None and int(given) != sum_of(data):
        raise Refused(400, f"The checksum in field {name}_crc32c did not match the data in field {name}.")
    return data


def _text(data: bytes, behaviour: Behaviour) -> str:
    sent = bytes([data[0] ^ 1]) + data[1:] if behaviour.flipped else data
    return base64.b64encode(sent).decode()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    kms: KmsServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; the second would wait for the client's word
    server: _Http

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        route = _ROUTE.fullmatch(urlsplit(self.path).path)
        if route is None:
            self._send(404, _error(404, "Not Found"))
            return
        request = Recorded(verb=route["verb"], key=route["key"], headers=dict(self.headers), body=body)
        behaviour = self.server.kms.received(request)
        if behaviour.silent:
            self.close_connection = True
            return
        try:
            self._send(200, self.server.kms.answer(request, behaviour))
        except Refused as refused:
            self._send(refused.status, refused.body)

    def _send(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  its name in the standard library
        """Nothing: requests are in `KmsServer.requests`."""


def _error(status: int, message: str, name: str | None = None) -> Json:
    return {"error": {"code": status, "message": message, "status": name or _STATUS_NAMES[status]}}


def main() -> None:
    parser = argparse.ArgumentParser(description="Cloud KMS on this machine, for one key that is gone when it ends.")
    parser.add_argument("--port", type=int, default=8091)
    with KmsServer(port=parser.parse_args().port) as server:
        print(f"KMS_KEY={server.key}\nKMS_ENDPOINT={server.url}")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
