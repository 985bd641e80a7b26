"""How a line is written, as JSON in Cloud Logging's special fields and for people."""

import json
import logging
import sys
from typing import Any

import pytest

from common.pii import mask, mask_value
from common.telemetry import log_counts
from common.telemetry.log_lines import MAX_LINE_BYTES, ConsoleLines, JsonLines, Line, LineMaker, Location, severity_of
from common.telemetry.log_text import Cleaner
from common.telemetry.trace_context import TraceContext

MAIL = "jane@example.com"
TRACE = TraceContext("ab" * 16, "cd" * 8, True)


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(log_counts, "failed", found.append)
    return found


def maker(**context: object) -> LineMaker:
    return LineMaker(
        Cleaner(mask, mask_value), bounded=frozenset({"outcome", "degraded"}), others=frozenset({"count", "reason"}),
        context=lambda: context, trace=lambda: TRACE,
    )  # fmt: skip


def line(level: int = logging.INFO, **fields: object) -> Line:
    return Line(level, "request.finished", 1_700_000_000.25, "query", fields, None, None, None)


def written(line: Line, project: str | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(JsonLines(project)(line))
    return entry


def test_a_request_is_an_http_request() -> None:
    entry = written(
        line(method="POST", route="/a/{b}", status=201, duration_ms=123, bytes_in=5, bytes_out=7, function="f", x=1)
    )
    assert entry == {
        "severity": "INFO",
        "message": "request.finished",
        "time": "2023-11-14T22:13:20.250000Z",
        "logging.googleapis.com/labels": {"component": "query", "function": "f"},
        "httpRequest": {
            "requestMethod": "POST", "status": 201, "requestUrl": "/a/{b}", "requestSize": "5", "responseSize": "7",
            "latency": "0.1230s",
        },
        "x": 1,
    }  # fmt: skip


def test_a_method_alone_is_a_field() -> None:
    assert written(line(method="POST"))["method"] == "POST"
    assert "latency" not in written(line(method="POST", status=200, duration_ms="?"))["httpRequest"]


def test_the_trace_is_a_resource_name_where_the_project_is_known() -> None:
    traced = line(trace_id="of the context")._replace(trace=TRACE)
    entry = written(traced, "p")
    assert entry["logging.googleapis.com/trace"] == f"projects/p/traces/{'ab' * 16}"
    assert (entry["logging.googleapis.com/spanId"], entry["logging.googleapis.com/trace_sampled"]) == ("cd" * 8, True)
    assert "trace_id" not in entry
    assert written(traced)["trace_id"] == "ab" * 16
    assert written(line(trace_id="of the context"), "p")["logging.googleapis.com/trace"].endswith("of the context")


def test_warnings_and_above_tell_their_place() -> None:
    placed = line(logging.WARNING)._replace(location=Location("/a.py", 3, "f"), stack_trace="Traceback")
    entry = written(placed)
    assert entry["logging.googleapis.com/sourceLocation"] == {"file": "/a.py", "line": 3, "function": "f"}
    assert entry["stack_trace"] == "Traceback"
    assert "logging.googleapis.com/sourceLocation" not in written(placed._replace(level=logging.INFO))


def test_severities_are_cloud_loggings() -> None:
    levels = (0, 5, 10, 20, 25, 30, 40, 50, 99)
    assert [severity_of(level) for level in levels] == [
        "DEFAULT", "DEFAULT", "DEBUG", "INFO", "INFO", "WARNING", "ERROR", "CRITICAL", "CRITICAL",
    ]  # fmt: skip


def test_what_json_cannot_hold_is_written_out() -> None:
    strange = {1: "\ud800", "\udcff": {2**70, 1.5}, "tuple": (None, True, object), "nan": float("nan")}
    entry = written(line(value=strange))["value"]
    assert entry["1"] == "\\ud800"
    assert (entry["tuple"], entry["nan"]) == ([None, True, "<class 'object'>"], None)
    assert set(map(str, entry["\\udcff"])) == {str(2**70), "1.5"}


def test_a_line_that_is_too_long_keeps_what_is_short(failures: list[str]) -> None:
    many = {f"field{number}": number for number in range(100)}
    text = JsonLines(None)(line(request_id="r", large=["x" * 1000] * 500, **many))
    entry = json.loads(text)
    assert len(text) < MAX_LINE_BYTES
    assert (entry["request_id"], entry["field1"], "field99" in entry) == ("r", 1, False)
    assert entry["large"].startswith("[left out: ")
    assert failures == ["too_long"]


def test_readable_lines_have_colours_only_on_request() -> None:
    shown = line(x=1)._replace(trace=TRACE, stack_trace="Traceback: x")
    plain, coloured = ConsoleLines(colors=False)(shown), ConsoleLines(colors=True)(shown)
    assert "request.finished" in plain
    assert plain.endswith("Traceback: x")
    assert f"trace_id={TRACE.trace_id}" in plain
    assert "\x1b[" in coloured
    assert "\x1b[" not in plain


def test_every_text_is_scanned_even_in_fields_of_our_own() -> None:
    made = maker()
    for _ in range(2):
        got = made.of_event(
            "query", logging.INFO, f"for {MAIL}",
            {"outcome": MAIL, "degraded": ["model", MAIL], "reason": "10.1.2.3", "count": 2}, None,
        )  # fmt: skip
        assert got.message == "for [EMAIL]"
        assert got.fields == {"outcome": "[EMAIL]", "degraded": ["model", "[EMAIL]"], "reason": "[IP]", "count": 2}


def test_lists_of_other_things_are_masked_too() -> None:
    got = maker().of_event("query", logging.INFO, "x", {"degraded": [("jane@example.com",)], "count": "1"}, None)
    assert got.fields == {"degraded": [("[EMAIL]",)], "count": "1"}


def test_large_numbers_and_secret_names_are_not_taken_on_trust() -> None:
    made = maker()
    made.of_event("query", 20, "x", {"outcome": "answered"}, None)
    fields = {"count": 4111111111111111, "password": "answered", "api_token": "ab" * 16}
    got = made.of_event("query", 20, "x", fields, None)
    assert got.fields == {"count": "[CREDIT_CARD]", "password": "[SECRET]", "api_token": "[SECRET]"}
    assert made.context({"api_token": "ab" * 16}) == {"api_token": "[SECRET]"}


def test_only_so_many_texts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.telemetry.log_lines.MAX_REMEMBERED", 1)
    made = maker()
    for event in ("one", "two", "two"):
        assert made.of_event("query", logging.INFO, event, {}, None).message == event
    assert made._clean == {"one"}


def test_the_context_is_cleaned_once() -> None:
    context = maker().context({"request_id": "078-05-1120", "trace_id": "ab" * 16, "level": "x"})
    assert context == {"request_id": "[SSN]", "trace_id": "ab" * 16, "level_": "x"}
    assert maker(**context).of_event("query", 20, "x", {}, None).fields == context


def test_a_trace_that_cannot_be_had_costs_no_line(failures: list[str]) -> None:
    def broken() -> TraceContext:
        raise LookupError

    made = LineMaker(
        Cleaner(mask, mask_value), bounded=frozenset(), others=frozenset(), context=dict, trace=broken
    )  # fmt: skip
    assert made.of_event("query", 20, "x", {}, None).trace is None
    assert failures == ["trace"]


def test_a_record_brings_its_traceback_as_text_or_as_exception() -> None:
    record = logging.makeLogRecord({"name": "x", "levelno": 40, "msg": "m", "exc_text": "for jane@example.com"})
    assert maker().of_record(record).stack_trace == "for [EMAIL]"
    record = logging.makeLogRecord({"name": "x", "levelno": 40, "msg": "m", "exc_info": (None, None, None)})
    assert maker().of_record(record).stack_trace is None
    record = logging.makeLogRecord({"name": "x", "levelno": 40, "msg": "m", "stack_info": "Stack"})
    assert maker().of_record(record).stack_trace == "Stack"


@pytest.mark.parametrize("given", [True, ValueError("x"), (ValueError, ValueError("x"), None)])
def test_exc_info_is_what_callers_make_of_it(given: object) -> None:
    try:
        raise ValueError("x")
    except ValueError:
        got = maker().of_event("query", 40, "x", {"exc_info": given}, None)
    assert got.stack_trace is not None
    assert got.stack_trace.endswith("ValueError: x")


@pytest.mark.parametrize("given", [True, False, None, (None, None, None), ("x",)])
def test_exc_info_without_an_exception_is_nothing(given: object) -> None:
    assert sys.exception() is None
    assert maker().of_event("query", 40, "x", {"exc_info": given}, None).stack_trace is None


def test_arguments_may_be_a_mapping_that_does_not_fit(failures: list[str]) -> None:
    record = logging.makeLogRecord({"name": "x", "levelno": 30, "msg": "%(a)s", "args": {"b": "jane@example.com"}})
    assert maker().of_record(record).message == "%(a)s {'b': '[EMAIL]'}"
    assert failures == ["arguments"]


def test_control_characters_neither_begin_lines_nor_move_the_cursor() -> None:
    sent = "a\x1b[2J\x9b1A\u2028\r\nERROR forged"
    line = Line(20, sent, 0.0, sent, {sent: sent, "exception": sent}, None, None, f"Traceback:\n{sent}")
    written = ConsoleLines(colors=False)(line)
    assert not set(written) & {"\x1b", "\x9b", "\r", "\u2028"}
    trace = written.index("Traceback:")
    assert "\n" not in written[:trace].strip("\n")
    assert written[trace:].count("\n") == 2


def test_the_place_of_a_foreign_line_is_masked() -> None:
    record = logging.LogRecord("x", logging.ERROR, f"/home/{MAIL}/a.py", 3, "hello", (), None, f"f for {MAIL}")
    made = maker()
    for _ in range(2):
        assert made.of_record(record).location == Location("/home/[EMAIL]/a.py", 3, "f for [EMAIL]")
