"""Reading who called. Cases from https://www.w3.org/TR/trace-context/ and its test suite's names of faults."""

import httpx
import pytest
from werkzeug.datastructures import Headers as WerkzeugHeaders

from common.telemetry.trace_context import (
    RemoteParent,
    TraceContext,
    parse_cloud_trace,
    parse_traceparent,
    remote_parent,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),  # also "random trace id"
        (f"00-{TRACE}-{SPAN}-fe", False),
        (f"01-{TRACE}-{SPAN}-01", True),  # a later version
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
    ],
)
def test_a_callers_place_is_read_from_traceparent(value: str, sampled: bool) -> None:
    assert parse_traceparent(value) == RemoteParent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN}0-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",  # two headers, as servers join them
        f"00-{TRACE}-{SPAN}-01\n",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE}-{SPAN}-٠١",  # digits, but not of ASCII
        "-" * 10_000,
        f"cc-{TRACE}-{SPAN}-01-" + "a" * 10_000,
        "Jane Roe",
    ],
)
def test_a_malformed_traceparent_is_as_none_and_is_counted(value: str) -> None:
    assert remote_parent({"traceparent": value}) == (None, 1)


@pytest.mark.parametrize(
    ("value", "sampled"),
    [(f"{TRACE}/1;o=1", True), (f"{TRACE}/1;o=0", False), (f"{TRACE.upper()}/1;o=3", True), (f"{TRACE}/1", None)],
)
def test_a_callers_place_is_read_from_googles_header_with_its_span_in_decimal(value: str, sampled: bool | None) -> None:
    assert parse_cloud_trace(value) == RemoteParent(TRACE, "0000000000000001", sampled)


def test_the_largest_span_of_googles_header_fits() -> None:
    assert parse_cloud_trace(f"{TRACE}/18446744073709551615") == RemoteParent(TRACE, "f" * 16, None)


@pytest.mark.parametrize("value", [TRACE, f"{TRACE}/0;o=1", f"{TRACE};o=1"])
def test_googles_header_may_name_a_trace_alone(value: str) -> None:
    found = parse_cloud_trace(value)
    assert found is not None
    assert (found.trace_id, len(found.span_id), found.span_id.strip("0") != "") == (TRACE, 16, True)


@pytest.mark.parametrize(
    "value",
    [
        f"{'0' * 32}/1;o=1",
        f"{TRACE}/18446744073709551616;o=1",
        f"{TRACE}/{SPAN};o=1",  # hex
        f"{TRACE}/-1",
        f"{TRACE}/1;o=x",
        f"{TRACE}/1;o=1;o=1",
        f"{TRACE[:-1]}/1",
        f"{TRACE}/٣",
        TRACE * 400,
    ],
)
def test_a_malformed_header_of_google_is_as_none_and_is_counted(value: str) -> None:
    assert remote_parent({"x-cloud-trace-context": value}) == (None, 1)


def test_traceparent_goes_before_googles_header_unless_it_is_malformed() -> None:
    google = {"x-cloud-trace-context": f"{'a' * 32}/1;o=1"}
    parent, malformed = remote_parent({"traceparent": f"00-{TRACE}-{SPAN}-01", **google})
    assert (parent and parent.trace_id, malformed) == (TRACE, 0)
    parent, malformed = remote_parent({"traceparent": "garbage", **google})
    assert (parent and parent.trace_id, malformed) == ("a" * 32, 1)


@pytest.mark.parametrize("headers", [{}, {"traceparent": ""}])
def test_no_header_is_no_fault(headers: dict[str, str]) -> None:
    assert remote_parent(headers) == (None, 0)


@pytest.mark.parametrize("kind", [httpx.Headers, WerkzeugHeaders])
def test_headers_of_servers_and_clients_are_read_whatever_their_case(
    kind: type[httpx.Headers] | type[WerkzeugHeaders],
) -> None:
    headers = kind({"TraceParent": f"00-{TRACE}-{SPAN}-01"})
    assert remote_parent(headers) == (RemoteParent(TRACE, SPAN, True), 0)


@pytest.mark.parametrize(("sampled", "flags"), [(True, "01"), (False, "00")])
def test_what_goes_out_is_version_00(sampled: bool, flags: str) -> None:
    assert TraceContext(TRACE, SPAN, sampled).traceparent == f"00-{TRACE}-{SPAN}-{flags}"
