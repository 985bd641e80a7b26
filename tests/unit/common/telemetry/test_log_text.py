"""Texts that may go out: cut without showing half of something, and never unmasked."""

import sys

import pytest

from common.pii import mask, mask_value
from common.telemetry import log_counts
from common.telemetry.log_text import LOOKAHEAD, MAX_TRACEBACK, Cleaner, text_of

MAIL = "jane.roe@example.com"


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(log_counts, "failed", found.append)
    return found


@pytest.fixture
def cleaner() -> Cleaner:
    return Cleaner(mask, mask_value)


@pytest.mark.parametrize("before", range(40))
@pytest.mark.parametrize("after", [0, 50, LOOKAHEAD - 10, LOOKAHEAD + 50])
def test_a_value_at_the_cut_never_escapes_by_half(cleaner: Cleaner, before: int, after: int) -> None:
    text = "x" * before + f" {MAIL} " + "y " * (after // 2)
    cut = cleaner.text(text, 30)
    assert "jane" not in cut
    assert "example" not in cut


def test_a_value_at_the_end_of_what_masking_sees_is_not_shown(cleaner: Cleaner) -> None:
    text = "x " * 10 + "y " * (LOOKAHEAD // 2 - 4) + MAIL + " z" * 100
    assert "jane" not in cleaner.text(text, 20)


def test_a_note_says_how_long_it_was(cleaner: Cleaner) -> None:
    assert cleaner.text("a " * 30, 10) == "a a a a a ... [cut: 60 characters]"
    assert cleaner.text("a " * 5, 10) == "a " * 5


def test_url_encoded_values_are_masked(cleaner: Cleaner) -> None:
    assert cleaner.text("GET /?mail=jane.roe%40example.com&rate=5%25", 100) == "GET /?mail=[EMAIL]&rate=5%25"
    assert cleaner.text("GET /?ssn=078%2D05%2D1120&rate=5%25", 100) == "GET /?ssn=[SSN]&rate=5%"
    assert cleaner.text("GET /?rate=5%25", 100) == "GET /?rate=5%25"


def test_what_cannot_be_masked_is_left_out(failures: list[str]) -> None:
    def broken(value: object) -> str:
        raise RecursionError

    cleaner = Cleaner(broken, broken)
    assert cleaner.text(MAIL, 100) == "[left out: could not be masked]"
    assert cleaner.named("x", [MAIL]) == "[left out: could not be masked]"
    assert failures == ["masking", "masking"]


def test_a_value_is_read_beside_its_name(cleaner: Cleaner) -> None:
    assert cleaner.named("api_key", ["anything at all"]) == "[SECRET]"
    assert cleaner.named("x", {MAIL: 1}) == {"[EMAIL]": 1}
    assert Cleaner(mask, lambda _value: 5).named("x", 1) == 5


def test_a_traceback_is_cut_as_well(cleaner: Cleaner) -> None:
    error = ValueError(MAIL + " " + "x" * 1_000_000)
    assert len(cleaner.traceback((ValueError, error, None))) < MAX_TRACEBACK + 100


def test_an_exception_that_cannot_be_shown_is_named(cleaner: Cleaner, failures: list[str]) -> None:
    class Broken(Exception):
        def __getattribute__(self, name: str) -> object:
            raise KeyError(MAIL)

    assert cleaner.traceback((Broken, Broken(), None)) == "Broken"
    assert failures == ["traceback"]


def test_lone_surrogates_become_escapes(cleaner: Cleaner) -> None:
    assert cleaner.text("é\ud800", 10) == "é\\ud800"


def test_anything_has_a_text(failures: list[str]) -> None:
    class Broken:
        def __str__(self) -> str:
            raise KeyError(MAIL)

    assert text_of(Broken()) == "<unprintable Broken>"
    assert text_of(b"caf\xc3\xa9 \xff") == "café \\xff"
    assert text_of(memoryview(b"abc")) == text_of(bytearray(b"abc")) == "abc"
    assert text_of(10 ** (sys.get_int_max_str_digits() + 1)) == "<unprintable int>"
    assert failures == ["unprintable", "unprintable"]
