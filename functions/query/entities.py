"""What a message names: amounts, percentages, times, kinds of loan and of collateral, and what each stands for.

Code, not a model: the same message always gives the same entities, and each keeps its place in the message.
"""

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from functions.query.lending_terms import (
    COLLATERAL,
    LOANS,
    PERCENT_ROLES,
    ROLES,
    WEAK_VALUE_CUES,
    Collateral,
    Loan,
    Role,
)
from functions.query.quantities import YEARS, Quantity, quantities


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """US dollars at `message[start:end]`, the lower end of a range whose upper end is `upper_usd`.

    `collateral` is the kind that the words around it name. `period_months` is 1 or 12; None: nothing is said.
    """

    usd: Decimal
    start: int
    end: int
    upper_usd: Decimal | None = None
    role: Role | None = None
    collateral: Collateral | None = None
    period_months: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentage:
    """`percent` is 80 for "80 %" at `message[start:end]`, and for "0.8" beside a word such as "LTV"."""

    percent: Decimal
    start: int
    end: int
    role: Role | None = None
    collateral: Collateral | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """`count` of `unit` ("day", "week", "month", "year") at `message[start:end]`."""

    count: Decimal
    unit: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entities:
    """What a message names, each in the order of the message; kinds without repetition.

    `plain_numbers` are those without a unit that no word makes an amount or a percentage.
    """

    amounts: tuple[Amount, ...] = ()
    percentages: tuple[Percentage, ...] = ()
    durations: tuple[Duration, ...] = ()
    loans: tuple[Loan, ...] = ()
    collateral: tuple[Collateral, ...] = ()
    plain_numbers: tuple[Quantity, ...] = ()

    def amounts_of(self, *roles: Role) -> tuple[Amount, ...]:
        return tuple(amount for amount in self.amounts if amount.role in roles)

    def percentages_of(self, role: Role) -> tuple[Percentage, ...]:
        return tuple(one for one in self.percentages if one.role == role)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cue:
    """Words at `message[start:end]` that tell the role or the collateral of a number nearby."""

    start: int
    end: int
    role: Role
    weakness: float = 0.0
    collateral: Collateral | None = None


_FARTHEST_BEFORE = 45  # characters between a cue and its number
_FARTHEST_AFTER = 28
_NEAREST_CUES = 6  # looked at on each side of a number
_FEWEST_IN_ORDER = 2
_TOO_WEAK = 12.0
_DIRECT = 1.0  # up to this cost nothing but fillers stands between
_CLAIMED = 4.0  # "350k loan 400k house": the loan is spoken for
_WEAK = 1.5
_AFTERWARDS = 1.0

_BREAK = re.compile(r"[;!?\n]|\.\s|\.$")
_GAP_WORD = re.compile(r"[a-z']+|[,/(]", re.IGNORECASE)
_FILLERS = frozenset(
    "of is at a an the was for to about around roughly approximately approx some total by my our their only just "
    "currently are be as its it s came comes in up now amounting equal equals account".split()
)
_CONNECTIVES = frozenset(", / and on against over plus with but secured from where when if having has".split())
_INVESTMENT = re.compile(r"\b(?:rental|rented|investment|investor|non-?owner)\b", re.IGNORECASE)
_LIST_GAP = re.compile(r"\s{0,2}(?:,\s{0,2}(?:and\s)?|and\s|&\s|\+\s|plus\s)\s{0,2}", re.IGNORECASE)
_APART = re.compile(r"\s{0,2}(?:[,;(]|and\b|with\b|on\b|against\b)", re.IGNORECASE)
_PERIODIC = frozenset({Role.DEBT, Role.INCOME, Role.OPERATING_INCOME, Role.DEBT_SERVICE})
_ONLY_PERCENT = PERCENT_ROLES - {Role.DOWN_PAYMENT}
_Kind = TypeVar("_Kind", bound=StrEnum)


