"""What a service's own address is on Cloud Run: requests go to its revisions by their shares at that time."""

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.cloud_monitoring_server import Figures

_STRIDE = 37  # of a hundred: neighbours go to different revisions
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


class TrafficSplitter:
    """Listens on 127.0.0.1 from the start of its `with` block.

    `shares` gives percents by revision, `url_of` where a revision is.
    """

    def __init__(self, shares: Callable[[], Mapping[str, int]], url_of: Callable[[str], str]) -> None:
        self._shares = shares
        self._url_of = url_of
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._taken: dict[str, list[tuple[int, float]]] = {}  # status and milliseconds, by revision
        splitter = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65_536

            def do_GET(self) -> None:
                splitter._forward(self)

            def do_POST(self) -> None:
                splitter._forward(self)

            def log_message(self, *_arguments: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def figures(self, revision: str) -> Figures:
        """What was measured of a revision so far."""
        with self._lock:
            taken = list(self._taken.get(revision, []))
        if not taken:
            return Figures(requests=0)
        times = sorted(ms for _, ms in taken)
        return Figures(
            requests=len(taken),
            server_errors=sum(status >= 500 for status, _ in taken),
            p95_ms=times[int(0.95 * (len(times) - 1))],
            p99_ms=times[int(0.99 * (len(times) - 1))],
        )

    def requests(self) -> dict[str, int]:
        """How many each revision got."""
        with self._lock:
            return {revision: len(taken) for revision, taken in self._taken.items()}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _chosen(self) -> str:
        place = next(self._numbers) * _STRIDE % 100
        for revision, percent in self._shares().items():
            if place < percent:
                return revision
            place -= percent
        raise AssertionError("the shares make less than 100")

    def _forward(self, request: BaseHTTPRequestHandler) -> None:
        revision = self._chosen()
        began = time.monotonic()
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        connection = http.client.HTTPConnection(urlsplit(self._url_of(revision)).netloc, timeout=60)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
            connection.request(request.command, request.path, body or None, headers)
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
        except (OSError, http.client.HTTPException) as error:
            status, content, kept = 502, repr(error).encode(), []
        finally:
            connection.close()
        with self._lock:
            self._taken.setdefault(revision, []).append((status, 1000 * (time.monotonic() - began)))
        request.send_response(status)
        for name, value in kept:
            request.send_header(name, value)
        request.send_header("content-length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
