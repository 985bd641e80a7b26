"""Of a span, only what was decided upon leaves the process; what is text leaves masked, cut and encodable."""

from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace.span import TraceState

from common.telemetry import semconv, trace_cleaning
from common.telemetry.trace_cleaning import MAX_CHARACTERS, MAX_CONTENT_CHARACTERS, MAX_ITEMS, clean, clean_text

SECRET = "jane.roe@example.com"
KEY = "AKIAZ7Q4MX2PLKD8W3RT"
RESOURCE = Resource({"service.name": "tested"})
STATE = TraceState([("vendor", "jane")])


def context(span_id: int, *, is_remote: bool = False) -> otel.SpanContext:
    return otel.SpanContext(1, span_id, is_remote, otel.TraceFlags(0), STATE)


def span(name: str = "work", attributes: Any = None, **more: Any) -> ReadableSpan:
    return ReadableSpan(name, context=context(2), attributes=attributes, start_time=1, end_time=2, **more)


def cleaned(attributes: dict[str, object], *, with_content: bool = False) -> tuple[dict[str, object], int]:
    result, left_out = clean(span(attributes=attributes), RESOURCE, with_content=with_content)
    return dict(result.attributes or {}), left_out


def test_attributes_that_nobody_decided_upon_stay_here_and_are_counted() -> None:
    kept, left_out = cleaned({semconv.HTTP_ROUTE: "/api/query", "http.url": "/?email=" + SECRET, "jane": 1})
    assert (kept, left_out) == ({semconv.HTTP_ROUTE: "/api/query"}, 2)


@pytest.mark.parametrize("value", [True, 3, 2.5, "plain"])
def test_plain_values_stay_as_they_are(value: object) -> None:
    assert cleaned({semconv.SCORE: value}) == ({semconv.SCORE: value}, 0)


def test_text_is_masked_also_in_lists_and_names() -> None:
    kept, _ = cleaned({semconv.OUTCOME: f"for {SECRET}", semconv.DEGRADED: ["none", SECRET]})
    assert kept == {semconv.OUTCOME: "for [EMAIL]", semconv.DEGRADED: ["none", "[EMAIL]"]}
    named, _ = clean(span(f"GET /people/{SECRET}"), RESOURCE, with_content=False)
    assert named.name == "GET /people/[EMAIL]"


def test_text_and_lists_are_cut() -> None:
    kept, _ = cleaned({semconv.OUTCOME: "word " * 1000, semconv.DEGRADED: ["x"] * 1000})
    assert (len(str(kept[semconv.OUTCOME])), kept[semconv.DEGRADED]) == (MAX_CHARACTERS, ["x"] * MAX_ITEMS)


@pytest.mark.parametrize("value", [None, {"a": SECRET}, object()])
def test_values_of_other_kinds_stay_here(value: object) -> None:
    assert cleaned({semconv.OUTCOME: value}) == ({}, 1)


def test_content_leaves_only_when_it_is_switched_on_and_masked_then() -> None:
    attributes: dict[str, object] = {semconv.GEN_AI_INPUT_MESSAGES: f"I am {SECRET}. " + "word " * 5000}
    assert cleaned(attributes) == ({}, 1)
    kept, left_out = cleaned(attributes, with_content=True)
    text = str(kept[semconv.GEN_AI_INPUT_MESSAGES])
    assert (text[:14], left_out) == ("I am [EMAIL]. ", 0)
    assert MAX_CONTENT_CHARACTERS * 0.9 < len(text) <= MAX_CONTENT_CHARACTERS


def test_events_and_messages_of_exceptions_stay_here() -> None:
    status = otel.Status(otel.StatusCode.ERROR, f"ValueError: {SECRET}")
    events = [Event("exception", {"exception.message": SECRET})]
    result, left_out = clean(span(status=status, events=events), RESOURCE, with_content=True)
    assert (result.status.status_code, result.status.description) == (otel.StatusCode.ERROR, None)
    assert (list(result.events), left_out) == ([], 1)
    assert SECRET not in result.to_json()


def test_a_callers_trace_state_stays_here() -> None:
    link = otel.Link(context(7), {"jane": SECRET})
    result, _ = clean(span(parent=context(5, is_remote=True), links=[link]), RESOURCE, with_content=False)
    assert result.parent is not None
    assert (result.parent.span_id, result.parent.is_remote) == (5, True)
    assert [(one.context.span_id, dict(one.attributes or {})) for one in result.links] == [(7, {})]
    assert "vendor" not in result.to_json()


def test_what_leaves_is_sampled_and_says_who_sends() -> None:
    result, _ = clean(span(), RESOURCE, with_content=False)
    assert result.context is not None
    assert (result.context.trace_flags.sampled, result.resource) == (True, RESOURCE)
    assert (result.name, result.start_time, result.end_time, result.parent) == ("work", 1, 2, None)


def test_a_span_without_a_context_is_no_reason_to_fail() -> None:
    result, _ = clean(ReadableSpan("work"), RESOURCE, with_content=False)
    assert result.context is None


def test_lone_surrogates_can_be_encoded_afterwards() -> None:
    assert clean_text("a\ud800b", 10) == "a?b"


def test_what_is_remembered_as_harmless_is_short_bounded_and_nothing_that_was_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trace_cleaning, "_harmless", set())
    monkeypatch.setattr(trace_cleaning, "MAX_HARMLESS", 3)
    for text in ("chat", "chat", SECRET, "word " * 20, "plan", "a\ud800b"):
        clean_text(text, MAX_CHARACTERS)
    assert trace_cleaning._harmless == {"chat", "plan"}
    for number in range(10):
        clean_text(f"outcome {number}", MAX_CHARACTERS)
        assert len(trace_cleaning._harmless) <= 3


@pytest.mark.parametrize("before", [0, 100, 240, 250])
@pytest.mark.parametrize(
    "secret", [SECRET, KEY, f"password={'x1Y' * 40}", "eyJhbGciOiJIUzI1NiJ9." + "A1b" * 500 + ".s1g"]
)
def test_what_lies_across_the_cut_is_masked_too(before: int, secret: str) -> None:
    for behind in (0, 20_000):
        left = clean_text("w " * (before // 2) + secret + " " + "w " * behind, MAX_CHARACTERS)
        assert secret[:12].removeprefix("password=") not in left
        assert len(left) <= MAX_CHARACTERS


def test_the_scope_keeps_its_name_and_version_masked_and_nothing_else() -> None:
    scope = InstrumentationScope("for jane@example.com", "1.0 of 10.1.2.3", "https://x/?token=hunter22", {"a": "b"})
    given = span(instrumentation_scope=scope)
    left = clean(given, Resource({}), with_content=False)[0].instrumentation_scope
    assert left == InstrumentationScope("for [EMAIL]", "1.0 of [IP]")
    bare = span(instrumentation_scope=InstrumentationScope("x"))
    assert clean(bare, Resource({}), with_content=False)[0].instrumentation_scope == InstrumentationScope("x")
