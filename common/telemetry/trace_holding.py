"""Spans of traces that are not sampled, kept until their part in this process is over: one error, and all are sent.

Bounded by spans and by age, so that work that never ends holds no memory; what falls out is counted.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, StatusCode

MAX_OPEN = 4096  # spans
MAX_ENDED = 4096  # spans, over all traces
MAX_ENDED_IN_ONE = 512  # spans
MAX_AGE_SECONDS = 900.0


@dataclass(slots=True)
class _Part:
    """What one trace does in this process, under one local root."""

    root: int  # span id
    begun: float  # monotonic seconds
    ended: list[ReadableSpan] = field(default_factory=list)
    has_failed: bool = False
    is_over: bool = False


class Holding:
    """Holds ended spans by their local root. Safe to use from several threads. `clock` gives monotonic seconds."""

    def __init__(self, on_dropped: Callable[[int], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_dropped = on_dropped
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget all; also in a forked child, where another thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._open: dict[int, _Part] = {}  # by span id, oldest first
        self._count = 0  # ended spans held

    def opened(self, span: SpanContext, parent: SpanContext | None) -> None:
        """A span began under `parent`: a local one, a remote one, or none."""
        now = self._clock()
        with self._lock:
            part = self._open.get(parent.span_id) if parent is not None and not parent.is_remote else None
            self._open[span.span_id] = part or _Part(root=span.span_id, begun=now)
            too_many = self._let_go(now)
        self._tell(too_many)

    def ended(self, span: ReadableSpan) -> list[ReadableSpan]:
        """The spans that are to be sent, now that `span` has ended."""
        context = span.get_span_context()
        assert context is not None  # every ended span has one
        has_failed = span.status.status_code is StatusCode.ERROR
        with self._lock:
            part = self._open.pop(context.span_id, None)
            if part is None:  # let go meanwhile
                part = _Part(root=context.span_id, begun=0.0)
            part.has_failed |= has_failed
            part.is_over |= part.root == context.span_id
            dropped = 0
            if part.is_over or (self._count < MAX_ENDED and len(part.ended) < MAX_ENDED_IN_ONE):
                part.ended.append(span)
                self._count += 1
            else:
                dropped = 1
            kept = self._take(part) if part.is_over else []
        self._tell(dropped)
        return kept

    def _take(self, part: _Part) -> list[ReadableSpan]:
        """Empty a part that is over: its spans where one failed. Spans that end later are asked for themselves."""
        spans, part.ended = part.ended, []
        self._count -= len(spans)
        return spans if part.has_failed else []

    def _let_go(self, now: float) -> int:
        """Forget the oldest open span where there are too many, or it is too old: how many ended ones went with it."""
        dropped = 0
        while self._open:
            oldest = next(iter(self._open))
            part = self._open[oldest]
            if len(self._open) <= MAX_OPEN and now - part.begun <= MAX_AGE_SECONDS:
                break
            del self._open[oldest]
            part.is_over = True
            dropped += len(part.ended)
            self._count -= len(part.ended)
            part.ended = []
        return dropped

    def _tell(self, dropped: int) -> None:
        if dropped:
            self._on_dropped(dropped)
