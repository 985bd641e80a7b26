"""From an ended span to the exporter: what is kept, what is counted when it is not, and who says that it sends."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from common import tracing
from common.metrics import REGISTRY
from common.settings import Settings, load_settings
from common.telemetry import semconv, trace_pipeline
from common.telemetry.trace_pipeline import Pipeline
from common.telemetry.trace_sdk import RandomIds
from common.tracing import server_span, span, use_pipeline
from tests.recorded_spans import RecordedSpans, recording

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
ROOT = Path(__file__).parents[4]


def dropped(channel: str = "traces") -> float:
    return REGISTRY.get_sample_value("assistant_telemetry_dropped_total", {"channel": channel}) or 0.0


def work(count: int = 1) -> None:
    for number in range(count):
        with span(f"work {number}"):
            pass


def deliver() -> None:
    """Have all that is queued sent, and wait for it."""
    assert tracing._pipeline is not None
    delivery = tracing._pipeline.delivery
    delivery.wake()
    with delivery._changed:
        assert delivery._changed.wait_for(lambda: delivery._done >= delivery._asked, 10)


def sampled(flags: str) -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-{SPAN}-{flags}"}


# Sampling


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_what_the_caller_records_we_record(ratio: float) -> None:
    with recording(trace_sample_ratio=ratio) as recorded:
        with server_span(sampled("01"), "kept") as kept, span("inner"):
            assert kept.context.sampled
        assert set(recorded.finish()) == {"kept", "inner"}


ALL = {"begun here", "left to us", "not recorded by the caller", "inner"}


@pytest.mark.parametrize(("ratio", "names"), [(0.0, set()), (1.0, ALL)])
def test_where_the_caller_does_not_record_the_ratio_decides(ratio: float, names: set[str]) -> None:
    with recording(trace_sample_ratio=ratio) as recorded:
        with server_span({}, "begun here"), span("inner"):
            pass
        with server_span(sampled("00"), "not recorded by the caller"):
            pass
        with server_span({"x-cloud-trace-context": f"{TRACE}/1"}, "left to us"):
            pass
        assert set(recorded.finish()) == names


def test_a_ratio_keeps_about_that_share_and_decides_each_trace_as_other_services_do() -> None:
    with recording(trace_sample_ratio=0.5):
        decisions = {}
        for _ in range(400):
            with span("root") as root:
                decisions[root.context.trace_id] = root.context.sampled
    assert 120 < sum(decisions.values()) < 280
    for trace_id, decision in decisions.items():
        assert decision == (int(trace_id[16:], 16) < 2**63)


@pytest.mark.parametrize("headers", [{}, sampled("00")])
def test_an_error_keeps_a_trace_whatever_was_decided(headers: dict[str, str]) -> None:
    with recording(trace_sample_ratio=0.0) as recorded:
        with server_span(headers, "request") as request:
            with span("retrieve"):
                pass
            with span("chat") as call:
                call.fail("timeout")
            assert not request.context.sampled
        with server_span(headers, "the next"):
            pass
        spans = recorded.finish()
    assert set(spans) == {"request", "retrieve", "chat"}
    assert all(one.context is not None and one.context.trace_flags.sampled for one in spans.values())


# The queue


def test_what_does_not_fit_the_queue_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dropped()
    with recording() as recorded:
        assert tracing._pipeline is not None
        tracing._pipeline.delivery._has_work = lambda: False  # nothing leaves
        monkeypatch.setattr(trace_pipeline, "MAX_QUEUED", 10)
        work(13)
        assert dropped() == before + 3
        tracing._pipeline.close()
    assert (recorded.spans, dropped()) == ([], before + 13)


def test_spans_leave_in_batches_and_a_full_batch_is_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_pipeline, "BATCH", 5)
    monkeypatch.setattr(trace_pipeline, "EVERY_SECONDS", 3600.0)
    with recording() as recorded:
        work(4)
        assert recorded.batches == []
        work(8)
        spans = recorded.finish()
    assert sum(recorded.batches) == 12
    assert max(recorded.batches) <= 5
    assert len(spans) == 8


def test_a_batch_that_fails_is_counted_and_the_next_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_pipeline, "BATCH", 100)
    before = dropped()
    with recording() as recorded:
        recorded.works = False
        work(3)
        deliver()
        assert dropped() == before + 3
        recorded.works = True
        work(1)
        deliver()
        assert [one.name for one in recorded.spans] == ["work 0"]
    assert recorded.is_shut_down


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("jane.roe@example.com")


def test_a_span_that_cannot_be_cleaned_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_pipeline, "BATCH", 100)
    before = dropped()
    with recording() as recorded:
        work(2)
        with span("broken", attributes={semconv.DEGRADED: [Unprintable()]}):  # type: ignore[dict-item]
            pass
        work(1)
        deliver()
        with span("broken and alone", attributes={semconv.DEGRADED: [Unprintable()]}):  # type: ignore[dict-item]
            pass
        recorded.finish()
    assert [one.name for one in recorded.spans] == ["work 0", "work 1", "work 0"]
    assert (recorded.batches, dropped()) == ([3], before + 2)


def test_a_batch_at_which_the_exporter_raises_is_counted_and_the_next_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Raising(RecordedSpans):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            if not self.works:
                raise ConnectionResetError
            return super().export(spans)

    monkeypatch.setattr(trace_pipeline, "BATCH", 100)
    before = dropped()
    exporter = Raising()
    exporter.works = False
    use_pipeline(Pipeline(load_settings(), "tested", lambda _settings: exporter))
    work(3)
    deliver()
    assert dropped() == before + 3
    exporter.works = True
    work(1)
    tracing.shutdown()
    assert ([one.name for one in exporter.spans], dropped()) == (["work 0"], before + 3)


def test_sending_stops_at_its_bound_and_goes_on_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_pipeline, "BATCH", 100)

    class Slow(RecordedSpans):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            monkeypatch.setattr(time, "monotonic", lambda: 1e12)
            return super().export(spans)

    exporter = Slow()
    pipeline = Pipeline(load_settings(), "tested", lambda _settings: exporter)
    use_pipeline(pipeline)
    monkeypatch.setattr(trace_pipeline, "EVERY_SECONDS", 3600.0)
    work(2)
    monkeypatch.setattr(trace_pipeline, "BATCH", 1)
    pipeline._send()
    assert (len(exporter.spans), len(pipeline._queue)) == (1, 1)
    monkeypatch.undo()
    tracing.shutdown()
    assert len(exporter.spans) == 2


def test_an_exporter_that_cannot_be_made_is_said_once_and_each_span_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, object]] = []

    class Log:
        def error(self, event: str, *, error_type: str) -> None:
            said.append((event, error_type))

    def refuse(_settings: Settings) -> SpanExporter:
        raise PermissionError("/home/jane/key.json")

    monkeypatch.setattr(trace_pipeline, "log", Log())
    before = dropped()
    use_pipeline(Pipeline(load_settings(), "tested", refuse))
    try:
        work(2)
        deliver()
        work(3)
    finally:
        tracing.shutdown()
    assert said == [("tracing.exporter_unusable", "PermissionError")]
    assert dropped() == before + 5


def test_attributes_that_stay_here_are_counted() -> None:
    before = dropped("attributes")
    with recording() as recorded:
        with span("work", attributes={"jane": "Roe", semconv.SCORE: 1.0}):
            pass
        assert recorded.finish()["work"].attributes == {semconv.SCORE: 1.0}
    assert dropped("attributes") == before + 1


@pytest.mark.parametrize("is_on", [False, True])
def test_content_leaves_only_where_the_setting_says_so(is_on: bool) -> None:
    with recording(trace_content=is_on) as recorded:
        with span("chat", attributes={semconv.GEN_AI_INPUT_MESSAGES: "I am jane.roe@example.com"}):
            pass
        attributes = recorded.finish()["chat"].attributes
    assert attributes == ({semconv.GEN_AI_INPUT_MESSAGES: "I am [EMAIL]"} if is_on else {})


def test_the_exporter_works_in_the_deliverys_thread_where_libraries_make_no_spans() -> None:
    seen: list[tuple[str, object]] = []

    class Watching(RecordedSpans):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            suppressed = otel_context.get_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY)
            seen.append((threading.current_thread().name, suppressed))
            return super().export(spans)

    use_pipeline(Pipeline(load_settings(), "tested", lambda _settings: Watching()))
    work()
    tracing.shutdown()
    assert seen == [("deliver-traces", True)]


# Who sends


def resource_of(**settings: object) -> dict[str, object]:
    with recording(**settings) as recorded:
        work()
        return dict(recorded.finish()["work 0"].resource.attributes)


def test_spans_say_which_service_and_process_they_come_from() -> None:
    first, second = resource_of(), resource_of()
    assert first["service.name"] == "tested"
    assert first["service.version"]
    assert first["deployment.environment.name"] == "development"
    assert first["service.instance.id"] != second["service.instance.id"]
    assert not [name for name in first if name.startswith(("cloud.", "faas."))]


def test_on_cloud_run_they_say_so() -> None:
    found = resource_of(k_service="query", k_revision="query-00007-abc", google_cloud_project="p")
    assert found["cloud.provider"] == "gcp"
    assert found["cloud.platform"] == "gcp_cloud_run"
    assert (found["faas.name"], found["faas.version"]) == ("query", "query-00007-abc")
    assert str(found["faas.instance"]).startswith("query-00007-abc-")
    assert (found["cloud.account.id"], found["gcp.project_id"]) == ("p", "p")
    assert "faas.version" not in resource_of(k_service="query")


def test_ids_are_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    ids = RandomIds()
    assert (ids.generate_span_id(), ids.generate_trace_id()) == (1, 1)


def test_a_library_may_end_a_span_of_ours_and_do_no_harm() -> None:
    with recording() as recorded:
        with span("work"):
            otel.get_current_span().end()
        assert set(recorded.finish()) == {"work"}


def test_a_forked_child_forgets_what_is_its_parents() -> None:
    with recording(trace_sample_ratio=1.0) as recorded:
        assert tracing._pipeline is not None
        work(2)
        tracing._pipeline._forget()
        work(1)
        assert len(recorded.finish()) == 1


def test_a_pipeline_that_was_let_go_does_no_harm_when_the_process_ends() -> None:
    script = (
        "import gc; from common.settings import load_settings; from common.telemetry.trace_pipeline import Pipeline; "
        "pipeline = Pipeline(load_settings(), 'lost'); del pipeline; gc.collect()"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
