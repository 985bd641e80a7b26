"""`common.telemetry.trace_spans.Tracer` where spans are recorded. Imported only when spans go somewhere.

A span of ours is a span of OpenTelemetry's API, and current in its context, so that the spans of instrumented libraries
nest in it and the other way round. What the SDK makes of it, a `ReadableSpan`, is made in the delivery's thread: in a
request's, that costs more than all the rest.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.context.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from common.telemetry import semconv
from common.telemetry.trace_cleaning import MAX_ITEMS
from common.telemetry.trace_context import RemoteParent, TraceContext, new_span_id, new_trace_id
from common.telemetry.trace_spans import Attributes, AttributeValue, Kind, Span
from common.version import VERSION

MAX_RAW_CHARACTERS = 16_384  # of a text, an attribute or an item of one, while it waits

_KINDS = {"internal": otel.SpanKind.INTERNAL, "server": otel.SpanKind.SERVER, "client": otel.SpanKind.CLIENT}
_ERROR = otel.Status(otel.StatusCode.ERROR)
_UNSET = otel.Status()
_SAMPLED = otel.TraceFlags(otel.TraceFlags.SAMPLED)
_NOT_SAMPLED = otel.TraceFlags(otel.TraceFlags.DEFAULT)
_SCOPE = InstrumentationScope("loan-collateral-check", VERSION)
_NO_RESOURCE = Resource({})  # the right one is put in when a span leaves: in the process that sends it


class RecordedSpan(Span, otel.Span):
    """A span of ours. `parent_is_remote` is None where it has no parent."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes | None,
        context: TraceContext,
        parent_id: str | None,
        parent_is_remote: bool | None,
        on_end: "Callable[[RecordedSpan], None]",
    ) -> None:
        super().__init__(context)
        self.parent_id = parent_id
        self.parent_is_remote = parent_is_remote
        self.has_failed = False
        self._name = name
        self._kind: Kind = kind
        self._attributes: dict[str, Any] = {}  # Any: what OpenTelemetry's own signature takes
        self._on_end = on_end
        self._is_held = False
        self._ended: int | None = None
        if attributes:
            for key, value in attributes.items():
                self.set(key, value)
        self._began = time.time_ns()

    def set(self, name: str, value: AttributeValue) -> None:
        if self._ended is None:
            if type(value) is str:
                self._attributes[name] = value[:MAX_RAW_CHARACTERS]
            elif isinstance(value, (list, tuple)):  # the caller may change a list afterwards
                self._attributes[name] = [_bounded(item) for item in value[:MAX_ITEMS]]
            else:
                self._attributes[name] = value

    def fail(self, error_type: str) -> None:
        if self._ended is None:
            self.has_failed = True
            self._attributes[semconv.ERROR_TYPE] = error_type

    def hold(self) -> None:
        self._is_held = True

    def end(self, end_time: int | None = None) -> None:
        if self._ended is None:
            self._ended = end_time or time.time_ns()
            self._on_end(self)

    def leave(self, error: BaseException | None) -> None:
        # Of a GeneratorExit nothing failed: whoever read from the generator has enough.
        if error is not None and not self.has_failed and not isinstance(error, GeneratorExit):
            self.fail(type(error).__name__)
        if not self._is_held:
            self.end()

    def readable(self) -> ReadableSpan:
        """The ended span as the SDK has it."""
        return ReadableSpan(
            name=self._name,
            context=self.get_span_context(),
            parent=self.parent_context(),
            resource=_NO_RESOURCE,
            attributes=self._attributes,
            kind=_KINDS[self._kind],
            status=_ERROR if self.has_failed else _UNSET,
            start_time=self._began,
            end_time=self._ended,
            instrumentation_scope=_SCOPE,
        )

    def parent_context(self) -> otel.SpanContext | None:
        if self.parent_id is None:
            return None
        return _span_context(self.context, self.parent_id, is_remote=bool(self.parent_is_remote))

    # What OpenTelemetry's API asks of a span: for instrumented code that finds this one as the current one.

    def get_span_context(self) -> otel.SpanContext:
        return _span_context(self.context, self.context.span_id, is_remote=False)

    def is_recording(self) -> bool:
        return self._ended is None

    def set_attribute(self, key: str, value: Any) -> None:
        self.set(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set(key, value)

    def set_status(self, status: otel.Status | otel.StatusCode, description: str | None = None) -> None:  # noqa: ARG002
        code = status.status_code if isinstance(status, otel.Status) else status
        self.has_failed |= code is otel.StatusCode.ERROR and self._ended is None

    def record_exception(self, exception: BaseException, *_: Any, **__: Any) -> None:
        self.fail(type(exception).__name__)  # never its message, nor its frames

    def add_event(self, *_: Any, **__: Any) -> None:
        """Events hold what nobody here has looked into: they do not leave."""

    def update_name(self, name: str) -> None:
        self._name = name


class LibrarySpan(Span):
    """Somebody else's span, where it is the current one, as our code sees it."""

    def __init__(self, span: otel.Span) -> None:
        found = span.get_span_context()
        super().__init__(TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled))
        self._span = span

    def set(self, name: str, value: AttributeValue) -> None:
        self._span.set_attribute(name, value)

    def fail(self, error_type: str) -> None:
        self._span.set_status(_ERROR)
        self._span.set_attribute(semconv.ERROR_TYPE, error_type)


