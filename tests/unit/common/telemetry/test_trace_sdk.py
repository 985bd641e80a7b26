"""Our spans as instrumented libraries meet them, and theirs as our code meets them."""

from contextvars import copy_context

import pytest
from opentelemetry import trace as otel
from opentelemetry.trace import SpanKind, StatusCode

from common import tracing
from common.telemetry import semconv
from common.telemetry.trace_cleaning import MAX_ITEMS
from common.telemetry.trace_sdk import MAX_RAW_CHARACTERS, RecordedSpan
from common.tracing import current, current_span, outgoing_headers, span
from tests.recorded_spans import recording


def library() -> otel.Tracer:
    assert tracing._pipeline is not None
    return tracing._pipeline.provider.get_tracer("somebody")


def test_a_library_may_write_to_the_current_span_but_no_words_of_exceptions() -> None:
    with recording() as recorded:
        with span("ours", kind="client"):
            found = otel.get_current_span()
            assert found.is_recording()
            found.set_attributes({semconv.INTENT: "question", semconv.PASSAGES: 2})
            found.update_name("renamed")
            found.add_event("prompt", {"text": "jane@example.com"})
            found.record_exception(ValueError("jane@example.com"))
        assert not found.is_recording()
        found.set_attribute(semconv.INTENT, "late")
        one = recorded.finish()["renamed"]
    expected = {semconv.INTENT: "question", semconv.PASSAGES: 2, semconv.ERROR_TYPE: "ValueError"}
    assert (dict(one.attributes or {}), one.kind, one.status.status_code) == (
        expected, SpanKind.CLIENT, StatusCode.ERROR
    )  # fmt: skip
    assert not one.events


@pytest.mark.parametrize("status", [StatusCode.ERROR, otel.Status(StatusCode.ERROR, "jane@example.com")])
def test_a_library_may_say_that_our_span_failed(status: otel.Status | StatusCode) -> None:
    with recording() as recorded:
        with span("ours"):
            otel.get_current_span().set_status(status)
        one = recorded.finish()["ours"]
    assert (one.status.status_code, one.status.description) == (StatusCode.ERROR, None)


def test_where_a_librarys_span_is_the_only_one_our_code_writes_to_that() -> None:
    with recording() as recorded:
        with library().start_as_current_span("theirs") as theirs:
            here, found = current(), current_span()
            assert here is not None
            assert found is not None
            assert here.span_id == f"{theirs.get_span_context().span_id:016x}"
            assert outgoing_headers() == {"traceparent": here.traceparent}
            found.set(semconv.OUTCOME, "answered")
            found.fail("Timeout")
        one = recorded.finish()["theirs"]
    assert dict(one.attributes or {}) == {semconv.OUTCOME: "answered", semconv.ERROR_TYPE: "Timeout"}
    assert one.status.status_code is StatusCode.ERROR


def test_an_error_of_a_library_keeps_a_trace_that_is_not_sampled() -> None:
    with recording(trace_sample_ratio=0.0) as recorded:
        with span("ours"), library().start_as_current_span("theirs") as theirs:
            theirs.set_status(StatusCode.ERROR)
        with span("the next"), library().start_as_current_span("in order"):
            pass
        assert set(recorded.finish()) == {"ours", "theirs"}


def test_a_long_text_is_cut_while_it_waits() -> None:
    with recording(trace_content=True) as recorded:
        with span("ours") as ours:
            ours.set(semconv.GEN_AI_OUTPUT_MESSAGES, "x" * 100_000)
        text = str(dict(recorded.finish()["ours"].attributes or {})[semconv.GEN_AI_OUTPUT_MESSAGES])
    assert len(text) < 20_000


def test_a_block_that_is_left_in_another_context_does_no_harm() -> None:
    with recording():
        assert tracing._pipeline is not None
        tracer = tracing._pipeline.tracer
        opened, state = tracer.open("left behind", "internal", None, tracer.state(), None)
        tokens = tracer.enter(state)
        copy_context().run(tracer.leave, tokens)  # as the garbage collector does with an asynchronous generator
        assert tracer.current() is opened
        tracer.leave(tokens)
        assert tracer.current() is None


def test_what_comes_after_the_end_of_a_span_is_not_on_it() -> None:
    with recording() as recorded:
        with span("ours") as ours:
            pass
        ours.set(semconv.INTENT, "late")
        ours.fail("Late")
        ours.end()
        one = recorded.finish()["ours"]
    assert (dict(one.attributes or {}), one.status.status_code) == ({}, StatusCode.UNSET)


def test_a_list_is_kept_as_it_was_and_bounded() -> None:
    reasons = ["stop"] * MAX_ITEMS + ["one too many"]
    counts = (1, 2)
    with recording() as recorded:
        with span("ours", attributes={semconv.DEGRADED: reasons, semconv.PASSAGES: counts}) as ours:
            reasons[0] = "changed afterwards"
            ours.set(semconv.GEN_AI_RESPONSE_FINISH_REASONS, ["x" * (MAX_RAW_CHARACTERS + 1)])
        assert isinstance(ours, RecordedSpan)
        assert ours._attributes[semconv.DEGRADED] == ["stop"] * MAX_ITEMS
        assert ours._attributes[semconv.PASSAGES] == [1, 2]
        assert len(ours._attributes[semconv.GEN_AI_RESPONSE_FINISH_REASONS][0]) == MAX_RAW_CHARACTERS
        assert "changed afterwards" not in str(recorded.finish()["ours"].attributes)