def extract_entities(message: str) -> Entities:
    """The entities of `message`; time and memory grow in proportion to its length."""
    numbers = quantities(message)
    kinds = _kinds(message)
    of_kinds = [_kind_cue(*one) for one in kinds]
    roles = list(_role_cues(message))
    found = _Found(
        money=_listed(message, numbers, _assign(message, numbers, [*_of_money(message, roles), *of_kinds], "usd")),
        shares=_assign(message, numbers, [cue for cue in roles if cue.role in PERCENT_ROLES], "percent"),
        kinds=_assign(message, numbers, of_kinds, "usd", "percent"),
    )
    amounts = tuple(_amounts(message, numbers, found))
    percentages = tuple(_percentages(numbers, found))
    named = {*(one.start for one in amounts), *(one.start for one in percentages)}
    return Entities(
        amounts=amounts,
        percentages=percentages,
        durations=tuple(
            Duration(count=one.value, unit=one.time_unit, start=one.start, end=one.end)
            for one in numbers
            if one.kind == "time" and one.time_unit is not None
        ),
        loans=_distinct(Loan[match.lastgroup] for match in LOANS.finditer(message) if match.lastgroup),
        collateral=_distinct(kind for _, _, kind in kinds),
        plain_numbers=tuple(one for one in numbers if one.kind == "bare" and one.start not in named),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The cue of each number, by the number's start: for money, for percentages, and for the kind of collateral."""

    money: dict[int, _Cue]
    shares: dict[int, _Cue]
    kinds: dict[int, _Cue]

    def kind(self, number: Quantity) -> Collateral | None:
        cue = self.kinds.get(number.start)
        return cue.collateral if cue else None


def _kinds(message: str) -> list[tuple[int, int, Collateral]]:
    """Mentions of collateral with their places; a home that is let is an improved property."""
    let = _INVESTMENT.search(message) is not None
    building = any(match.lastgroup == Loan.CONSTRUCTION.name for match in LOANS.finditer(message))
    found = []
    for match in COLLATERAL.finditer(message):
        kind = Collateral[match.lastgroup or ""]
        if kind is Collateral.HOME and building:
            kind = Collateral.CONSTRUCTION_RESIDENTIAL
        elif kind is Collateral.IMPROVED_PROPERTY and building:
            kind = Collateral.CONSTRUCTION_COMMERCIAL
        elif kind is Collateral.HOME and let:
            kind = Collateral.IMPROVED_PROPERTY
        found.append((match.start(), match.end(), kind))
    return found


def _role_cues(message: str) -> Iterator[_Cue]:
    for match in ROLES.finditer(message):
        role = Role[match.lastgroup or ""]
        weak = role is Role.VALUE and match.group().lower() in WEAK_VALUE_CUES
        yield _Cue(start=match.start(), end=match.end(), role=role, weakness=_WEAK if weak else 0.0)


def _of_money(message: str, cues: Iterable[_Cue]) -> Iterator[_Cue]:
    """The cues of amounts; beside a home equity line a "limit" is the line's."""
    has_line = any(match.lastgroup == Loan.HOME_EQUITY.name for match in LOANS.finditer(message))
    for cue in cues:
        if has_line and message[cue.start : cue.end].lower() == "limit":
            yield replace(cue, role=Role.LINE_LIMIT)
        elif cue.role not in _ONLY_PERCENT:
            yield cue


def _listed(message: str, numbers: Sequence[Quantity], assigned: dict[int, _Cue]) -> dict[int, _Cue]:
    """Payments in a list have the cue of its first one: "monthly debts 500, 300 and 200"."""
    listed = dict(assigned)
    for one, other in itertools.pairwise(numbers):
        cue = listed.get(one.start)
        if cue is None or cue.role is not Role.DEBT or cue.start > one.start or other.kind not in ("usd", "bare"):
            continue
        own = assigned.get(other.start)
        if _LIST_GAP.fullmatch(message, one.end, other.start) and (own is None or _is_apart(message, other, own)):
            listed[other.start] = cue
    return listed


def _is_apart(message: str, number: Quantity, cue: _Cue) -> bool:
    """The cue comes behind the number and a comma or the like: it belongs to the next number."""
    return cue.start >= number.end and _APART.match(message, number.end) is not None


def _kind_cue(start: int, end: int, kind: Collateral) -> _Cue:
    """A kind of collateral beside an amount makes it a value, unless a plainer word says otherwise."""
    return _Cue(start=start, end=end, role=Role.VALUE, weakness=_WEAK, collateral=kind)


def _assign(message: str, numbers: Sequence[Quantity], unsorted: Iterable[_Cue], *wanted: str) -> dict[int, _Cue]:
    """The cue of each number of a wanted kind, or bare, by the number's start; those without one are left out."""
    cues = sorted(unsorted, key=lambda cue: (cue.start, cue.end))
    starts = [cue.start for cue in cues]
    borders = _borders(numbers)
    sought = [one for one in numbers if one.kind == "bare" or one.kind in wanted]
    words_first = _words_come_first(message, sought, cues, starts)
    claimed: set[int] = set()
    assigned: dict[int, _Cue] = {}
    for number in sought:
        low, high = borders[number.start]
        high = number.end if words_first else high
        candidates = list(_candidates(message, number, cues, starts, low, high))
        ranked = sorted((cost + (_CLAIMED if at in claimed else 0), at) for cost, at in candidates)
        if ranked and ranked[0][0] < _TOO_WEAK:
            cost, at = ranked[0]
            assigned[number.start] = cues[at]
            if cues[at].start >= number.end and cost <= _DIRECT + _AFTERWARDS + _WEAK:
                claimed.add(at)
    return assigned


def _words_come_first(message: str, numbers: Sequence[Quantity], cues: Sequence[_Cue], starts: Sequence[int]) -> bool:
    """Each number has its word right before it: "house 400k loan 350k second lien 20k"."""
    ends = {cue.end for cue in cues}
    if len(numbers) < _FEWEST_IN_ORDER or bisect.bisect_left(starts, numbers[-1].end) < len(starts):
        return False
    return all(number.start - len(_spaces_before(message, number)) in ends for number in numbers)


def _spaces_before(message: str, number: Quantity) -> str:
    before = message[max(0, number.start - 3) : number.start]
    return before[len(before.rstrip()) :]


def _borders(numbers: Sequence[Quantity]) -> dict[int, tuple[int, int]]:
    """For each number, by its start: the end of the one before it and the start of the one after it."""
    ends = [0, *(number.end for number in numbers)]
    starts = [*(number.start for number in numbers), 1 << 62]
    return {number.start: (ends[at], starts[at + 1]) for at, number in enumerate(numbers)}


def _candidates(
    message: str, number: Quantity, cues: Sequence[_Cue], starts: Sequence[int], low: int, high: int
) -> Iterator[tuple[float, int]]:
    """Cost and position of the cues near `number` that no other number (ending at `low`, starting at `high`) parts
    from it."""
    middle = bisect.bisect_left(starts, number.start)
    for at in range(middle - 1, max(-1, middle - 1 - _NEAREST_CUES), -1):
        cue = cues[at]
        if cue.start >= low and number.start - cue.end <= _FARTHEST_BEFORE and cue.end <= number.start:
            yield cue.weakness + _gap_cost(message[cue.end : number.start]), at
    for at in range(middle, min(len(cues), middle + _NEAREST_CUES)):
        cue = cues[at]
        if number.end <= cue.start and cue.end <= high and cue.start - number.end <= _FARTHEST_AFTER:
            yield cue.weakness + _AFTERWARDS + _gap_cost(message[number.end : cue.start]), at


def _gap_cost(gap: str) -> float:
    """How much the words between a cue and a number part them; 0 for nothing."""
    if _BREAK.search(gap):
        return _TOO_WEAK
    cost = 0.0
    for word in _GAP_WORD.findall(gap.lower()):
        if word in _FILLERS:
            cost += 0.2
        else:
            cost += 5.0 if word in _CONNECTIVES else 3.0
    return cost


def _amounts(message: str, numbers: Sequence[Quantity], found: "_Found") -> Iterator[Amount]:
    """Amounts with their roles. A bare number is one only beside a cue, and takes the scale of the others:
    "borrowing 350 against a 400k house"."""
    scale = max((number.scale for number in numbers), default=1)
    for number in numbers:
        cue = found.money.get(number.start)
        period = number.period_months or (_period(message[cue.start : cue.end]) if cue else None)
        role = cue.role if cue else None
        if role is Role.LOAN and period is not None:
            role = Role.DEBT  # a loan of so much a month is its payment
        factor = scale if number.kind == "bare" and role not in _PERIODIC else 1
        is_bare_amount = number.kind == "bare" and role and number.start not in found.shares
        if is_bare_amount and number.value in YEARS and role not in _PERIODIC:
            continue  # "a 2024 loan"
        if number.kind == "usd" or is_bare_amount:
            yield Amount(
                usd=number.value * factor,
                upper_usd=None if number.upper is None else number.upper * factor,
                start=number.start,
                end=number.end,
                role=role,
                collateral=found.kind(number),
                period_months=period if role in _PERIODIC else None,
            )


def _period(words: str) -> int | None:
    lowered = words.lower()
    if "month" in lowered:
        return 1
    return 12 if "annual" in lowered or "year" in lowered else None


def _percentages(numbers: Sequence[Quantity], found: "_Found") -> Iterator[Percentage]:
    """Percentages, and ratios such as 0.8 where the word beside them asks for a percentage."""
    for number in numbers:
        cue = found.shares.get(number.start)
        is_ratio = number.kind == "bare" and cue is not None and 0 < number.value <= 1
        if number.kind == "percent" or is_ratio:
            yield Percentage(
                percent=number.value * (100 if is_ratio else 1),
                start=number.start,
                end=number.end,
                role=cue.role if cue else None,
                collateral=found.kind(number),
            )


def _distinct(kinds: Iterable[_Kind]) -> tuple[_Kind, ...]:
    return tuple(dict.fromkeys(kinds))
