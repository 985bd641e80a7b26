"""US Social Security numbers, and the taxpayer numbers (ITIN) that are written like them."""

import re
from collections.abc import Iterator, Sequence

from common.recognizers.labels import Label
from common.recognizers.patterns import pattern
from common.recognizers.runs import Run
from common.recognizers.span import PiiKind, PiiSpan

_GROUPED = pattern(r"\d{3}(?<![0-9A-Za-z_]\d{3})(?<!\d[.\-]\d{3})([ .\-])\d\d\1\d{4}(?![0-9A-Za-z_]|[.\-]\d)", re.ASCII)
_BARE = pattern(r"\d{9}(?<![0-9A-Za-z_]\d{9})(?![0-9A-Za-z_])", re.ASCII)
_SWISS = pattern(r"756\.\d{4}\.\d{4}\.\d\d(?![\d.])", re.ASCII)
_US_GROUPS, _SWISS_GROUPS = bytes((3, 2, 4)), bytes((3, 4, 4, 2))
_OTHER_KINDS = frozenset({Label.PHONE, Label.ID, Label.ROUTING, Label.ACCOUNT})


def find(runs: Sequence[Run]) -> Iterator[PiiSpan]:
    """Social security numbers.

    With dashes, spaces or dots anywhere; bare only after words such as "SSN". The Swiss number (756.1234.5678.97),
    which others call a social security number too, in its official form.
    """
    for run in runs:
        if run.digits < 9:
            continue
        if _US_GROUPS in run.lengths:
            yield from _grouped(run)
        if _SWISS_GROUPS in run.lengths:
            for found in _SWISS.finditer(run.text, run.start, run.end):
                yield PiiSpan(found.start(), found.end(), PiiKind.SSN)
        if run.is_worded and (run.label is Label.SSN or (run.label is None and run.label_after is Label.SSN)):
            for found in _BARE.finditer(run.text, run.start, run.end):
                if is_assignable(found[0]):
                    yield PiiSpan(found.start(), found.end(), PiiKind.SSN)


def _grouped(run: Run) -> Iterator[PiiSpan]:
    for found in _GROUPED.finditer(run.text, run.start, run.end):
        is_said = run.is_worded and run.label is Label.SSN  # numbers that were never assigned are written too
        if is_said or (is_assignable(found[0]) and (found[1] == "-" or run.label not in _OTHER_KINDS)):
            yield PiiSpan(found.start(), found.end(), PiiKind.SSN)


def is_assignable(number: str) -> bool:
    """Whether nine digits, with or without separators between, can be a social security or a taxpayer number.

    Area 000, 666 and 900-999, group 00 and serial 0000 were never assigned. A taxpayer number begins with 9, and its
    group is 50-65, 70-88, 90-92 or 94-99.

    Source: Social Security Administration, POMS RM 10201.035; IRS, Internal Revenue Manual 3.21.263.
    """
    digits = "".join(filter(str.isdigit, number))
    area, group, serial = digits[:3], int(digits[3:5]), digits[5:]
    if area in {"000", "666"} or group == 0 or serial == "0000":
        return False
    if area < "900":
        return True
    return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99
