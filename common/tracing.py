"""Traces: which work one request caused, how long each part took, and what failed.

`span` is the only way our code opens a span; `trace_sync`, `trace_async` and the components' decorators use it.
Without an exporter a span is its two ids, which log lines carry and outgoing calls pass on, and OpenTelemetry is never
imported. With one, a span is a span of OpenTelemetry's API and current in its context, so that the spans of
instrumented libraries nest; `common/telemetry/trace_pipeline.py` takes it from there.
"""

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from common.telemetry.trace_context import Headers, TraceContext, remote_parent
from common.telemetry.trace_decorators import (
    Trace,
    trace_async,
    trace_critique,
    trace_database,
    trace_intent_classifier,
    trace_model,
    trace_planner,
    trace_retriever,
    trace_sync,
)
from common.telemetry.trace_spans import (
    Attributes,
    AttributeValue,
    IdsOnly,
    Kind,
    Opening,
    Span,
    active_tracer,
    use_tracer,
)

if TYPE_CHECKING:
    from common.telemetry.trace_pipeline import Pipeline

__all__ = [
    "AttributeValue", "Attributes", "Kind", "Span", "Trace", "TraceContext", "current", "current_span", "flush_due",
    "inject", "outgoing_headers", "server_span", "setup_tracing", "shutdown", "span", "tell_span", "trace_async",
    "trace_critique", "trace_database", "trace_intent_classifier", "trace_model", "trace_planner", "trace_retriever",
    "trace_sync", "use_pipeline",
]  # fmt: skip

_pipeline: "Pipeline | None" = None


def span(name: str, *, kind: Kind = "internal", attributes: Attributes | None = None) -> Opening:
    """Around a piece of work: `with span("chat gemini-3.8-flash", kind="client", attributes={...}) as open:`.

    `name` is a template of few values; what varies goes into attributes, best all of them here at the start. An
    exception that leaves marks the span as failed with the name of its class, never with its message. Do not yield
    inside the block: the span would stay current for whoever reads from the generator. Decorate the generator instead.
    """
    return Opening(name, kind, attributes, None)


def server_span(headers: Headers, name: str, attributes: Attributes | None = None) -> Opening:
    """Around the answer to one request: continues the caller's trace, of `traceparent` or `X-Cloud-Trace-Context`.

    A span that is already open here has read those headers before us: then this one nests in it.
    """
    remote, malformed = remote_parent(headers)
    if malformed:
        _count_dropped("traceparent", malformed)
    return Opening(name, "server", attributes, remote)


def current() -> TraceContext | None:
    """Where we are, for log lines and exemplars; None outside any span."""
    found = active_tracer().current()
    return None if found is None else found.context


def current_span() -> Span | None:
    """The innermost open span; None outside any."""
    return active_tracer().current()


def tell_span(attributes: Attributes) -> None:
    """Set attributes of the innermost open span; nothing outside any."""
    found = current_span()
    if found is not None:
        for name, value in attributes.items():
            found.set(name, value)


def outgoing_headers() -> dict[str, str]:
    """`traceparent` for a call that belongs to the current span; empty outside any."""
    context = current()
    return {} if context is None else {"traceparent": context.traceparent}


def inject(headers: MutableMapping[str, str]) -> None:
    """Add `outgoing_headers()` to `headers`; as httpx's event hook: `lambda request: inject(request.headers)`."""
    headers.update(outgoing_headers())


def setup_tracing(service_name: str | None = None) -> None:
    """Record spans and send them where `Settings.trace_exporter` says; the first call decides, later ones do nothing.

    `service_name` goes before the setting of that name. Nothing connects anywhere yet, and no thread starts.
    """
    from common.settings import settings
    from common.telemetry.trace_exporters import is_wanted

    if _pipeline is None and is_wanted(settings()):
        from common.telemetry.trace_pipeline import Pipeline

        pipeline = Pipeline(settings(), service_name or settings().service_name)
        pipeline.serve_libraries()
        use_pipeline(pipeline)


def use_pipeline(pipeline: "Pipeline") -> None:
    """Record spans and give them to `pipeline`; `setup_tracing` does it with the one that the settings ask for."""
    global _pipeline
    _pipeline = pipeline
    use_tracer(pipeline.tracer)


def flush_due() -> None:
    """At the end of a call: have recorded spans sent, when it is time. See `Delivery.after_call` for what it costs."""
    if _pipeline is not None:
        _pipeline.delivery.after_call()


def shutdown() -> None:
    """Send what is left, bounded, and record no more. Runs by itself when the process ends."""
    global _pipeline
    pipeline, _pipeline = _pipeline, None
    use_tracer(IdsOnly())
    if pipeline is not None:
        pipeline.close()


def _count_dropped(channel: str, count: int) -> None:
    from common.metrics import metrics_collector  # it reads the current trace from here

    metrics_collector.record_telemetry_dropped(channel, count)
