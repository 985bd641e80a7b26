"""`common.telemetry.trace_spans.Tracer` over the OpenTelemetry SDK. Imported only when spans go somewhere."""

import os
from contextvars import Token

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.context.context import Context
from opentelemetry.sdk.trace.id_generator import IdGenerator

from common.telemetry import semconv
from common.telemetry.trace_context import RemoteParent, TraceContext
from common.telemetry.trace_spans import Attributes, AttributeValue, Kind, Span

_KINDS = {"internal": otel.SpanKind.INTERNAL, "server": otel.SpanKind.SERVER, "client": otel.SpanKind.CLIENT}
_ERROR = otel.Status(otel.StatusCode.ERROR)
_SAMPLED = otel.TraceFlags(otel.TraceFlags.SAMPLED)
_NOT_SAMPLED = otel.TraceFlags(otel.TraceFlags.DEFAULT)


class RecordedSpan(Span):
    """A span of the SDK, as our code sees it."""

    __slots__ = ("_has_failed", "_is_held", "_sdk")

    def __init__(self, sdk: otel.Span) -> None:
        self._sdk = sdk
        self._has_failed = False
        self._is_held = False

    @property
    def context(self) -> TraceContext:
        found = self._sdk.get_span_context()
        return TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled)

    def set(self, name: str, value: AttributeValue) -> None:
        self._sdk.set_attribute(name, value)

    def fail(self, error_type: str) -> None:
        self._has_failed = True
        self._sdk.set_status(_ERROR)
        self._sdk.set_attribute(semconv.ERROR_TYPE, error_type)

    def hold(self) -> None:
        self._is_held = True

    def end(self) -> None:
        if self._sdk.is_recording():
            self._sdk.end()

    def leave(self, error: BaseException | None) -> None:
        # Of a GeneratorExit nothing failed: whoever read from the generator has enough.
        if error is not None and not self._has_failed and not isinstance(error, GeneratorExit):
            self.fail(type(error).__name__)
        if not self._is_held:
            self.end()


class SdkTracer:
    """The current span is OpenTelemetry's."""

    def __init__(self, tracer: otel.Tracer) -> None:
        self._tracer = tracer

    def state(self) -> Context:
        return otel_context.get_current()

    def enter(self, state: Context) -> Token[Context]:
        return otel_context.attach(state)

    def leave(self, token: Token[Context]) -> None:
        otel_context.detach(token)

    def open(
        self, name: str, kind: Kind, attributes: Attributes | None, state: Context, remote: RemoteParent | None
    ) -> tuple[RecordedSpan, Context]:
        parent = state
        if remote is not None and not otel.get_current_span(state).get_span_context().is_valid:
            parent = otel.set_span_in_context(otel.NonRecordingSpan(_span_context(remote)), state)
        sdk = self._tracer.start_span(
            name, parent, _KINDS[kind], attributes, record_exception=False, set_status_on_exception=False
        )
        return RecordedSpan(sdk), otel.set_span_in_context(sdk, state)

    def current(self) -> RecordedSpan | None:
        sdk = otel.get_current_span()
        return RecordedSpan(sdk) if sdk.get_span_context().is_valid else None


def _span_context(remote: RemoteParent) -> otel.SpanContext:
    flags = _SAMPLED if remote.sampled else _NOT_SAMPLED
    return otel.SpanContext(int(remote.trace_id, 16), int(remote.span_id, 16), True, flags)


class RandomIds(IdGenerator):
    """From the system: the SDK's own come from `random`, which a program may seed."""

    def generate_span_id(self) -> int:
        return int.from_bytes(os.urandom(8)) or 1

    def generate_trace_id(self) -> int:
        return int.from_bytes(os.urandom(16)) or 1
