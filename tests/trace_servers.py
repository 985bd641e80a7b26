"""Receivers of spans, so that tests run through the real exporters: OTLP over HTTP and gRPC, and Google's Cloud Trace.

    with OtlpHttp() as receiver:
        ... receiver.url ...
        receiver.wait_for(3)  # spans

Each can be told to misbehave: to refuse with a status, or to take what is sent and never answer.
"""

import contextlib
import gzip
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import grpc  # type: ignore[import-untyped]  # brings no types
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]  # as well
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

LOOPBACK = "127.0.0.1"
WAIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One span, as it came over the wire."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str  # "" for a root
    kind: str
    attributes: dict[str, object]
    resource: dict[str, object]
    has_failed: bool
    status_message: str
    events: int
    duration_ms: float


class Receiver:
    """What all receivers share: the spans so far, and how to wait for more. Close it by `with`."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.bodies: list[bytes] = []  # as they came, for a search through everything that left
        self.calls = 0
        self.status: int | None = None  # of HTTP, or a gRPC code: answered to everything
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._released.set()

    def hang(self) -> None:
        """From now on take what is sent and never answer, until `release`."""
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    def take(self, spans: Sequence[Received], body: bytes) -> int | None:
        """Note one call; the status to refuse it with, or None."""
        with self._changed:
            self.calls += 1
            status = self.status
            if status is None:
                self.bodies.append(body)
                self.spans += spans
            self._changed.notify_all()
        self._released.wait()
        return status

    def wait_for(self, count: int) -> list[Received]:
        """The spans, once there are `count` at least.

        Raises:
            AssertionError: they did not come in time.
        """
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.spans) >= count, WAIT_SECONDS)
            assert came, f"{len(self.spans)} spans of {count} came: {[span.name for span in self.spans]}"
            return list(self.spans)

    def wait_for_calls(self, count: int) -> None:
        """Until that many calls came, refused and hanging ones too."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.calls >= count, WAIT_SECONDS), self.calls

    def by_name(self) -> dict[str, Received]:
        return {span.name: span for span in self.spans}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()
        self.stop()

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


class OtlpHttp(Receiver):
    """OTLP over HTTP: `url` is the base that OTLP_ENDPOINT takes."""

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def start(self) -> None:
        self._server = ThreadingHTTPServer((LOOPBACK, 0), self._handler())
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces", self.path
                status = receiver.take(_otlp_spans(ExportTraceServiceRequest.FromString(body)), body)
                with contextlib.suppress(ConnectionError):  # the client may have given up
                    self.send_response(status or 200)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Quiet."""

        return Handler


class _Grpc(Receiver):
    service: str
    method: str
    request: Any  # a protobuf or proto-plus message class
    answer: Callable[[], Any]

    def __init__(self, address: str = f"{LOOPBACK}:0") -> None:
        super().__init__()
        self._address = address

    @property
    def target(self) -> str:
        return f"{self._address.split(':')[0]}:{self._port}"

    def start(self) -> None:
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(
            self._answer, request_deserializer=bytes, response_serializer=lambda message: message.SerializeToString()
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(self.service, {self.method: handler}),)
        )
        self._port = self._server.add_insecure_port(self._address)
        self._server.start()

    def stop(self) -> None:
        self._server.stop(grace=None).wait()

    def _answer(self, body: bytes, context: grpc.ServicerContext) -> Any:
        status = self.take(self.read(body), body)
        if status is not None:
            context.abort(_CODES[status], "refused by the test")
        return type(self).answer()

    def read(self, body: bytes) -> list[Received]:
        raise NotImplementedError


_CODES = {code.value[0]: code for code in grpc.StatusCode}


class OtlpGrpc(_Grpc):
    """OTLP over gRPC: `url` is what OTLP_ENDPOINT takes."""

    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    method = "Export"
    answer = ExportTraceServiceResponse

    @property
    def url(self) -> str:
        return f"grpc://{self.target}"

    def read(self, body: bytes) -> list[Received]:
        return _otlp_spans(ExportTraceServiceRequest.FromString(body))


class CloudTrace(_Grpc):
    """Google's Cloud Trace, version 2."""

    service = "google.devtools.cloudtrace.v2.TraceService"
    method = "BatchWriteSpans"
    answer = Empty

    def read(self, body: bytes) -> list[Received]:
        from google.cloud.trace_v2.types import BatchWriteSpansRequest

        return [_cloud_span(span) for span in BatchWriteSpansRequest.deserialize(body).spans]

    @contextlib.contextmanager
    def client(self) -> Iterator[object]:
        """A real `TraceServiceClient` that speaks to this server."""
        from google.cloud.trace_v2 import TraceServiceClient
        from google.cloud.trace_v2.services.trace_service.transports import TraceServiceGrpcTransport

        with grpc.insecure_channel(self.target) as channel:
            yield TraceServiceClient(transport=TraceServiceGrpcTransport(channel=channel))


def _otlp_spans(request: ExportTraceServiceRequest) -> list[Received]:
    return [
        Received(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
            attributes=_attributes(span.attributes),
            resource=_attributes(resource.resource.attributes),
            has_failed=span.status.code == Status.STATUS_CODE_ERROR,
            status_message=span.status.message,
            events=len(span.events),
            duration_ms=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, object]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    assert kind is not None
    return getattr(value, kind)


def _cloud_span(span: Any) -> Received:  # Any: proto-plus messages have no types
    _, _project, _, trace_id, _, span_id = span.name.split("/")
    duration = span.end_time - span.start_time
    return Received(
        name=span.display_name.value,
        trace_id=trace_id,
        span_id=span_id,
        parent_id=span.parent_span_id,
        kind=span.span_kind.name.lower(),
        attributes={name: _cloud_value(value) for name, value in span.attributes.attribute_map.items()},
        resource={},
        has_failed=span.status.code != 0,
        status_message=span.status.message,
        events=len(span.time_events.time_event),
        duration_ms=duration.total_seconds() * 1000,
    )


def _cloud_value(value: Any) -> object:
    kind = type(value).pb(value).WhichOneof("value")
    return value.string_value.value if kind == "string_value" else getattr(value, kind)
