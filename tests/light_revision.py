"""A small HTTP server that stands for a revision of any function, and does wrong what a test asks for."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

GOLDEN = [
    {"question": "What is the limit for raw land?", "phrases": ["65"], "documents": ["limits"]},
    {"question": "What is the capital of Australia?", "answered": False},
]
ANSWERS: dict[str, dict[str, Any]] = {  # Any: JSON
    "What is the limit for raw land?": {
        "answered": True,
        "answer": "It is 65%. [1]",
        "citations": [{"document_id": "limits"}],
    }
}
REFUSED: dict[str, Any] = {"answered": False, "answer": "My documents do not say.", "citations": []}


class LightRevision:
    """Listens on 127.0.0.1 from the start of its `with` block."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}  # by path; others are 200
        self.answers = dict(ANSWERS)
        self.asked: list[tuple[str, str | None]] = []  # path, and the API key that came along
        revision = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65_536  # head and body in one go: apart, the second would wait for an acknowledgement

            def do_GET(self) -> None:
                bodies: dict[str, dict[str, Any]] = {
                    "/openapi.json": {"openapi": "3.1.0"},
                    "/health": {"status": "healthy", "components": {"database": {"status": "unhealthy"}}},
                }
                self._reply(bodies.get(self.path, {"status": "alive"}))

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._reply(revision.answers.get(asked["message"], REFUSED))

            def _reply(self, body: dict[str, Any]) -> None:
                revision.asked.append((self.path, self.headers["x-api-key"]))
                status = revision.statuses.get(self.path, 200)
                sent = json.dumps(body if status == 200 or self.path == "/health" else {"title": "Broken"}).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_arguments: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
