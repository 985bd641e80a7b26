"""A fake of Google Cloud Storage's JSON API: buckets in memory, by the requests that gcsfs makes.

It knows what is tested here: upload in one request, with the condition that there is no such object; download, listing,
metadata and deletion. Source: https://cloud.google.com/storage/docs/json_api/v1/objects
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class GoogleStorage:
    """A running server. `buckets` are what it holds; `authorizations` are the headers that requests signed in with."""

    url: str = ""
    buckets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    authorizations: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    storage: GoogleStorage

    def do_GET(self) -> None:
        bucket, key, query = self._address()
        objects = self.storage.buckets.get(bucket)
        if objects is None:
            self._refuse(404)
        elif not key:
            self._answer(_listing(bucket, objects, query.get("prefix", ""), query.get("delimiter", "")))
        elif key not in objects:
            self._refuse(404)
        elif query.get("alt") == "media":
            self._send(200, "application/octet-stream", objects[key])
        else:
            self._answer(_metadata(bucket, key, objects[key]))

    def do_POST(self) -> None:
        bucket, _, query = self._address()
        head, content = self._parts()
        with self.storage.lock:
            objects = self.storage.buckets.get(bucket)
            is_taken = objects is not None and query.get("ifGenerationMatch") == "0" and head["name"] in objects
            if objects is not None and not is_taken:
                objects[head["name"]] = content
        if objects is None or is_taken:
            self._refuse(412 if is_taken else 404)
        else:
            self._answer(_metadata(bucket, head["name"], content))

    def do_DELETE(self) -> None:
        bucket, key, _ = self._address()
        with self.storage.lock:
            found = self.storage.buckets.get(bucket, {}).pop(key, None)
        self._refuse(404) if found is None else self._send(204, "text/plain", b"")

    def log_message(self, *_: object) -> None:
        """Nothing: a test reads what it needs from `GoogleStorage`."""

    def _address(self) -> tuple[str, str, dict[str, str]]:
        """Bucket, key and query of /storage/v1/b/BUCKET/o/KEY, which may stand behind /upload or /download."""
        self.storage.authorizations.append(self.headers.get("Authorization", ""))
        parts = urlsplit(self.path)
        _, _, rest = parts.path.partition("/b/")
        bucket, _, key = rest.partition("/o")
        return (
            unquote(bucket),
            unquote(key.removeprefix("/")),
            {name: all_[0] for name, all_ in parse_qs(parts.query).items()},
        )

    def _parts(self) -> tuple[dict[str, str], bytes]:
        """Metadata and content of an upload. The content is cut out: a parser of mail might touch its bytes."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        boundary = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {self.headers['Content-Type']}\n\n".encode())
        line = f"--{boundary.get_boundary()}".encode()
        _, head, content, *_ = body.split(line)
        return json.loads(head.partition(b"\n\n")[2]), content.partition(b"\n\n")[2].removesuffix(b"\n")

    def _refuse(self, status: int) -> None:
        message = {"error": {"code": status, "message": "refused by the fake"}}
        self._send(status, "application/json", json.dumps(message).encode())

    def _answer(self, value: object) -> None:
        self._send(200, "application/json", json.dumps(value).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _metadata(bucket: str, key: str, content: bytes) -> dict[str, str]:
    md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    common = {"kind": "storage#object", "bucket": bucket, "name": key, "generation": "1"}
    return {**common, "size": str(len(content)), "md5Hash": md5}


def _listing(bucket: str, objects: dict[str, bytes], prefix: str, delimiter: str) -> dict[str, object]:
    items, prefixes = [], set()
    for key, content in sorted(objects.items()):
        if not key.startswith(prefix):
            continue
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if found:
            prefixes.add(prefix + head + delimiter)
        else:
            items.append(_metadata(bucket, key, content))
    return {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)}


@contextmanager
def google_storage(*buckets: str) -> Iterator[GoogleStorage]:
    """A server with these empty buckets, until the end of the block."""
    storage = GoogleStorage(buckets={name: {} for name in buckets})
    handler = type("Handler", (_Handler,), {"storage": storage})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        storage.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield storage
        finally:
            server.shutdown()
            thread.join()
