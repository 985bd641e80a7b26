"""Figures in text: numbers with their unit, in one form however they are written."""

import re
from dataclasses import dataclass
from decimal import Decimal

_SMALL = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen".split()
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: number for number, word in enumerate(_SMALL)} | {
    word: 10 * number for number, word in enumerate(_TENS, start=2)
}
_WORDS |= {f"{tens}-{one}": _WORDS[tens] + _WORDS[one] for tens in _TENS for one in _SMALL[1:10]}
_WORDS |= {"hundred": 100, "thousand": 1_000}

_MAGNITUDES = {
    "k": 1_000, "thousand": 1_000, "m": 1_000_000, "mm": 1_000_000, "mn": 1_000_000, "million": 1_000_000,
    "b": 1_000_000_000, "bn": 1_000_000_000, "billion": 1_000_000_000,
}  # fmt: skip
_UNITS = {
    "%": "percent", "percent": "percent", "per cent": "percent", "percentage": "percent",
    "day": "day", "days": "day", "week": "week", "weeks": "week", "month": "month", "months": "month",
    "year": "year", "years": "year", "hour": "hour", "hours": "hour", "minute": "minute", "minutes": "minute",
    "dollar": "usd", "dollars": "usd", "usd": "usd",
    "point": "point", "points": "point",
}  # fmt: skip
_NAMED_UNIT = "|".join(sorted((re.escape(unit) for unit in _UNITS), key=len, reverse=True))
# As in 30 days, in 30 (thirty) business days, in sixty (60) days and in 30-day.
_UNIT = (
    r"(?:\s{0,2}\([\w-]{1,15}\))?[\s-]{0,2}(?:(?:calendar|business|full|consecutive|U\.S\.)[\s-])?"
    rf"(?P<unit>{_NAMED_UNIT})(?![A-Za-z])"
)
_NUMBER = re.compile(
    rf"(?P<usd>\$|USD\s)?\s?(?<![\d.,])(?P<number>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d{{1,18}}(?:\.\d+)?|(?<=\$)\.\d+)"
    rf"(?:\s?(?P<magnitude>{'|'.join(sorted(_MAGNITUDES, key=len, reverse=True))})(?![A-Za-z]))?"
    rf"(?:{_UNIT})?",
    re.IGNORECASE,
)
_NUMBER_WORD = re.compile(
    rf"(?<![A-Za-z-])(?P<word>{'|'.join(sorted(_WORDS, key=len, reverse=True))})(?![A-Za-z])(?:{_UNIT})?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number and its unit ("percent", "day", "usd", ...), or None where the text names none."""

    value: Decimal
    unit: str | None


def figures(text: str, *, bare_words: bool = True) -> frozenset[Figure]:
    """The figures in `text`: "$1.2 million", "80 percent", "30-day", "sixty days".

    A number in words without a unit ("one of them") counts only with `bare_words`. Zero-padding and thousands
    separators make no difference; "1.20" is "1.2".
    """
    found = {_from_digits(match) for match in _NUMBER.finditer(text)}
    for match in _NUMBER_WORD.finditer(text):
        if bare_words or match["unit"]:
            found.add(Figure(value=Decimal(_WORDS[match["word"].lower()]), unit=_unit(match["unit"])))
    return frozenset(found)


def _from_digits(match: re.Match[str]) -> Figure:
    value = Decimal(match["number"].replace(",", ""))
    if match["magnitude"]:
        value *= _MAGNITUDES[match["magnitude"].lower()]
    return Figure(value=value.normalize(), unit=_unit(match["unit"]) or ("usd" if match["usd"] else None))


def _unit(word: str | None) -> str | None:
    return _UNITS[word.lower()] if word else None


def is_supported(figure: Figure, by: frozenset[Figure]) -> bool:
    """Whether `by` holds the same number, in the same unit or with the unit left open on either side."""
    return any(
        other.value == figure.value and (figure.unit is None or other.unit is None or other.unit == figure.unit)
        for other in by
    )
