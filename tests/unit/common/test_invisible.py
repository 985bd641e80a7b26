import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.invisible import visible, visible_offsets


@pytest.mark.parametrize(
    "text", ["", "Is $500,000 & 80% enough?\n\tcafé §", "日本語 ﬁ ½", "عربي", "a\u00a0b\u2028c\x85d"]
)
def test_what_a_reader_sees_stays(text: str) -> None:
    assert visible(text) is text


def test_words_spelled_in_tag_characters_and_variation_selectors_go() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore") + "\ufe0f\U000e01ef"
    assert visible(f"LTV{hidden} limit") == "LTV limit"


@given(st.text())
def test_offsets_lead_back_to_what_is_seen(text: str) -> None:
    assert "".join(text[place] for place in visible_offsets(text)) == visible(text)


@given(st.text())
def test_no_format_or_private_character_is_left(text: str) -> None:
    left = {unicodedata.category(letter) for letter in visible(text)}
    assert not left & {"Co", "Cs"}
    assert not any("\u200b" <= letter <= "\u200f" or letter >= "\U000e0000" for letter in visible(text))
