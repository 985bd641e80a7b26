"""What a period will have cost at its end, from what each day has cost so far."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING

from functions.cost_report.level_shift import Shift, without_shifts
from functions.cost_report.models import Forecast, ForecastDay, Period

if TYPE_CHECKING:
    from functions.cost_report.outlook import Outlook

CONFIDENCE_PERCENT = 80
LEAST_DAYS_OF_A_PATTERN = 21  # a weekday must be seen three times to tell a habit from a chance
LEAST_DAYS_TO_FIT = 14  # without the idle weekdays: fewer than there are parameters, and as many again, fit anything
MOST_DAYS = 182  # what was longer ago says little of what comes
WEEK = 7
ONE_DAY = dt.timedelta(days=1)
_PLACES = Decimal("0.000001")
_WIDE = Context(prec=60)  # a float of any size, to six places


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCost:
    """What a day (UTC) cost. A correction may make it negative."""

    day: dt.date
    cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """Whole days without gaps, from the first that cost anything to yesterday, without the `idle` weekdays.

    `costs` are as if all days had been at the last level, which began `level_days` ago.
    """

    days: int
    idle: frozenset[int]
    costs: list[float]
    level_days: int
    notes: list[str]


def forecast(history: Sequence[DayCost], *, now: dt.datetime, period: Period) -> Forecast | None:
    """What `period` will have cost at its end, with an interval; None where it is over at `now`.

    `history` is what each day cost up to today, today's cost so far included, in any order; a day that is not in it
    cost nothing. It may begin before the period, and does well to: up to `MOST_DAYS` are used. What was spent is
    exact, what is foreseen has six places and is never negative. A forecast supposes that all goes on alike.
    """
    if now >= period.end:
        return None
    today, gone = _today(now)
    by_day = _by_day(history, today)
    start, end = period.start.date(), period.end.date()
    spent = sum((cost for day, cost in by_day.items() if start <= day < end), Decimal(0))
    past = _past(by_day, today, gone)
    coming = [today + ONE_DAY * ahead for ahead in range((end - today).days)]
    outlook, why = _outlook(past, days=len(coming))
    days, margin = _foreseen(outlook, [day for day in coming if day.weekday() not in past.idle], start, today, 1 - gone)
    none = Decimal(0)
    all_days = [
        days.get(day) or ForecastDay(day=day, expected_usd=none, low_usd=none, high_usd=none)
        for day in coming
        if day >= start
    ]
    rest = sum((day.expected_usd for day in all_days), none)
    return Forecast(
        method=outlook.method,
        why=" ".join([why, *past.notes]),
        history_days=past.days,
        total_usd=spent + rest,
        low_usd=spent + max(rest - margin, none),
        high_usd=spent + rest + margin,
        confidence_percent=CONFIDENCE_PERCENT,
        days=all_days,
    )


def _today(now: dt.datetime) -> tuple[dt.date, float]:
    """The day (UTC) that `now` is in, and the share of it that is gone."""
    utc = now.astimezone(dt.UTC)
    return utc.date(), (utc - dt.datetime.combine(utc.date(), dt.time(), dt.UTC)) / ONE_DAY


def _by_day(history: Sequence[DayCost], today: dt.date) -> dict[dt.date, Decimal]:
    by_day: dict[dt.date, Decimal] = {}
    for entry in history:
        if entry.day <= today:
            by_day[entry.day] = by_day.get(entry.day, Decimal(0)) + entry.cost_usd
    return by_day


def _past(by_day: dict[dt.date, Decimal], today: dt.date, gone: float) -> _Past:
    earliest = today - ONE_DAY * MOST_DAYS
    first = min((day for day, cost in by_day.items() if cost > 0 and earliest <= day < today), default=None)
    if first is None:
        return _without_a_past(float(max(by_day.get(today, Decimal(0)), Decimal(0))), gone)
    days = [first + ONE_DAY * index for index in range((today - first).days)]
    cost_of = {day: float(max(by_day.get(day, Decimal(0)), Decimal(0))) for day in [*days, today]}
    has_pattern = len(days) >= LEAST_DAYS_OF_A_PATTERN
    busy = {day.weekday() for day, cost in cost_of.items() if cost > 0}
    idle = frozenset(range(WEEK)) - busy if has_pattern else frozenset()
    days_used = [day for day in days if day.weekday() not in idle]
    costs, shifts = without_shifts([cost_of[day] for day in days_used], week=WEEK - len(idle) if has_pattern else 1)
    return _Past(
        days=len(days),
        idle=idle,
        costs=costs,
        level_days=len(costs) - (shifts[-1].index if shifts else 0),
        notes=[*_idle_note(idle), *_shift_note(shifts, days_used)],
    )


def _without_a_past(so_far: float, gone: float) -> _Past:
    """Where nothing was spent before today, today's rate is all there is; an hour of it at the least."""
    whole_day = so_far / max(gone, 1 / 24)
    return _Past(days=0, idle=frozenset(), costs=[whole_day], level_days=1, notes=[])


