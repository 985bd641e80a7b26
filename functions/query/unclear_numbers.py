"""Numbers in a message that may stand for more than one amount, or for none: they are asked about, never guessed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CURRENCY = r"(?:us\$|[$€£])"
_TAIL = r"[\w.,]{0,30}"
_UNCLEAR = re.compile(
    rf"""
    (?P<negative>(?<![\w.,)%$€£])
        (?:[-−–]{_CURRENCY}?|{_CURRENCY}\s?[-−–]|(?:minus|negative)\s{{1,2}}{_CURRENCY}?)(?=\d){_TAIL})
  | (?<![\w.,])(?P<number>\d{_TAIL})
    """,
    re.IGNORECASE | re.VERBOSE,
)
_AFTER_A_NUMBER = re.compile(r"[\dkm%]\s{0,3}$", re.IGNORECASE)  # "300k -350k" is a range, "400k minus 20k" a sum
_LETTERS = re.compile(r"\d[\d.,]*[oOlI](?!z)[\w.,]*")  # "10oz" is a weight
_THOUSANDS_BY_DOT = re.compile(r"(?:[1-9]\d{1,2}(?:\.\d{3})|[1-9]\d{0,2}(?:\.\d{3}){2,})(?:,\d{1,2})?")
_SCALED = re.compile(r"\s{0,2}(?:%|per|pct|thousand|grand|million|billion|mio|mil|mm|mn|bn|[kmb])", re.IGNORECASE)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3}){1,5}(?:\.\d+)?")
_BADLY_GROUPED = re.compile(r"\d+(?:,\d+)+(?:\.\d+)?")
_GLUED = re.compile(r"\d[\d.,]*(?P<letters>[^\W\d_]\w*)")
_KNOWN_LETTERS = re.compile(
    r"(?:k|m|mm|mn|mil|mio|b|bn|[mb]illion|thousand|grand|(?:day|week|month|mo|year|yr)s?|st|nd|rd|th|x|s|usd|eur|gbp|"
    r"chf|cad|euros?|dollars?|bucks|percent|pct|pa|cfr|usc|family|oz|am|pm|e\d|e1[0-2])",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"(?:cfr|part|sections?|§|no\.|form|article|reg|appendix|rule)\s{0,2}$", re.IGNORECASE)
_FEWEST_DIGITS = 2  # with letters glued to it: "2br" is no amount to anybody
_FEWEST_GROUPED_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclearNumber:
    """`text` stands at `message[start:end]`; `why` is a clause that names the doubt, as "is below zero"."""

    text: str
    why: str
    start: int
    end: int


def unclear_numbers(message: str) -> tuple[UnclearNumber, ...]:
    """Left to right, without overlaps; time grows in proportion to the length of `message`."""
    return tuple(_found(message))


def _found(message: str) -> Iterator[UnclearNumber]:
    for match in _UNCLEAR.finditer(message):
        text = match.group().rstrip(".,")
        before = message[max(0, match.start() - 12) : match.start()]
        end = match.start() + len(text)
        why = _below_zero(before) if match["negative"] else _doubt(text, before, message[end : end + 10])
        if why:
            yield UnclearNumber(text=text, why=why, start=match.start(), end=end)


def _below_zero(before: str) -> str:
    return "" if _AFTER_A_NUMBER.search(before) else "is an amount below zero"


def _doubt(text: str, before: str, after: str) -> str:
    """Why `text` cannot be read; empty where it can, or where it is part of a citation."""
    if _REFERENCE.search(before):
        return ""
    if _LETTERS.fullmatch(text) and not _is_known(text):
        return "has letters among its digits"
    if _THOUSANDS_BY_DOT.fullmatch(text) and not _SCALED.match(after):
        return "may have a decimal point or a thousands separator"
    if _BADLY_GROUPED.fullmatch(text) and not _GROUPED.fullmatch(text) and _digits(text) >= _FEWEST_GROUPED_DIGITS:
        return "has commas where no thousands end"
    if _GLUED.fullmatch(text) and not _is_known(text) and _digits(text) >= _FEWEST_DIGITS:
        return "has letters behind it that I do not know"
    return ""


def _is_known(text: str) -> bool:
    """A unit or an ending that belongs to a number: "400k", "30yr", "1e6"."""
    glued = _GLUED.fullmatch(text)
    return glued is not None and _KNOWN_LETTERS.fullmatch(glued["letters"].rstrip(".,")) is not None


def _digits(text: str) -> int:
    return sum(one.isdigit() for one in text)


_FOREIGN = re.compile(
    r"(?P<EUR>€|(?<![a-z])eur(?![a-z])|\beuros?\b)|(?P<GBP>£|(?<![a-z])gbp(?![a-z])|\bpounds? sterling\b)|"
    r"(?P<CHF>(?<![a-z])chf(?![a-z]))|(?P<CAD>(?<![a-z])cad(?![a-z])|\bca?\$)|(?P<AUD>(?<![a-z])aud(?![a-z])|\bau?\$)|"
    r"(?P<JPY>¥|(?<![a-z])jpy(?![a-z])|\byen\b)|(?P<USD>\$|(?<![a-z])usd(?![a-z])|\bdollars?\b)",
    re.IGNORECASE,
)


def currencies(message: str) -> tuple[str, ...]:
    """ISO 4217 codes of the currencies that `message` names, each once, in its order; empty where it names none."""
    return tuple(dict.fromkeys(match.lastgroup for match in _FOREIGN.finditer(message) if match.lastgroup))
