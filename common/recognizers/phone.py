"""Telephone numbers."""

import re
from collections.abc import Iterator, Sequence

from common.recognizers.calling_codes import LONGEST_OF_ALL, is_country, longest
from common.recognizers.labels import Label
from common.recognizers.patterns import pattern
from common.recognizers.runs import Run
from common.recognizers.span import PiiKind, PiiSpan

_NANP = pattern(
    r"(?:\(\d{3}\)[ .\-]{0,6}|(?<!\d)\d{3}([ .\-/])[ .\-]{0,3})\d{3}[ .\-]{1,3}\d{4}(?![0-9A-WYZa-wyz_]|[\-./]\d)",
    re.ASCII,
)
_NANP_PREFIX = pattern(r"(?<![0-9A-Za-z_])(?:001|1)[ .\-]{0,2}\Z", re.ASCII)
_EXTENSION = pattern(
    r"(?: {0,2}[,;]? {0,2}(?:x|ext|extn|extension|poste|anexo|ramal|int|durchwahl)[.:]? {0,2}| ?# ?)"
    r"\d{1,6}(?![0-9A-Za-z_])",
    re.IGNORECASE | re.ASCII,
)
_GROUP = pattern(r"\d{1,2100}", re.ASCII)
_FRONT_DATE = pattern(r"\d{1,2}([./\-])\d{1,2}\1(?:19|20)\d\d ", re.ASCII)
_FRACTION = pattern(r"[,:]\d", re.ASCII)
_INNER = pattern(r"[ /]\(?0|\(\d{2,5}\)", re.ASCII)  # where a number may begin within a run
_DATE = pattern(
    r"(?:\d{1,2}([./\-])\d{1,2}\1(?:19|20)?\d\d|(?:19|20)\d\d([./\-])\d\d?\2\d\d?)(?!\d|[./\-]\d)", re.ASCII
)
_BREAK = pattern(r" {4,}| [/\-] | {1,3}\.|\. {1,3}|(?<=\d{4}|[ .\-]\d{3}|.[ .\-]\d\d) (?=\()", re.ASCII)
_INTERNET = pattern(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", re.ASCII)
_IN_PAIRS = bytes((2, 2, 2, 2))
_SPACE = pattern(r" ")
_SAYS_PHONE = frozenset({Label.PHONE, Label.CONTACT, Label.PLACE})
_OTHER_KINDS = frozenset({Label.SSN, Label.CARD, Label.ROUTING, Label.ACCOUNT, Label.ID, Label.VERSION})

_RUSSIAN = frozenset({bytes((1, 3, 3, 2, 2)), bytes((3, 3, 2, 2))})
_NANP_GROUPS = bytes((3, 3, 4))


def find(runs: Sequence[Run]) -> Iterator[PiiSpan]:
    """Telephone numbers with their `+`, parentheses and extension."""
    for run in runs:
        if not _may_hold(run):
            continue
        for start, end in _numbers(run):
            extension = _EXTENSION.match(run.text, end)
            if start and run.text[start - 1] == "(" and run.text[start] != "(" and ")" in run.text[start:end]:
                start -= 1
            yield PiiSpan(start, extension.end() if extension is not None else end, PiiKind.PHONE)


def _may_hold(run: Run) -> bool:
    """Whether the words around, a plus or parenthesis before, a leading zero or the groups hint at a phone number."""
    return (
        run.groups[0][0] == "0"
        or _NANP_GROUPS in run.lengths
        or run.text[run.start - 1 : run.start] in {"+", "("}
        or run.text.endswith("+ ", 0, run.start)
        or run.lengths.startswith(tuple(_RUSSIAN))
        or (len(run.groups) > 1 and _INNER.search(run.text, run.start, run.end) is not None)
        or (run.is_worded and (run.label in _SAYS_PHONE or run.label_after is Label.PHONE))
    )


def _numbers(run: Run) -> Iterator[tuple[int, int]]:
    position = run.start
    plus = _plus_before(run.text, run.start)
    if plus is not None:
        end = _international_end(run)
        if end is not None:
            yield plus, end
            position = end
    if _NANP_GROUPS in run.lengths:
        for found in _NANP.finditer(run.text, position - (run.text[position - 1 : position] == "("), run.end):
            start = _nanp_start(run.text, position, found.start())
            if start is None or not _is_nanp(run, found, start):
                continue
            yield from _others(run, position, start)
            yield start, found.end()
            position = found.end()
    yield from _others(run, position, run.end)


def _nanp_start(text: str, floor: int, start: int) -> int | None:
    """Where the number whose area code is at `start` begins, with its prefix 1 or 001; None within other digits."""
    prefix = _NANP_PREFIX.search(text, max(floor, start - 6), start)
    if prefix is not None:
        start = prefix.start()
    before, further = text[start - 1 : start], text[max(0, start - 2) : max(0, start - 1)]
    if before.isalnum() or (before in {"-", ".", "/"} and further.isalnum()):
        return None
    return start


def _plus_before(text: str, start: int) -> int | None:
    """Where the plus before `start` stands, if one does and no word ends there."""
    head = text[max(0, start - 3) : start].rstrip(" (")
    if not head.endswith("+"):
        return None
    plus = max(0, start - 3) + len(head) - 1
    return None if text[plus - 1 : plus].isalnum() and plus else plus


def _international_end(run: Run) -> int | None:
    """Where the number after a plus ends; None where the digits are none: too few, or no country's."""
    text, digits, end = run.text, "", None
    for group in _GROUP.finditer(text, run.start, run.end):
        is_trunk_zero = digits and group[0] == "0" and text[group.start() - 1] == "("
        grown = digits if is_trunk_zero else digits + group[0]
        is_complete = text[group.start() - 1] == " " and len(digits) >= 7 and len(grown) > longest(grown) + 2
        is_next = text[group.start() - 1] == "(" and len(digits) > 6
        is_next = is_next or text[group.start() - 2 : group.start()] == " -"  # +1234567 -2345678: changed lines
        if is_complete or is_next or len(grown) > LONGEST_OF_ALL:
            break
        digits, end = grown, group.end()
    if end is None or len(digits) < 7:
        return None
    is_grouped = end - run.start > len(digits)
    return end if is_grouped or (len(digits) > 7 and is_country(digits)) else None


def _is_nanp(run: Run, found: re.Match[str], start: int) -> bool:
    """Whether three, three and four digits are a number of North America.

    With parentheses, dashes or dots the form says so; columns of numbers have it with spaces, so these must be
    assignable (area and exchange do not begin with 0 or 1), or labelled.

    Source: North American Numbering Plan Administrator, ATIS-0300051.
    """
    if found[1] != " ":
        return run.label not in {Label.ID, Label.VERSION} or not run.direct
    if run.label in _SAYS_PHONE:
        return True
    area, exchange = _GROUP.findall(found[0])[-3:-1]
    return run.label is None and area > "2" and exchange > "2" and not _is_in_row(run.text, start, found.end())


def _is_in_row(text: str, start: int, end: int) -> bool:
    """Whether further digits stand beside, as in a row of a table."""
    return text[max(0, start - 2) : max(0, start - 1)].isdigit() or text[end + 1 : end + 2].isdigit()


def _others(run: Run, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Numbers of other countries, and those that the words around them call a number."""
    for first, last in _pieces(run.text, _BREAK, start, end):
        if _is_number(run, first, last):
            yield first, last
        elif last - first > 15:  # several, with a space between
            for one in _pieces(run.text, _SPACE, first, last):
                if _is_number(run, *one):
                    yield one


def _pieces(text: str, pause: re.Pattern[str], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The pieces of `text[start:end]` between pauses, from digit to digit; a date at the front is left out."""
    position = start
    for stop, following in (*(found.span() for found in pause.finditer(text, start, end)), (end, end)):
        date = _FRONT_DATE.match(text, position, stop)
        first = _GROUP.search(text, date.end() if date is not None else position, stop)
        if first is not None:
            yield first.start(), position + len(text[position:stop].rstrip(" .-()/"))
        position = following


def _is_number(run: Run, start: int, end: int) -> bool:
    groups = _GROUP.findall(run.text, start, end)
    count = sum(map(len, groups))
    if not 7 <= count <= 15 or (len(groups) > 1 and _DATE.match(run.text, start, end)):
        return False
    if _hangs_on(run.text, start, end) or _is_address(run, start, end):
        return False
    label = run.label
    after = run.label_after if end == run.end else None
    if len(groups) == 1:
        return _is_bare(run, count, after)
    if label is Label.PHONE or (label is None and after is Label.PHONE):
        return True
    if label in _OTHER_KINDS or after is Label.UNIT:
        return False
    return (label is Label.CONTACT and count >= 8) or _is_national(run.text, start, end, groups, count)


def _is_address(run: Run, start: int, end: int) -> bool:
    """Whether it is one of the internet: four groups, unless words right before say that 12.34.56.78 is a phone's."""
    return _INTERNET.fullmatch(run.text, start, end) is not None and not (run.lengths == _IN_PAIRS and run.direct)


def _is_bare(run: Run, count: int, after: Label | None) -> bool:
    """Whether digits without separators are called a phone number, right before or after; and not a count."""
    if run.label is None:
        return after is Label.PHONE
    if not run.direct or after is Label.UNIT:
        return False
    return run.label is Label.PHONE or (run.label is Label.CONTACT and 9 <= count <= 13)


def _hangs_on(text: str, start: int, end: int) -> bool:
    """Whether more belongs to the digits than a phone number has: a time, a fraction, an amount, a word."""
    before, after = text[start - 1 : start], text[end : end + 2]
    if before in {"$", "€", "£"} or (before == ":" and text[max(0, start - 2) : max(0, start - 1)].isdigit()):
        return True
    return after[:1].isascii() and (after[:1].isalpha() or after[:1] == "_") and _EXTENSION.match(text, end) is None


def _is_national(text: str, start: int, end: int, groups: list[str], count: int) -> bool:
    """Whether groups without a label have the form of a number with its trunk prefix 0, or an area in parentheses."""
    first = groups[0]
    if not 9 <= count <= 14 or len(first) > 5 or max(map(len, groups)) > 8:
        return False
    if text[start - 1 : start] == "(" and text[start + len(first)] == ")":
        return not text[max(0, start - 2) : max(0, start - 1)].isalnum()
    if text[start - 1 : start] in {"[", ","} or _FRACTION.match(text, end) is not None:
        return False
    separators = set(text[start:end]) - set("0123456789")
    if bytes(map(len, groups)) in _RUSSIAN and separators <= set(" -()"):
        return first in {"7", "8"} or "-" in separators
    if (
        first[0] != "0"
        or count > 12 + 2 * (first[:2] == "00")
        or len(first) < 2
        or len(separators) > 2
        or "/" in separators
        or min(map(len, groups)) < 2
    ):
        return False
    is_postal_code = len(groups) == 2 and len(groups[0]) == 5 and len(groups[1]) == 4
    is_abroad = first[1] == "0"  # the prefix 00, and then a country's code
    if is_postal_code or (is_abroad and (len(groups) < 3 or first[2:3] == "0")):
        return False
    return separators != {"."} or len(groups) > 2
