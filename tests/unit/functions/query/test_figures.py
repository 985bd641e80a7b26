from decimal import Decimal

import pytest

from functions.query.figures import Figure, figures, is_supported


def figure(value: str, unit: str | None = None) -> Figure:
    return Figure(value=Decimal(value), unit=unit)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$1.2 million", figure("1200000", "usd")),
        ("USD 20,000", figure("20000", "usd")),
        ("$500,000.", figure("500000", "usd")),
        ("$.50 a share", figure("0.5", "usd")),
        ("400k", figure("400000")),
        ("80 percent", figure("80", "percent")),
        ("80%", figure("80", "percent")),
        ("87.50 %", figure("87.5", "percent")),
        ("a 30-day notice", figure("30", "day")),
        ("30 (thirty) business days", figure("30", "day")),
        ("sixty (60) calendar days", figure("60", "day")),
        ("Sixty days", figure("60", "day")),
        ("forty-five days", figure("45", "day")),
        ("12 CFR 1002.9", figure("1002.9")),
        ("three years", figure("3", "year")),
        ("12 point type", figure("12", "point")),
    ],
)
def test_a_figure_is_read_however_it_is_written(text: str, found: Figure) -> None:
    assert found in {figure(str(one.value), one.unit) for one in figures(text)}


@pytest.mark.parametrize("text", ["", "none of them", "at one of the branches", "someone"])
def test_words_that_are_no_figures(text: str) -> None:
    assert not figures(text, bare_words=False)


def test_a_bare_number_word_counts_in_a_source() -> None:
    assert figure("4") in figures("up to four reasons")


@pytest.mark.parametrize(
    ("said", "source", "supported"),
    [
        (figure("30", "day"), "within 30 days", True),
        (figure("30", "day"), "within thirty days", True),
        (figure("30"), "within 30 days", True),
        (figure("30", "day"), "the number is 30", True),
        (figure("30", "day"), "at 30 percent", False),
        (figure("31", "day"), "within 30 days", False),
        (figure("80", "percent"), "$80", False),
    ],
)
def test_a_figure_is_supported_by_the_same_number_in_no_other_unit(said: Figure, source: str, supported: bool) -> None:
    assert is_supported(said, figures(source)) is supported
