import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.llm import shield_placeholders
from common.llm.shield_placeholders import Placeholders, Restoration, lookalikes

KEY = b"k" * 32
EMAIL = "jane@roe.example"
VALUES = {
    "EMAIL": EMAIL,
    "NAME": "Jane",
    "CREDIT_CARD": "4111 1111 1111 1111",
    "BIRTH_DATE": "03/14/1975",
    "ID_NUMBER": "D1234567",
    "ADDRESS": '12 "Oak" Street\nReno \\ NV',
}


def placeholders(conversation: str = "c1", key: bytes = KEY) -> Placeholders:
    return Placeholders(key, conversation)


def escaped(placeholder: str) -> str:
    """As models write it in Markdown."""
    return placeholder.replace("[", r"\[").replace("]", r"\]").replace("_", r"\_")


def test_a_placeholder_tells_the_kind_and_nothing_of_the_value() -> None:
    assert re.fullmatch(r"\[EMAIL_[A-Z2-7]{6}\]", placeholders().of("EMAIL", EMAIL))


def test_the_same_value_has_the_same_placeholder_in_every_request_of_a_conversation() -> None:
    assert placeholders().of("EMAIL", EMAIL) == placeholders().of("EMAIL", EMAIL)


def test_two_conversations_cannot_be_linked() -> None:
    one, two = placeholders("c1"), placeholders("c2")
    assert one.of("EMAIL", EMAIL) != two.of("EMAIL", EMAIL)


def test_a_call_without_a_conversation_is_one_of_its_own() -> None:
    assert placeholders("").of("EMAIL", EMAIL) != placeholders("").of("EMAIL", EMAIL)


def test_another_key_gives_other_placeholders() -> None:
    assert placeholders().of("EMAIL", EMAIL) != placeholders(key=b"other").of("EMAIL", EMAIL)


@pytest.mark.parametrize(
    ("kind", "usual", "other"),
    [
        ("EMAIL", EMAIL, "JANE@Roe.example"),
        ("PHONE", "415-555-0132", "(415) 555-0132"),
        ("PHONE", "415-555-0132", "+1 415.555.0132"),
        ("PHONE", "442079460958", "+44 20 7946 0958"),
        ("SSN", "078-05-1120", "078051120"),
        ("CREDIT_CARD", "4111111111111111", "4111 1111 1111 1111"),
        ("US_BANK", "000123456789", "000 123 456 789"),
        ("IBAN", "DE89370400440532013000", "de89 3704 0044 0532 0130 00"),
        ("NAME", "Roe", "ROE"),
        ("ID_NUMBER", "123456789", "12-3456789"),
        ("ID_NUMBER", "D1234567", "d1234567"),
        ("ADDRESS", "12 Oak Street Reno Nv", "12 Oak Street, Reno, NV"),
    ],
)
def test_spellings_of_a_value_are_told_to_be_the_same_and_each_comes_back_as_it_was(
    kind: str, usual: str, other: str
) -> None:
    given_out = placeholders()
    one, two = given_out.of(kind, usual), given_out.of(kind, other)
    assert two.startswith(one.removesuffix("]") + "_")
    assert given_out.restored(f"{one} = {two}", is_json=False) == f"{usual} = {other}"


def test_a_secret_has_one_spelling_alone() -> None:
    given_out = placeholders()
    assert given_out.of("SECRET", "hunter2")[:14] != given_out.of("SECRET", "Hunter2")[:14]


def test_two_values_never_share_a_placeholder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shield_placeholders, "_ID_CHARACTERS", 1)  # so that they meet
    given_out = placeholders()
    values = [f"person{number}@roe.example" for number in range(32)]
    assert len({given_out.of("EMAIL", value) for value in values}) == 32


def test_two_spellings_never_share_a_placeholder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shield_placeholders, "_SPELLING_CHARACTERS", 1)
    given_out = placeholders()
    spellings = ["".join(letter.upper() if bits >> at & 1 else letter for at, letter in enumerate("roejane"))
                 for bits in range(128)]  # fmt: skip
    assert len({given_out.of("NAME", spelling) for spelling in spellings}) == 128


def test_what_was_never_given_out_stays() -> None:
    given_out = placeholders()
    assert not given_out
    assert given_out.restored("[EMAIL_AAAAAA]", is_json=False) == "[EMAIL_AAAAAA]"
    assert given_out.of("EMAIL", EMAIL)
    assert given_out
    assert given_out.restored("[EMAIL_AAAAAA] [EMAIL] [1]", is_json=False) == "[EMAIL_AAAAAA] [EMAIL] [1]"


