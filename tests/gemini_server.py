"""A local server that speaks Gemini's wire format, so that tests run through the real client libraries.

    with GeminiServer() as server:
        server.script(Behaviour(status=503), Behaviour(text="Hello."))  # the next two calls; then sensible answers
        ... server.url, server.api_key, server.requests ...

By hand: `python -m tests.gemini_server --port 8090`, then start the product with the two variables that it prints.

Source of the shapes: https://ai.google.dev/api/generate-content, https://ai.google.dev/api/embeddings
"""

import argparse
import itertools
import json
import re
import select
import socket
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from tests.gemini_replies import embedding, reply, words

Json = dict[str, Any]
Verb = Literal["generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents", "get"]

_ROUTE = re.compile(
    r"/(?:v1|v1beta|v1beta1)/(?P<project>projects/[^/]+/locations/[^/]+/publishers/google/)?"
    r"models/(?P<model>[^/:]+)(?::(?P<verb>\w+))?"
)
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TYPES = "type.googleapis.com/google.rpc."
_PIECES = 4  # events of a streamed answer
_DIMENSIONS = 3072  # of a vector, where the request does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How one call is answered; what is left out is as usual. Byte counts are of the response's body."""

    status: int = 200
    retry_delay: str | None = None  # "2s": RetryInfo in the error
    echo_prompt: bool = False  # the error's message repeats what was asked, as real ones sometimes do
    delay_seconds: float = 0.0  # before the answer, or until the client is gone
    pause_seconds: float = 0.0  # after each event of a stream or half of a body, or until the client is gone
    cut_after_bytes: int | None = None  # the connection breaks in mid body
    body: bytes | None = None  # sent as it stands, in place of JSON
    text: str | None = None
    thought: str | None = None  # a part of the answer that is marked as thinking
    finish_reason: str | None = "STOP"
    block_reason: str | None = None  # the prompt is refused: no candidates
    usage: Mapping[str, int] | None = None  # in place of the counted words; {} leaves usageMetadata out
    thoughts_tokens: int | None = None
    cached_tokens: int | None = None
    tool_tokens: int | None = None
    model_version: str | None = "asked"  # "asked": the model of the request; None: left out
    error_after_events: int | None = None  # a stream turns into a 503 error

    def __str__(self) -> str:
        """What is out of the ordinary, for the names of tests."""
        values = ((one.name, getattr(self, one.name), one.default) for one in fields(self))
        return ",".join(f"{name}={value}" for name, value, default in values if value != default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A request that came in. `body` is {} for GET."""

    verb: str
    model: str
    path: str
    headers: Mapping[str, str]
    body: Json

    @property
    def text(self) -> str:
        """Everything that was sent, as JSON."""
        return json.dumps(self.body, ensure_ascii=False)


class GeminiServer:
    """Listens on 127.0.0.1 from the start of its `with` block; `fail_after` calls it answers 503 to each."""

    def __init__(self, *, port: int = 0, api_key: str = "local-key", fail_after: int | None = None) -> None:
        self.api_key = api_key
        self.requests: list[Recorded] = []
        self.billed: list[tuple[int, int]] = []  # prompt and candidates tokens of each answer, as Google would bill it
        self.disconnected = threading.Event()  # a client hung up before it had everything
        self._fail_after = fail_after
        self._answered = itertools.count()
        self._scripts: dict[str, deque[Behaviour]] = {}
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.gemini = self
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
        """Refuse connections from now on, and break those that are open."""
        self._http.shutdown()
        self._http.server_close()
        self._http.break_connections()

    def reset(self) -> None:
        """Forget what came in and what was scripted."""
        with self._lock:
            self.requests.clear()
            self.billed.clear()
            self._scripts.clear()
            self.disconnected.clear()

    def saw(self, *texts: str) -> list[str]:
        """Those of `texts` that stood in anything that came in (path, headers, body), in upper or lower case."""
        with self._lock:
            received = "\n".join(f"{one.path}\n{dict(one.headers)}\n{one.text}" for one in self.requests).casefold()
        return [text for text in texts if json.dumps(text, ensure_ascii=False)[1:-1].casefold() in received]

    def script(self, *behaviours: Behaviour, verb: Verb | None = None) -> None:
        """Answer the next calls (of `verb`, or of any kind that has no script of its own) like this."""
        self._scripts.setdefault(verb or "", deque()).extend(behaviours)

    def received(self, request: Recorded) -> Behaviour:
        """Keep `request`; how to answer it."""
        with self._lock:
            self.requests.append(request)
            queue = self._scripts.get(request.verb) or self._scripts.get("")
            if queue:
                return queue.popleft()
            is_over = self._fail_after is not None and next(self._answered) >= self._fail_after
            return Behaviour(status=503) if is_over else Behaviour()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    gemini: GeminiServer

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:  # Any: as in the standard library's stubs
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a fault of this server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def break_connections(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together
    disable_nagle_algorithm = True
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the standard library's name
        """Quiet."""

    def do_GET(self) -> None:
        self._answer("get")

    def do_POST(self) -> None:
        self._answer(None)

    def _answer(self, verb: str | None) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = _ROUTE.fullmatch(urlsplit(self.path).path)
        if route is None:
            return self._error(HTTPStatus.NOT_FOUND, "Not found.")
        if not self._has_key(is_vertex=route["project"] is not None):
            return None
        request = Recorded(
            verb=verb or route["verb"] or "",
            model=route["model"],
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=json.loads(body) if body else {},
        )
        return self._behave(request, self.server.gemini.received(request))

    def _has_key(self, *, is_vertex: bool) -> bool:
        """Answers as Google does where there is none, or a wrong one."""
        if is_vertex:
            if self.headers.get("Authorization", "").startswith("Bearer "):
                return True
            self._error(HTTPStatus.UNAUTHORIZED, "Request had invalid authentication credentials.")
            return False
        key = self.headers.get("x-goog-api-key")
        if key is None:
            self._error(HTTPStatus.FORBIDDEN, "Method doesn't allow unregistered callers.")
        elif key != self.server.gemini.api_key:
            info = {"@type": f"{_TYPES}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
            self._error(HTTPStatus.BAD_REQUEST, "API key not valid. Please pass a valid API key.", [info])
        return key == self.server.gemini.api_key

    def _behave(self, request: Recorded, behaviour: Behaviour) -> None:
        if behaviour.delay_seconds and self._client_leaves_within(behaviour.delay_seconds):
            return None
        if behaviour.status != HTTPStatus.OK:
            details = []
            if behaviour.retry_delay is not None:
                details = [{"@type": f"{_TYPES}RetryInfo", "retryDelay": behaviour.retry_delay}]
            message = request.text if behaviour.echo_prompt else "Scripted."
            return self._error(behaviour.status, message, details)
        if behaviour.body is not None:
            return self._send(behaviour.body, cut_after=behaviour.cut_after_bytes)
        if request.verb == "streamGenerateContent":
            return self._stream(request, behaviour)
        content = self._content(request, behaviour)
        if content is None:
            return self._error(HTTPStatus.NOT_FOUND, "Unknown method.")
        usage = content.get("usageMetadata")
        if usage:
            counts = (usage.get("promptTokenCount", 0), usage.get("candidatesTokenCount", 0))
            self.server.gemini.billed.append(counts)
        return self._send(
            json.dumps(content).encode(), cut_after=behaviour.cut_after_bytes, pause_seconds=behaviour.pause_seconds
        )

    def _content(self, request: Recorded, behaviour: Behaviour) -> Json | None:
        match request.verb:
            case "generateContent":
                return generated(request, behaviour, reply(request.body) if behaviour.text is None else behaviour.text)
            case "countTokens":
                return {"totalTokens": words(request.body)}
            case "embedContent":
                return {"embedding": self._embedding(request.body)}
            case "batchEmbedContents":
                return {"embeddings": [self._embedding(one) for one in request.body["requests"]]}
            case "get":
                return {"name": f"models/{request.model}", "displayName": request.model, "inputTokenLimit": 1_048_576}
            case _:
                return None

    def _embedding(self, body: Json) -> Json:
        settings = body.get("embedContentConfig") or body
        dimensions = settings.get("outputDimensionality") or _DIMENSIONS
        text = " ".join(part.get("text", "") for part in body["content"]["parts"])
        return {"values": embedding(text, dimensions)}

    def _stream(self, request: Recorded, behaviour: Behaviour) -> None:
        is_sse = "alt=sse" in urlsplit(self.path).query
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream" if is_sse else "application/json; charset=UTF-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        left = behaviour.cut_after_bytes
        for number, event in enumerate(_events(request, behaviour)):
            data = json.dumps(event)
            framed = f"data: {data}\r\n\r\n" if is_sse else ("[" if number == 0 else ",\r\n") + data
            left = self._write_chunk(framed.encode(), left)
            if left == 0 or self._client_leaves_within(behaviour.pause_seconds):
                return self._cut()
        if not is_sse:
            self._write_chunk(b"]", None)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
        return None

    def _write_chunk(self, data: bytes, left: int | None) -> int | None:
        """Bytes left before the cut; 0 once it is reached, None where there is none."""
        whole = data if left is None else data[:left]
        self.wfile.write(f"{len(data):x}\r\n".encode() + whole + (b"\r\n" if whole == data else b""))
        self.wfile.flush()
        return None if left is None else left - len(whole)

    def _client_leaves_within(self, seconds: float) -> bool:
        """Waits `seconds`, or until the client closes the connection, which is then noted."""
        if seconds and select.select([self.connection], [], [], seconds)[0]:
            self.server.gemini.disconnected.set()
            self.close_connection = True
            return True
        return False

    def _send(
        self, body: bytes, *, status: int = 200, cut_after: int | None = None, pause_seconds: float = 0.0
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if cut_after is not None:
            self.wfile.write(body[:cut_after])
            return self._cut()
        middle = len(body) // 2
        for half in (body[:middle], body[middle:]):
            self.wfile.write(half)
            self.wfile.flush()
            if self._client_leaves_within(pause_seconds):
                return None
        return None

    def _cut(self) -> None:
        self.wfile.flush()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _error(self, status: int, message: str, details: list[Json] | None = None) -> None:
        error = {"code": int(status), "message": message, "status": _STATUS_NAMES.get(status, "UNKNOWN")}
        self._send(json.dumps({"error": {**error, "details": details or []}}).encode(), status=status)


def _events(request: Recorded, behaviour: Behaviour) -> Iterator[Json]:
    """The answer in pieces, split at spaces; only the last one says why it ended and has complete counts."""
    text = reply(request.body) if behaviour.text is None else behaviour.text
    parts = re.findall(r"\S+\s*", text) or [""]
    size = -(-len(parts) // _PIECES)
    pieces = ["".join(parts[start : start + size]) for start in range(0, len(parts), size)]
    for number, piece in enumerate(pieces):
        if number == behaviour.error_after_events:
            yield {"error": {"code": 503, "message": "Scripted.", "status": "UNAVAILABLE"}}
            return
        written = "".join(pieces[: number + 1])  # each event counts from the start
        yield generated(request, behaviour, piece, written=written, is_last=number == len(pieces) - 1)


def generated(
    request: Recorded, behaviour: Behaviour, text: str, *, written: str | None = None, is_last: bool = True
) -> Json:
    """A `GenerateContentResponse`."""
    content: Json = {"responseId": "response-1"}
    usage = _usage(request, behaviour, text if written is None else written)
    if usage:
        content["usageMetadata"] = usage
    if behaviour.model_version is not None:
        content["modelVersion"] = request.model if behaviour.model_version == "asked" else behaviour.model_version
    if behaviour.block_reason is not None:
        return {**content, "promptFeedback": {"blockReason": behaviour.block_reason}}
    parts: list[Json] = [{"text": text}]
    if behaviour.thought is not None:
        parts.insert(0, {"text": behaviour.thought, "thought": True})
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    if is_last and behaviour.finish_reason is not None:
        candidate["finishReason"] = behaviour.finish_reason
    return {**content, "candidates": [candidate]}


def _usage(request: Recorded, behaviour: Behaviour, text: str) -> Mapping[str, int]:
    """Words as tokens; thinking is not a part of the candidates, but of the total."""
    if behaviour.usage is not None:
        return behaviour.usage
    counts = {"promptTokenCount": words(request.body), "candidatesTokenCount": len(text.split())}
    options = {
        "thoughtsTokenCount": behaviour.thoughts_tokens,
        "toolUsePromptTokenCount": behaviour.tool_tokens,
    }
    counts |= {name: value for name, value in options.items() if value is not None}
    cached = {} if behaviour.cached_tokens is None else {"cachedContentTokenCount": behaviour.cached_tokens}
    return {**counts, **cached, "totalTokenCount": sum(counts.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description="A local stand-in for the Gemini API.")
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one")
    parser.add_argument("--api-key", default="local-key")
    parser.add_argument("--fail-after", type=int, metavar="N", help="answer 503 after N calls")
    options = parser.parse_args()
    with GeminiServer(port=options.port, api_key=options.api_key, fail_after=options.fail_after) as server:
        print(f"GEMINI_BASE_URL={server.url} GEMINI_API_KEY={server.api_key}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
