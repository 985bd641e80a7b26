"""What a span costs: without an exporter, and with one, in the thread of the request and in that of the delivery."""

import time
from collections.abc import Callable, Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from common import tracing
from common.settings import load_settings
from common.telemetry import semconv
from common.telemetry.trace_pipeline import BATCH, Pipeline
from common.tracing import current, server_span, span, use_pipeline

ATTRIBUTES: dict[str, str | int] = {
    semconv.GEN_AI_OPERATION_NAME: "chat",
    semconv.GEN_AI_REQUEST_MODEL: "gemini-3.8-flash",
    semconv.GEN_AI_USAGE_INPUT_TOKENS: 1200,
}
COUNT = BATCH - 1  # spans: none is sent while they are made
CALLER = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


class Encoding(SpanExporter):
    """Does all that an OTLP exporter does with a span, but send it."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def one_span() -> None:
    with span("chat gemini-3.8-flash", kind="client", attributes=ATTRIBUTES):
        pass


def one_request() -> None:
    with server_span(CALLER, "POST /api/query"):
        pass


def cpu_us(work: Callable[[], object], count: int, clock: Callable[[], float] = time.thread_time) -> float:
    """Microseconds of `clock` for one `work`."""
    begun = clock()
    for _ in range(count):
        work()
    return (clock() - begun) / count * 1e6


def best(work: Callable[[], object], count: int, rounds: int = 5) -> float:
    """The least of several rounds: what is more is another process's."""
    return min(cpu_us(work, count) for _ in range(rounds))


def _recorded(ratio: float) -> tuple[float, float, float]:
    """Microseconds of CPU: of a span in its own thread, of `current()`, and of a span in all threads, sent."""
    pipeline = Pipeline(load_settings(trace_sample_ratio=ratio), "bench", lambda _settings: Encoding())
    use_pipeline(pipeline)
    try:
        with span("warm"):
            asking = best(current, COUNT)
        pipeline.delivery.flush()
        whole = min(cpu_us(lambda: _send(COUNT, pipeline), 1, time.process_time) / COUNT for _ in range(3))
        return best(one_span, COUNT), asking, whole
    finally:
        tracing.shutdown()


def _send(count: int, pipeline: Pipeline) -> None:
    for _ in range(count):
        one_span()
    pipeline.delivery.flush()


def measure() -> list[tuple[str, str]]:
    rows = [
        ("a span without an exporter", f"{best(one_span, 20_000):.1f} us"),
        ("a server span without an exporter, with its header", f"{best(one_request, 20_000):.1f} us"),
    ]
    own, asking, whole = _recorded(1.0)
    held, _, _ = _recorded(0.0)
    return [
        *rows,
        ("a span with an exporter, in the request's thread", f"{own:.1f} us"),
        ("a span with an exporter, not sampled", f"{held:.1f} us"),
        ("current(), for a log line, with an exporter", f"{asking:.1f} us"),
        ("a span with an exporter, cleaned and encoded, all threads", f"{whole:.1f} us"),
    ]


if __name__ == "__main__":
    for name, value in measure():
        print(f"{name:<60} {value}")
