"""What metrics cost: a record, an exposition, a push, and the end of a call where the gateway is well or is not."""

import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from common.metrics import MetricsCollector, exposition, kept_trace_id, metrics_collector
from common.telemetry.delivery import Delivery
from common.telemetry.metrics_push import Gateway, Pusher
from common.tracing import server_span
from tests import servers

ROUNDS, PER_ROUND = 9, 4_000
SILENT_SECONDS = 0.5
TRACEPARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def microseconds(action: Callable[[], object], *, times: int = PER_ROUND) -> float:
    """Microseconds for one `action`, in the round that other work on this machine disturbed least."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(times):
            action()
        rounds.append((time.perf_counter() - begun) / times * 1e6)
    return min(rounds)


def record_request(collector: MetricsCollector = metrics_collector) -> None:
    collector.record_http_request("query", "/api/query", "POST", 200, 0.012)


def record_model_call(collector: MetricsCollector = metrics_collector) -> None:
    collector.record_model_call(
        model="gemini-3.8-flash", provider="gcp.gemini", operation="chat", seconds=0.7, outcome="ok",
        response_model="gemini-3.8-flash", input_tokens=900, cached_tokens=500, output_tokens=120, thinking_tokens=80,
        cost_usd=Decimal("0.0015"),
    )  # fmt: skip


def in_progress() -> None:
    with metrics_collector.in_progress("query"):
        pass


def fill(collector: MetricsCollector) -> None:
    """The series of a busy instance that serves all functions."""
    for function in ("query", "documents", "health", "cost_report", "budget_alert", "email_sync"):
        for route in ("/live", "/metrics", f"/api/{function}", f"/api/{function}/{{id}}"):
            for status in (200, 400, 404, 500):
                collector.record_http_request(function, route, "GET", status, 0.012)
    for number in range(12):
        collector.record_intent_classification(f"intent-{number}", 0.9, 0.001)
        collector.record_agent_run(f"agent-{number}", "answered", 0.3)
        collector.set_component(f"component-{number}", up=True, seconds=0.002)
    record_model_call(collector)


def measure() -> list[tuple[str, str]]:
    """Rows of name and figure."""
    with server_span(TRACEPARENT, "GET /", {}):
        with_trace = microseconds(record_request)
        model_call = microseconds(record_model_call)
    rows = [
        ("one HTTP request (counter, histogram), outside a trace", f"{microseconds(record_request):.1f} us"),
        ("the same with an exemplar of its trace", f"{with_trace:.1f} us"),
        ("in progress, entered and left", f"{microseconds(in_progress):.1f} us"),
        ("one log line counted", f"{microseconds(lambda: metrics_collector.record_log_line('INFO')):.2f} us"),
        ("one model call (duration, tokens, cost; exemplars)", f"{model_call:.1f} us"),
        ("a label value from outside that is not kept", f"{microseconds(_odd_label):.1f} us"),
    ]
    fill(metrics_collector)
    for name, accept in (("text", None), ("OpenMetrics", "application/openmetrics-text")):
        milliseconds = microseconds(partial(exposition, accept), times=5) / 1000
        rows.append((f"exposition, {name}, {len(exposition(accept)[0]) / 1000:.0f} KB", f"{milliseconds:.1f} ms"))
    return rows + _pushes()


def _odd_label() -> None:
    metrics_collector.record_degraded("line\nbreak")


def _pushes() -> list[tuple[str, str]]:
    rows = []
    registry = CollectorRegistry()
    fill(MetricsCollector(registry, kept_trace_id))
    try:
        with servers.pushgateway() as url:
            pusher = _pusher(url, registry)
            milliseconds = microseconds(pusher.push, times=5) / 1000
            rows.append(("push to a Pushgateway, in its own thread", f"{milliseconds:.1f} ms"))
            rows.append(("end of a call, gateway well", _at_a_calls_end(pusher)))
    except pytest.skip.Exception as missing:
        rows.append(("push to a Pushgateway", str(missing)))
    rows.append(("end of a call, gateway away", _at_a_calls_end(_pusher("http://127.0.0.1:1", registry))))
    with servers.silence() as url:
        pusher = _pusher(url, registry)
        begun = time.perf_counter()
        with pytest.raises(TimeoutError):
            pusher.push()
        took = (time.perf_counter() - begun) * 1000
        rows.append(
            (f"push to a silent gateway, given {SILENT_SECONDS * 1000:.0f} ms", f"given up after {took:.0f} ms")
        )
        rows.append(("end of a call, gateway silent", _at_a_calls_end(pusher)))
    return rows


def _pusher(url: str, registry: CollectorRegistry) -> Pusher:
    gateway = Gateway.from_url(url)
    return Pusher(gateway, job="bench", place="bench", registry=registry, timeout=SILENT_SECONDS)


def _at_a_calls_end(pusher: Pusher) -> str:
    """What `after_call` costs a request that meets a due push, and one that does not."""
    due = Delivery("metrics", pusher.push, every_seconds=1e-9, wait_seconds=0.05)
    not_due = Delivery("metrics", pusher.push, every_seconds=3600, wait_seconds=0.05)
    not_due.after_call()
    due.after_call()
    each_due = microseconds(due.after_call, times=20)
    each_not_due = microseconds(not_due.after_call)
    pusher.end()
    due.close()
    not_due.close()
    return f"push due {each_due:.0f} us, not due {each_not_due:.2f} us"


if __name__ == "__main__":
    for name, value in measure():
        print(f"{name:<55} {value}")
