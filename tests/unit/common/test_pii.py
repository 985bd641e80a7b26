import json
import random
import re
import string
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import pii
from common.pii import PiiKind, PiiSpan, Pseudonyms, configure, detect, mask, on_masked
from tests.processor_time import quickest

KEY = b"a key of the tests"
JANE = "jane@example.com"


@pytest.fixture(autouse=True)
def _all_kinds() -> Iterator[None]:
    hooks = pii._hooks
    yield
    configure()
    pii._hooks = hooks


def test_spans_are_found_left_to_right_and_masked_by_their_kind() -> None:
    text = "Call (415) 555-0132 or write to jane@example.com, SSN 078-05-1120"
    spans = detect(text)
    assert [span.kind for span in spans] == [PiiKind.PHONE, PiiKind.EMAIL, PiiKind.SSN]
    assert spans[0] == PiiSpan(5, 19, PiiKind.PHONE)
    assert mask(text) == "Call [PHONE] or write to [EMAIL], SSN [SSN]"


def test_every_kind_has_its_marker() -> None:
    text = (
        f"{JANE} (415) 555-0132 078-05-1120, 4111 1111 1111 1111; 192.0.2.1 GB29NWBK60161331926819 "
        "account 12345678 https://u:Tr0ub4dor3@example.com"
    )
    assert set(re.findall(r"\[(\w+)\]", mask(text))) == set(PiiKind)


def test_a_text_without_finds_is_returned_itself() -> None:
    line = "2015-10-18 18:01:47,978 INFO [main] org.apache.hadoop: block blk_38865049064139660 took 84 ms"
    assert mask(line) is line
    assert detect("") == []


def test_ids_that_look_like_numbers_are_left() -> None:
    line = json.dumps(
        {
            "ts": 1700000000123,
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": "00f067aa0ba902b7",
            "request_id": "0f8fad5b-d9cb-4690-8165-70867728950e",
            "order_id": 4155550132,
            "version": "1.2.3.4",
            "isbn": "978-3-16-148410-0",
            "lat": 37.7749295,
            "price": "$1,234,567.89",
        }
    )
    assert mask(line) is line


def test_masking_twice_changes_nothing_more() -> None:
    once = mask(f"tel 4155550132, {JANE}, account 12345678")
    assert mask(once) is once


def test_of_overlapping_finds_the_longer_gives_the_kind_and_both_are_covered() -> None:
    spans = [PiiSpan(0, 4, PiiKind.IP), PiiSpan(2, 9, PiiKind.PHONE), PiiSpan(9, 11, PiiKind.SSN)]
    assert pii._merged(spans) == [PiiSpan(0, 9, PiiKind.PHONE), PiiSpan(9, 11, PiiKind.SSN)]


def test_of_equal_finds_the_first_in_the_order_of_kinds_wins() -> None:
    assert pii._merged([PiiSpan(0, 9, PiiKind.PHONE), PiiSpan(0, 9, PiiKind.US_BANK)])[0].kind is PiiKind.US_BANK


@pytest.mark.parametrize("kinds", ["email", "EMAIL, ", ["EMAIL"], [PiiKind.EMAIL]])
def test_kinds_can_be_switched_off(kinds: str | list[str]) -> None:
    configure(kinds=kinds)
    assert mask(f"{JANE} 192.0.2.1 078-05-1120 GB29NWBK60161331926819") == (
        "[EMAIL] 192.0.2.1 078-05-1120 GB29NWBK60161331926819"
    )


def test_without_any_kind_nothing_is_found() -> None:
    configure(kinds="")
    assert detect(f"{JANE} 192.0.2.1 078-05-1120 GB29NWBK60161331926819") == []


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="NAME"):
        configure(kinds="EMAIL,NAME")


def test_allowed_texts_are_never_masked_whatever_their_case() -> None:
    configure(allow=["Desk@Example.com "])
    assert mask(f"desk@example.com, {JANE}") == "desk@example.com, [EMAIL]"
    only = "desk@example.com"
    assert mask(only) is only


def test_hooks_hear_the_kind_of_every_masked_span_once() -> None:
    heard: list[PiiKind] = []
    on_masked(heard.append)
    hook = heard.append
    on_masked(hook)
    mask(f"{JANE} and 192.0.2.1")
    mask("nothing")
    assert heard == [PiiKind.EMAIL, PiiKind.IP]


def test_masks_carry_pseudonyms_where_they_are_configured() -> None:
    pseudonyms = Pseudonyms(KEY)
    configure(pseudonyms=pseudonyms)
    assert mask(JANE) == pseudonyms.mask(JANE)


def test_percent_encoded_signs_are_covered_whole() -> None:
    assert mask("to=%2B14155550132&x=1%2F2") == "to=[PHONE]&x=1%2F2"


# --- pseudonyms ---


def test_a_keyed_pseudonym_is_the_same_for_all_spellings_of_a_value() -> None:
    pseudonyms = Pseudonyms(KEY)
    assert re.fullmatch(r"\[EMAIL:[0-9a-f]{8}\]", pseudonyms.mask(JANE))
    assert pseudonyms.mask("Jane@Example.com") == pseudonyms.mask(JANE)
    assert pseudonyms.mask("(415) 555-0132") == pseudonyms.mask("415.555.0132")
    assert pseudonyms.mask("gb29 nwbk 6016 1331 9268 19") == pseudonyms.mask("GB29NWBK60161331926819")
    assert pseudonyms.mask(JANE) != pseudonyms.mask("john@example.com")
    assert Pseudonyms(KEY).mask(JANE) == pseudonyms.mask(JANE) != Pseudonyms(b"another").mask(JANE)