def _bounded(item: object) -> object:
    return item[:MAX_RAW_CHARACTERS] if isinstance(item, str) else item


State = tuple[Context, RecordedSpan | None]
Tokens = tuple[Token[Context], Token[RecordedSpan | None]]

# OpenTelemetry's context has it too; here it is found at once, for each log line and each measure asks.
_here: ContextVar[RecordedSpan | None] = ContextVar("recorded_span", default=None)


class SdkTracer:
    """The current span is OpenTelemetry's. `ratio` decides on what no caller records; `on_start` and `on_end` are told
    of each span."""

    def __init__(
        self, ratio: float, on_start: Callable[[RecordedSpan], None], on_end: Callable[[RecordedSpan], None]
    ) -> None:
        self._bound = TraceIdRatioBased.get_bound_for_rate(ratio)
        self._on_start = on_start
        self._on_end = on_end

    def state(self) -> State:
        return otel_context.get_current(), _here.get()

    def enter(self, state: State) -> Tokens:
        return otel_context.attach(state[0]), _here.set(state[1])

    def leave(self, tokens: Tokens) -> None:
        otel_context.detach(tokens[0])
        try:  # noqa: SIM105  # contextlib.suppress costs more than all of this
            _here.reset(tokens[1])
        except ValueError:
            pass  # another Context: an asynchronous generator, left to the garbage collector in a `with span(...)`

    def open(
        self, name: str, kind: Kind, attributes: Attributes | None, state: State, remote: RemoteParent | None
    ) -> tuple[RecordedSpan, State]:
        trace_id, parent_id, is_remote, sampled = self._place(_span_in(state[0]), remote)
        context = TraceContext(trace_id, new_span_id(), sampled)
        opened = RecordedSpan(name, kind, attributes, context, parent_id, is_remote, self._on_end)
        if not sampled:
            self._on_start(opened)
        return opened, (otel.set_span_in_context(opened, state[0]), opened)

    def current(self) -> Span | None:
        """The innermost of ours; only where there is none, a library's."""
        return _here.get() or _span_in(otel_context.get_current())

    def _place(self, parent: Span | None, remote: RemoteParent | None) -> tuple[str, str | None, bool | None, bool]:
        """Trace id, parent's span id, whether that is another process's, and whether the trace is sampled."""
        if parent is not None:
            found = parent.context
            return found.trace_id, found.span_id, False, found.sampled
        if remote is not None:
            return remote.trace_id, remote.span_id, True, bool(remote.sampled) or self._is_in_ratio(remote.trace_id)
        trace_id = new_trace_id()
        return trace_id, None, None, self._is_in_ratio(trace_id)

    def _is_in_ratio(self, trace_id: str) -> bool:
        """As OpenTelemetry decides it, so that all services keep the same traces."""
        return int(trace_id[16:], 16) < self._bound


def _span_in(state: Context) -> Span | None:
    found = otel.get_current_span(state)
    if type(found) is RecordedSpan:  # `isinstance` costs as much as all the rest here: OpenTelemetry's span is an ABC
        return found
    return LibrarySpan(found) if found.get_span_context().is_valid else None


def _span_context(context: TraceContext, span_id: str, *, is_remote: bool) -> otel.SpanContext:
    flags = _SAMPLED if context.sampled else _NOT_SAMPLED
    return otel.SpanContext(int(context.trace_id, 16), int(span_id, 16), is_remote, flags)


class RandomIds(IdGenerator):
    """From the system: the SDK's own come from `random`, which a program may seed."""

    def generate_span_id(self) -> int:
        return int.from_bytes(os.urandom(8)) or 1

    def generate_trace_id(self) -> int:
        return int.from_bytes(os.urandom(16)) or 1
