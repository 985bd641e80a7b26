"""US bank routing numbers and account numbers."""

import re
from collections.abc import Iterator, Sequence

from common.recognizers.labels import Label
from common.recognizers.patterns import pattern
from common.recognizers.runs import Run
from common.recognizers.span import PiiKind, PiiSpan

_ACCOUNT = pattern(r"\d(?<![0-9A-Za-z_]\d)(?:[ \-]?\d){6,16}(?![0-9A-Za-z_])", re.ASCII)
_ROUTING = pattern(r"\d(?<![0-9A-Za-z_]\d)(?:[ \-]?\d){8}(?![0-9A-Za-z_])", re.ASCII)
_CLOUD = pattern(r"\baws\b|\barn:", re.IGNORECASE)  # whose accounts have twelve digits


def find(runs: Sequence[Run]) -> Iterator[PiiSpan]:
    """Routing numbers (nine digits) and account numbers (7 to 17 digits), both only where words say so."""
    for run in runs:
        if not run.is_worded:
            continue
        if run.label is Label.ROUTING or (run.label is None and run.label_after is Label.ROUTING):
            for found in _ROUTING.finditer(run.text, run.start, run.end):
                if is_routing_number(found[0]):
                    yield PiiSpan(found.start(), found.end(), PiiKind.US_BANK)
        elif _is_account(run):
            for found in _ACCOUNT.finditer(run.text, run.start, run.end):
                yield PiiSpan(found.start(), found.end(), PiiKind.US_BANK)


def _is_account(run: Run) -> bool:
    """Whether the words say so, and neither those after that it counts something, nor the groups that it is a phone."""
    if run.label is None:
        return len(run.groups) == 1 and run.label_after is Label.ACCOUNT
    if run.label is not Label.ACCOUNT or not run.direct or (run.digits == 12 and _is_cloud(run)):
        return False
    return not run.lengths.endswith(bytes((3, 3, 4))) and run.label_after is not Label.UNIT


def _is_cloud(run: Run) -> bool:
    return _CLOUD.search(run.text, max(0, run.start - 250), run.end + 250) is not None


def is_routing_number(number: str) -> bool:
    """Whether nine digits, with or without separators, are a routing number: its prefix and its check digit are right.

    The first two digits are 00 to 12 (government and Federal Reserve districts), 21 to 32 (thrifts), 61 to 72
    (electronic) or 80 (traveller's cheques).

    Source: American Bankers Association, Routing Number Policy.
    """
    digits = [int(digit) for digit in number if digit.isdigit()]
    if len(digits) != 9:
        return False
    prefix = digits[0] * 10 + digits[1]
    if not (prefix <= 12 or 21 <= prefix <= 32 or 61 <= prefix <= 72 or prefix == 80):
        return False
    weighted = 3 * sum(digits[0::3]) + 7 * sum(digits[1::3]) + sum(digits[2::3])
    return weighted % 10 == 0 and weighted > 0
