"""Spans of a test, by name, as they would leave the process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from common import tracing
from common.settings import load_settings
from common.telemetry.trace_pipeline import Pipeline


class RecordedSpans(SpanExporter):
    """An exporter that keeps what it gets; with `works` set to False it gives up on every batch."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.batches: list[int] = []
        self.works = True
        self.is_shut_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.batches.append(len(spans))
        if not self.works:
            return SpanExportResult.FAILURE
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.is_shut_down = True

    def by_name(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.spans}

    def finish(self) -> dict[str, ReadableSpan]:
        """End tracing, so that every span is here."""
        tracing.shutdown()
        return self.by_name()


@contextmanager
def recording(**settings: object) -> Iterator[RecordedSpans]:
    """Record spans within the block; `settings` are fields of `Settings`."""
    exporter = RecordedSpans()
    tracing.use_pipeline(Pipeline(load_settings(**settings), "tested", lambda _settings: exporter))
    try:
        yield exporter
    finally:
        tracing.shutdown()