def _idle_note(idle: frozenset[int]) -> list[str]:
    names = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    days = " or a ".join(names[day] for day in sorted(idle))
    return [f"Nothing was spent on any {days}, so nothing is foreseen for one."] if idle else []


def _shift_note(shifts: Sequence[Shift], days: Sequence[dt.date]) -> list[str]:
    if not shifts:
        return []
    last = shifts[-1]
    return [
        f"Since {days[last.index]} a day costs {last.ratio:.2f} times what it did before: "
        "the forecast is at the new level, and the days before are scaled to it."
    ]


def _outlook(past: _Past, *, days: int) -> "tuple[Outlook, str]":
    """The outlook for so many days that are not idle, and why it was made in that way."""
    from functions.cost_report.outlook import exponential_smoothing, repeated_week, run_rate

    week = WEEK - len(past.idle)
    plain = run_rate(past.costs, days=days, week=week, level_days=past.level_days)
    if not any(past.costs):
        return plain, "Nothing is being spent, and nothing tells when or whether that will change."
    if past.days == 0:
        return plain, "Nothing was spent before today, so today's rate goes on; a guess, until there are more days."
    if past.days < LEAST_DAYS_OF_A_PATTERN:
        return plain, (
            f"Only {past.days} whole days of history, and a weekly pattern takes {LEAST_DAYS_OF_A_PATTERN} to be told "
            "from chance: the mean of the last whole weeks goes on, or of all days before there is a week. "
            "The interval covers what changes from day to day, but no change of level."
        )
    if max(past.costs) - min(past.costs) <= 1e-9 * max(past.costs):
        return plain, f"Each day cost the same, on {past.days} days."
    if repeated := repeated_week(past.costs, days=days, week=week):
        return repeated, f"Each week cost the same as the one before, day for day, on {past.days} days."
    if len(past.costs) < LEAST_DAYS_TO_FIT:
        return plain, f"Only {len(past.costs)} days on which anything is spent as a rule: their mean goes on."
    smoothing = exponential_smoothing(past.costs, days=days, week=week, level_days=past.level_days)
    if smoothing is None:
        return (
            plain,
            f"No model of exponential smoothing converged on {past.days} days: the mean of whole weeks goes on.",
        )
    tried = "; ".join(f"{aicc:.1f} for {name}" for name, aicc in sorted(smoothing.aicc.items(), key=lambda one: one[1]))
    return smoothing.outlook, f"Of the models tried on {past.days} days it has the least AICc ({tried})."


def _foreseen(
    outlook: "Outlook", days: Sequence[dt.date], start: dt.date, today: dt.date, rest: float
) -> tuple[dict[dt.date, ForecastDay], Decimal]:
    """What those of `days` cost that are not before `start`, today's `rest` only, and the margin of their sum."""
    import numpy as np

    shares = [(rest if day == today else 1.0) if day >= start else 0.0 for day in days]
    weights = np.zeros(len(outlook.expected))  # it reaches further, where there are idle days
    weights[: len(days)] = shares
    first_rest = shares[0] if shares and shares[0] else 1.0
    margins = outlook.margins()
    only_first = np.zeros_like(weights)
    only_first[0] = weights[0]
    margins[0] = outlook.margin_of_sum(only_first, first_rest=first_rest)
    return {
        day: _day(day, float(outlook.expected[index]) * share, float(margins[index]))
        for index, (day, share) in enumerate(zip(days, shares, strict=True))
        if share
    }, _usd(outlook.margin_of_sum(weights, first_rest=first_rest))


def _day(day: dt.date, expected: float, margin: float) -> ForecastDay:
    return ForecastDay(
        day=day,
        expected_usd=_usd(expected),
        low_usd=_usd(max(expected - margin, 0.0)),
        high_usd=_usd(expected + margin),
    )


def _usd(amount: float) -> Decimal:
    return Decimal(amount).quantize(_PLACES, context=_WIDE)