def test_a_changed_case_and_escapes_of_markdown_do_not_keep_a_value_away() -> None:
    given_out = placeholders()
    one = given_out.of("CREDIT_CARD", "4111111111111111")
    for written in (one, one.lower(), escaped(one), one.replace("_", r"\_"), one.title()):
        assert given_out.restored(f"<{written}>", is_json=False) == "<4111111111111111>"
        in_json = json.dumps({"a": written})
        assert json.loads(given_out.restored(in_json, is_json=True)) == {"a": "4111111111111111"}


def test_a_backslash_before_a_placeholder_is_the_texts_own() -> None:
    given_out = placeholders()
    one = given_out.of("NAME", "Jane")
    assert given_out.restored(rf"C:\{one}", is_json=False) == r"C:\Jane"


@pytest.mark.parametrize("value", ['say "hi"', "back\\slash", "two\nlines", "José 💰", "\ud800"])
def test_a_value_in_json_is_escaped(value: str) -> None:
    given_out = placeholders()
    answer = json.dumps({"quote": f"It is {given_out.of('TEXT', value)}."})
    assert json.loads(given_out.restored(answer, is_json=True)) == {"quote": f"It is {value}."}


def test_what_looks_like_a_placeholder_is_found_in_all_its_forms() -> None:
    text = r"a [EMAIL_K7Q2AB] b \[name\_k7q2ab\_5d\] c [EMAIL] [NOTE_K7Q2AB] [EMAIL_K7Q2A]"
    assert [text[start:end] for start, end in lookalikes(text)] == ["[EMAIL_K7Q2AB]", r"\[name\_k7q2ab\_5d\]"]
    assert lookalikes("none [at] all") == lookalikes("none_at_all") == []


def streamed(given_out: Placeholders, pieces: list[str], *, is_json: bool) -> list[str]:
    restoration = Restoration(given_out, is_json=is_json)
    return [*(restoration.add(piece) for piece in pieces), restoration.end()]


@pytest.mark.parametrize("is_json", [False, True])
def test_a_placeholder_comes_back_wherever_a_stream_cuts_it(is_json: bool) -> None:
    given_out = placeholders()
    ones = [given_out.of(kind, value) for kind, value in VALUES.items()]
    text = " and ".join([*ones, *map(escaped, ones), "[EMAIL_", "[1]", "\\"])
    text = json.dumps(text) if is_json else text
    whole = given_out.restored(text, is_json=is_json)
    for cut in range(len(text) + 1):
        assert "".join(streamed(given_out, [text[:cut], text[cut:]], is_json=is_json)) == whole
    assert "".join(streamed(given_out, list(text), is_json=is_json)) == whole


PLACEHOLDERS = placeholders()
ONES = [PLACEHOLDERS.of(kind, value) for kind, value in VALUES.items()]
FRAGMENTS = st.sampled_from(
    [
        *ONES,
        *map(escaped, ONES),
        *(one.lower() for one in ONES),
        *(one[:9] for one in ONES),
        *(one[2:] for one in ONES),
        "[EMAIL_AAAAAA]",
        "[",
        "]",
        "\\",
        "\\\\",
        "_",
        "[[",
        "Jane",
        " ",
        "[1]",
        "\n",
    ]
)


@given(parts=st.lists(FRAGMENTS, max_size=12), cuts=st.lists(st.integers(0, 400), max_size=12), is_json=st.booleans())
def test_a_stream_joined_is_the_whole_restored(parts: list[str], cuts: list[int], is_json: bool) -> None:
    text = "".join(parts)
    edges = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    joined = "".join(streamed(PLACEHOLDERS, pieces, is_json=is_json))
    assert joined == PLACEHOLDERS.restored(text, is_json=is_json)


@pytest.mark.parametrize("text", ["A note [see 2", "[Note", "[NAMES_", "x_y", "[EMAIL_K7Q2AB] it is", "[", "\\"])
def test_nothing_is_held_that_cannot_become_a_placeholder(text: str) -> None:
    given_out = placeholders()
    given_out.of("NAME", "Jane")
    held = {"[": "[", "\\": "\\"}.get(text, "")
    assert streamed(given_out, [text], is_json=False) == [text.removesuffix(held), held]
    assert streamed(placeholders(), [text], is_json=False) == [text, ""]


def test_only_the_begun_placeholder_is_held() -> None:
    given_out = placeholders()
    one = given_out.of("NAME", "Jane")
    assert streamed(given_out, [f"Dear {one[:8]}", f"{one[8:]}, hello"], is_json=False) == ["Dear ", "Jane, hello", ""]


@pytest.mark.parametrize("piece", ["[", "\\", "[EMAIL_", "\\[", "[NAME_AAAAAA", "_"])
def test_a_long_text_of_beginnings_takes_linear_time(piece: str) -> None:
    given_out = placeholders()
    given_out.of("NAME", "Jane")
    text = piece * (200_000 // len(piece))
    assert "".join(streamed(given_out, [text], is_json=True)) == text
    assert lookalikes(text) == []
