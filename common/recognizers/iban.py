"""International bank account numbers."""

import re
from collections.abc import Iterator

from common.recognizers.patterns import pattern
from common.recognizers.span import PiiKind, PiiSpan

# Length by country.
# Source: SWIFT, IBAN Registry (ISO 13616-2), release 99; and the countries that use the form without being in it.
_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL SD FK", "19": "MK SI", "20": "AT BA EE KZ LT LU XK MN",
        "21": "CH CR HR LI LV", "22": "BG BH DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST", "26": "IS TR IR", "27": "FR GR IT MC MR SM BI DJ",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV HN", "29": "BR EG PS QA UA", "30": "JO KW MU YE", "31": "MT SC",
        "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
_OF_DIGITS = frozenset(
    "AT BA BE CZ DE DK EE ES FI FO GL HR HU IL IS LT ME MN NO PL PT RS RU SE SI SK ST TL TN VA XK DZ LY SD SO".split()
)
_START = pattern(r"\d(?<=[A-Za-z]{2}\d)\d[ \-]?[A-Za-z0-9]{2}", re.ASCII)
_REST = pattern(r"(?:[ \-]?[A-Za-z0-9]){11,32}", re.ASCII)


def find(text: str) -> Iterator[PiiSpan]:
    """Account numbers in a plain text, in groups or not, in capitals or not."""
    free = 0
    for found in _START.finditer(text):
        start = found.start() - 2
        length = _LENGTHS.get(text[start : start + 2].upper())
        if length is None or start < free or text[start - 1 : start].isalnum():
            continue
        end = _end_of(text, start, length)
        if end is not None and is_valid(text[start:end]):
            free = end
            yield PiiSpan(start, end, PiiKind.IBAN)


def _end_of(text: str, start: int, length: int) -> int | None:
    """Where the `length` letters and digits from `start` on end; None where no word ends there."""
    rest = _REST.match(text, start + 4)
    if rest is None:
        return None
    end, left = start + 4, length - 4
    while left and end < rest.end():
        left -= text[end].isalnum()
        end += 1
    return None if left or text[end : end + 1].isalnum() else end


def is_valid(number: str) -> bool:
    """Whether the check digits (the third and fourth character) are right, by the remainder of 97.

    Where a country's numbers hold no letters, neither may this: sixteen hexadecimal digits are right by chance.

    Source: ISO 13616-1; ISO/IEC 7064, MOD 97-10.
    """
    compact = "".join(filter(str.isalnum, number)).upper()
    if not "02" <= compact[2:4] <= "98" or (compact[:2] in _OF_DIGITS and not compact[4:].isdigit()):
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1
