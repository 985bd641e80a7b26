"""Secrets in texts: found with their names left readable, and look-alikes left alone.

The examples stand in two files: `«` and `»` mark what is a secret, `⏎` a line break, and `·` only keeps scanners of
source hosts from taking a made-up key for a real one.
"""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.recognizers.span import PiiKind
from tests.unit.common.recognizers.finding import secrets_in

HERE = Path(__file__).parent
SHORT, LONG = 12_500, 50_000


def lines(name: str) -> list[str]:
    text = (HERE / name).read_text(encoding="utf-8").replace("·", "")
    return [line.replace("⏎", "\n") for line in text.splitlines()]


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in sorted(secrets_in(text))]


def covered(text: str) -> set[int]:
    return {place for span in secrets_in(text) for place in range(span.start, span.end)}


@pytest.mark.parametrize("line", lines("secrets_found.txt"))
def test_secrets_are_covered_and_hardly_more(line: str) -> None:
    parts = line.replace("»", "«").split("«")
    text = "".join(parts)
    wanted: set[int] = set()
    position = 0
    for place, part in enumerate(parts):
        if place % 2:
            wanted |= set(range(position, position + len(part)))
        position += len(part)
    assert wanted <= covered(text)
    assert len(covered(text) - wanted) <= 45  # a whole cookie, a webhook's address


@pytest.mark.parametrize("line", lines("secrets_left.txt"))
def test_look_alikes_are_left_alone(line: str) -> None:
    assert found(line) == []


def test_the_span_is_the_value_alone() -> None:
    assert secrets_in('"password": "hunter2"') == [(13, 20, PiiKind.SECRET)]


def test_places_hold_where_lower_case_is_longer() -> None:
    assert found("İİ password=hunter2") == ["hunter2"]


def test_several_secrets_in_a_line_are_all_found() -> None:
    key = "glpat" + "-EW6sabcdefgh1234567"
    assert found(f'["{key}8", "{key}9"] password=a1b2c3 token=d4e5f6') == [f"{key}8", f"{key}9", "a1b2c3", "d4e5f6"]


UNITS = (
    *("key:", "KEY", "pass", "password=", "password: '", 'key="', "token ", "a_key ", "key=a ", "<password>", "pass."),
    *(
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN ",
        "eyJ.",
        "eyJaaaaaaaaaa.",
        "AKIA",
        "sk-",
        "https://a:b@",
        "a:b@",
    ),
    *(
        "cookie: a=b;",
        "authorization: x",
        "Bearer ",
        "basic YTpi ",
        'auth("a",',
        'x("',
        "mysql -p",
        "curl -u a:",
        "$6$a$",
    ),
    *('"aB3dE5gH7jK9mN1pQ"', "= aB3dE5gH7jK9mN1pQ", "%3A%2F%2Fa", "\\n", '\\"', "echo a|", "password: string = ", "é"),
    *("MIIEpAIBAAKCAQEA", "1:AA", "pass is ", "{", "'", "x=", " -", " /user:", "://", "identified by '"),
)


def seconds(text: str) -> float:
    """The best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        secrets_in(text)
        best = min(best, time.perf_counter() - start)
    return best


def growth(unit: str) -> float:
    """How much longer four times the text takes: 4 where time is linear, 16 where it is quadratic."""
    short, long = ((unit * (length // len(unit) + 1))[:length] for length in (SHORT, LONG))
    return seconds(long) / max(seconds(short), 0.001)


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_length_and_no_faster(unit: str) -> None:
    assert any(growth(unit) < 8 for _ in range(5))  # once is enough: what else runs here only makes it larger


PIECES = st.sampled_from([*UNITS, "x", "1", " ", "=", ":", '"', "\n", "<", ">", "@", "a" * 30, "0" * 40, "%40", "İ"])


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=6))
def test_no_mixture_of_pieces_makes_the_search_slow(pieces: list[str]) -> None:
    unit = "".join(pieces)
    text = (unit * (10_000 // len(unit) + 1))[:10_000]
    assert seconds(text) < 1.0  # 100 us a character would be far more than any


@given(st.text())
def test_spans_lie_in_the_text(text: str) -> None:
    assert all(0 <= span.start < span.end <= len(text) for span in secrets_in(text))