def test_pseudonyms_of_secrets_keep_their_case() -> None:
    pseudonyms = Pseudonyms(KEY)
    assert pseudonyms.of(PiiKind.SECRET, "abc") != pseudonyms.of(PiiKind.SECRET, "ABC")


def test_a_text_without_finds_has_no_pseudonyms() -> None:
    text = "nothing"
    assert Pseudonyms(KEY).mask(text) is text


def test_a_key_is_needed() -> None:
    with pytest.raises(ValueError, match="empty"):
        Pseudonyms(b"")


# --- any text, and how long it takes ---

PIECES = [
    "call", "account", "ssn", "+", "(", ")", "-", ".", " ", "1", "415", "555-0132", "0", "@", "a.b", ":", "::", "%2B",
    "GB29", "fe80", "\n", ",", "[at]", " dot ", " at ", '"', "é", "１", "電話", "ext", "x1", "card", "\\n", "/", "9",
]  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)))
def test_spans_of_any_text_lie_in_it_in_order_and_are_not_empty(text: str) -> None:
    position = 0
    for start, end, _kind in detect(text):
        assert position <= start < end <= len(text)
        position = end


UNITS = [
    "1", "a", "A1", " ", ".", "::", "a@", "a.", "1-", "1.", "(415) ", "+1 ", "fe80:", "4111-", "GB", "DE12 ", "%3A",
    '"', "'", "\\", "call ", "call 1 ", "ssn ", "account 1", "\n", "é", "a-", "a@b.", "1 ", "12345678 ", "{", "1.1.",
    "a:b@",
    "415-555-0132 ", "account 123456789012 ", "x,12345678\n", "a,phone\n12345678,1234567890\n", "@", "(at)", "a (at) ",
    "a at b dot ", "phone 1234567 or ", "1/", "+", "(", "0", "00 ", "01 23 45 ", "0f:", "::1 ", "１", "%20", "%2B1 ",
    "4111 1111 1111 1111 ", '"a"@', "a@b.c.d.", "078-05-1120 ", "電話1234567 ", "1 (2) ", "DE89370400440532013000 ",
]  # fmt: skip
LONG = 100_000


def line_of(unit: str, length: int) -> str:
    return (unit * (length // len(unit) + 1))[:length]


@pytest.mark.parametrize("unit", UNITS)
def test_no_line_can_make_the_time_run_away(unit: str) -> None:
    """Linear; the worst takes a quarter of a second, of which the bound leaves room for tracing and a busy machine."""
    configure(kinds=pii.ALL_KINDS - {PiiKind.SECRET})
    short, long = line_of(unit, LONG), line_of(unit, 2 * LONG)
    for attempt in range(1, 4):
        once, twice = quickest(lambda: detect(short), attempt), quickest(lambda: detect(long), attempt)
        if once < 2 and twice < max(3 * once, 0.03):
            return
    pytest.fail(f"{once:.3f} s for {LONG} characters, {twice:.3f} s for twice as many")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from([*UNITS, *PIECES]), min_size=1, max_size=4).map("".join))
def test_repeating_any_piece_takes_time_in_proportion(unit: str) -> None:
    configure(kinds=pii.ALL_KINDS - {PiiKind.SECRET})
    short, long = line_of(unit, LONG // 5), line_of(unit, 2 * LONG // 5)
    for attempt in range(1, 4):
        once, twice = quickest(lambda: detect(short), attempt), quickest(lambda: detect(long), attempt)
        if once < 1 and twice < max(3 * once, 0.03):
            return
    pytest.fail(f"{once:.3f} s for {len(short)} characters, {twice:.3f} s for twice as many")


def test_random_characters_of_100_kb_are_quick() -> None:
    letters = string.digits + " .-()/+@:%\n" + "abcdefxtel"
    text = "".join(random.Random(7).choices(letters, k=LONG))
    assert quickest(lambda: detect(text), 3) < 2


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (
            "GET /a?ssn=078+05+1120&phone=415+555+2671&card=4111+1111+1111+1111",
            "GET /a?ssn=[SSN]&phone=[PHONE]&card=[CREDIT_CARD]",
        ),
        ("GET /?message=My+card+is+4111+1111+1111+1111 HTTP/1.1", "GET /?message=My+card+is+[CREDIT_CARD] HTTP/1.1"),
        ("q=my+ssn+is+078051120", "q=my+ssn+is+[SSN]"),
        ("q=routing+number+021000021", "q=routing+number+[US_BANK]"),
        ("q=iban+DE89+3704+0044+0532+0130+00", "q=iban+[IBAN]"),
        ("q=call+me+at+%2B1+415+555+2671", "q=call+me+at+[PHONE]"),
        ("phone=%28415%29+555-0007", "phone=[PHONE]"),
        ("a=1&phone=+14155552671", "a=1&phone=[PHONE]"),
        ("a=1&phone=5+14155552671", "a=1&phone=5+[PHONE]"),
        ("4111_1111_1111_1111", "[CREDIT_CARD]"),
        ("scan_3782_822463_10005.pdf", "scan_[CREDIT_CARD].pdf"),
        ("ssn 078_05_1120", "ssn [SSN]"),
        ("x=1+1 and trace_4111_1111_1111_1112", "x=1+1 and trace_4111_1111_1111_1112"),
    ],
)
def test_forms_and_underscores_separate_as_spaces_do(text: str, masked: str) -> None:
    assert mask(text) == masked
