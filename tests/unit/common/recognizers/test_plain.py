from hypothesis import given
from hypothesis import strategies as st

from common.recognizers.plain import plain


def test_digits_and_separators_of_unicode_become_ascii() -> None:
    assert plain("４１５－５５５") == "415-555"
    assert plain("٠١٢") == "012"
    assert plain("+1\u00a0(415)\u2007555\u20110132") == "+1 (415) 555-0132"
    assert plain("ＡＢ12") == "AB12"
    assert plain("a・b") == "a.b"
    assert plain("（１）") == "(1)"


def test_percent_encoded_separators_keep_their_length() -> None:
    assert plain("%2B1%20415%2d555") == "  +1   415  -555"


def test_ascii_stays_the_same_object() -> None:
    text = "nothing here: 50 %"
    assert plain(text) is text


@given(st.text())
def test_a_plain_text_is_as_long_as_the_text(text: str) -> None:
    assert len(plain(text)) == len(text)
