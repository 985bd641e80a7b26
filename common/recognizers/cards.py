"""Payment card numbers: 13 to 19 digits with an issuer's prefix and a correct check digit."""

import re
from collections.abc import Iterator, Sequence

from common.recognizers.labels import Label
from common.recognizers.patterns import pattern
from common.recognizers.runs import Run
from common.recognizers.span import PiiKind, PiiSpan

_DOUBLED = str.maketrans("0123456789", "0246813579")  # twice the digit, its own digits added

# First digits, and the lengths that go with them.
# Source: ISO/IEC 7812-1 and the ranges that the networks publish; a Maestro number may have twelve digits.
_ISSUERS: tuple[tuple[int, int, frozenset[int]], ...] = (
    (4000, 4999, frozenset({13, 16, 19})),  # Visa
    (5100, 5599, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),  # Mastercard
    (3400, 3499, frozenset({15})),  # American Express
    (3700, 3799, frozenset({15})),  # American Express
    (3000, 3059, frozenset({14, 16, 17, 18, 19})),  # Diners Club
    (3095, 3095, frozenset({14, 16, 17, 18, 19})),  # Diners Club
    (3600, 3699, frozenset({14, 16, 17, 18, 19})),  # Diners Club
    (3800, 3999, frozenset({14, 16, 17, 18, 19})),  # Diners Club
    (3528, 3589, frozenset({16, 17, 18, 19})),  # JCB
    (1800, 1800, frozenset({15})),  # JCB
    (2131, 2131, frozenset({15})),  # JCB
    (2200, 2204, frozenset({16, 17, 18, 19})),  # Mir
    (5018, 5099, frozenset(range(12, 20))),  # Maestro, Dankort, Verve, Elo
    (5600, 5899, frozenset(range(12, 20))),  # Maestro
    (6000, 6999, frozenset(range(12, 20))),  # Discover, UnionPay, RuPay, Maestro and others
    (8100, 8299, frozenset({16, 17, 18, 19})),  # UnionPay, RuPay
    (9792, 9792, frozenset({16})),  # Troy
)
_GROUPS = tuple(map(bytes, ((4, 4, 4), (4, 6, 5), (4, 6, 4), (6, 13), (8, 8), (4, 5, 4), (6, 6, 4), (6, 4, 5))))
_DIGITS = pattern(r"\d{1,2100}", re.ASCII)


def find(runs: Sequence[Run]) -> Iterator[PiiSpan]:
    """Card numbers, whatever stands between the digits.

    Groups that no card is printed in (5105 10 51051051 00) count only where the words before speak of a card, and so
    do the twelve digits of a short Maestro number; a bare number that is called an id does not count.
    """
    for run in runs:
        if run.digits >= 12 and _may_hold(run):
            yield from _in_run(run)


def _in_run(run: Run) -> Iterator[PiiSpan]:
    """The cards among the groups of a run; others may stand beside them: dates, security codes, further cards."""
    groups = list(_DIGITS.finditer(run.text, run.start, run.end))
    free = 0
    for first in range(len(groups)):
        if first < free:
            continue
        last = _last_of_card(run, first)
        if last is not None:
            yield PiiSpan(groups[first].start(), groups[last].end(), PiiKind.CREDIT_CARD)
            free = last + 1


def _last_of_card(run: Run, first: int) -> int | None:
    """The last group of the longest card number that begins with group `first`; None where none does."""
    number, longest = "", None
    for last in range(first, len(run.groups)):
        number += run.groups[last]
        if len(number) > 19:
            break
        if len(number) >= 12 and is_card(number) and _is_meant(run, run.lengths[first : last + 1]):
            longest = last
    return longest


def _may_hold(run: Run) -> bool:
    if max(run.lengths) > 12 or (run.is_worded and run.label is Label.CARD):
        return True
    return len(run.lengths) > 1 and any(groups in run.lengths for groups in _GROUPS)


def _is_meant(run: Run, lengths: bytes) -> bool:
    if run.label is Label.CARD:
        return True
    if len(lengths) > 1:
        return sum(lengths) > 12 and lengths.startswith(_GROUPS)
    if lengths[0] > 16 and not run.groups[0].startswith(("4", "62")):  # rare as cards, common as ids and times
        return False
    return lengths[0] > 12 and run.label not in {Label.ID, Label.PHONE}


def is_card(digits: str) -> bool:
    """Whether the digits have an issuer's prefix, a length of that issuer, and a correct check digit."""
    first = int(digits[:4])
    return any(low <= first <= high and len(digits) in lengths for low, high, lengths in _ISSUERS) and luhn(digits)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of those before.

    Source: ISO/IEC 7812-1, annex B.
    """
    return sum(map(int, digits[::-2] + digits[-2::-2].translate(_DOUBLED))) % 10 == 0
