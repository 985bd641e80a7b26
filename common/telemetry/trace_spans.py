"""An open span, and which one is current: without an exporter, or with whatever tracer is put in place.

`common.tracing` is what the rest of the code uses of this.
"""

import contextlib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Literal, Protocol

from common.telemetry.trace_context import RemoteParent, TraceContext, new_span_id, new_trace_id

Kind = Literal["internal", "server", "client"]
AttributeValue = str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
Attributes = Mapping[str, AttributeValue]


class Span:
    """A piece of work while it runs. This one is for tracing without an exporter: it remembers nothing but its ids."""

    __slots__ = ("_context",)

    def __init__(self, context: TraceContext) -> None:
        self._context = context

    @property
    def context(self) -> TraceContext:
        return self._context

    def set(self, name: str, value: AttributeValue) -> None:
        """Set an attribute; `name` is a constant of `common.telemetry.semconv`, any other is dropped and counted."""

    def fail(self, error_type: str) -> None:
        """Mark the work as failed. `error_type` is a name of few, as of an exception's class; never a message.

        It goes before the name of the class of an exception that leaves the block afterwards.
        """

    def hold(self) -> None:
        """Let the span outlive its `with` block, as for an answer that is streamed: whoever holds it calls `end`.

        For what `with ... as` gives, not for what `current_span` gives.
        """

    def end(self) -> None:
        """The work is done. A second call is nothing."""

    def leave(self, error: BaseException | None) -> None:
        """The block around the work is over, by `error` or in order."""


class Tracer(Protocol):
    """Opens spans and keeps which one is current. A `state` is whatever the tracer keeps in its context variable."""

    def state(self) -> object: ...

    def enter(self, state: Any) -> Any:
        """Make `state` the current one, until `leave` gets what this gives back."""
        ...

    def leave(self, token: Any) -> None: ...

    def open(
        self, name: str, kind: Kind, attributes: Attributes | None, state: Any, remote: RemoteParent | None
    ) -> tuple[Span, Any]:
        """A new span under the one of `state`, else under `remote`; and the state in which it is current."""
        ...

    def current(self) -> Span | None: ...


_current: ContextVar[Span | None] = ContextVar("span", default=None)


class IdsOnly:
    """The tracer without an exporter."""

    def state(self) -> Span | None:
        return _current.get()

    def enter(self, state: Span | None) -> Token[Span | None]:
        return _current.set(state)

    def leave(self, token: Token[Span | None]) -> None:
        # Another Context: an asynchronous generator, left to the garbage collector in a block of `with span(...)`.
        with contextlib.suppress(ValueError):
            _current.reset(token)

    def open(
        self, name: str, kind: Kind, attributes: Attributes | None, state: Span | None, remote: RemoteParent | None
    ) -> tuple[Span, Span]:
        del name, kind, attributes
        if state is not None:
            context = TraceContext(state.context.trace_id, new_span_id(), state.context.sampled)
        elif remote is not None:
            context = TraceContext(remote.trace_id, new_span_id(), bool(remote.sampled))
        else:
            context = TraceContext(new_trace_id(), new_span_id(), False)  # nobody records it
        opened = Span(context)
        return opened, opened

    def current(self) -> Span | None:
        return _current.get()


_tracer: Tracer = IdsOnly()


def active_tracer() -> Tracer:
    """The tracer that opens spans now."""
    return _tracer


def use_tracer(tracer: Tracer) -> None:
    """Have `tracer` open spans from now on; those that are open end with their own."""
    global _tracer
    _tracer = tracer


class Opening:
    """A span that opens at the beginning of a `with` block and ends with it."""

    __slots__ = ("_attributes", "_kind", "_name", "_remote", "_span", "_token", "_tracer")

    def __init__(self, name: str, kind: Kind, attributes: Attributes | None, remote: RemoteParent | None) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._remote = remote

    def begin(self, tracer: Tracer, state: object) -> tuple[Span, object]:
        """Open the span under the one of `state`, without making it current: see `Tracer.open`."""
        return tracer.open(self._name, self._kind, self._attributes, state, self._remote)

    def __enter__(self) -> Span:
        self._tracer = tracer = _tracer
        self._span, state = self.begin(tracer, tracer.state())
        self._token = tracer.enter(state)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._tracer.leave(self._token)
        self._span.leave(error)
