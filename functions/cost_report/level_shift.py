"""Where the level that a series keeps to has changed for good, as when a cost doubles from one day to the next."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_BEFORE = 7  # days: a whole week tells a new level from a weekend
LEAST_AFTER = 3
# The best of a hundred places to cut noise into two reaches 3.5 by chance, 5 hardly ever.
LEAST_T = 5.0
LEAST_CHANGE = 1.3
MOST_SHIFTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """From the day at `index` on the level is `ratio` times what it was: 2.0 is doubled, 0.0 is gone."""

    index: int
    ratio: float


def without_shifts(costs: Sequence[float], *, week: int) -> tuple[list[float], list[Shift]]:
    """`costs` as if they had always been at their last level, and the shifts taken out of them, by index.

    `costs` are not negative and repeat, if they do, after `week` days. What lies before a shift is multiplied by its
    ratio, so the weekly pattern of the old days is kept for the new level. A single day far out is no shift, nor is a
    series that a straight line describes better than two levels.
    """
    levelled = list(costs)
    shifts: list[Shift] = []
    for _ in range(MOST_SHIFTS):
        shift = _clearest_shift(_without_weekdays(levelled, week))
        if shift is None:
            break
        shifts.append(shift)
        levelled[: shift.index] = [cost * shift.ratio for cost in levelled[: shift.index]]
    return levelled, sorted(shifts, key=lambda shift: shift.index)


def _without_weekdays(costs: Sequence[float], week: int) -> list[float]:
    """Each day's cost, parted by what its weekday costs as a rule in multiples of the week that it stands amid."""
    if week == 1 or len(costs) < week:
        return list(costs)
    weekly = [statistics.fmean(costs[begin : begin + week]) for begin in range(len(costs) - week + 1)]
    around = [weekly[min(max(index - week // 2, 0), len(weekly) - 1)] for index in range(len(costs))]
    ratios = [cost / mean if mean else 1.0 for cost, mean in zip(costs, around, strict=True)]
    usual = [statistics.median(ratios[weekday::week]) or 1.0 for weekday in range(week)]
    return [cost / usual[index % week] for index, cost in enumerate(costs)]


def _clearest_shift(costs: Sequence[float]) -> Shift | None:
    days = len(costs)
    sums = list(itertools.accumulate(costs, initial=0.0))
    squares = list(itertools.accumulate((cost * cost for cost in costs), initial=0.0))
    noise_floor = 1e-18 * squares[-1]  # a step without any noise is the clearest of all
    best: tuple[float, int, float] | None = None
    for cut in range(LEAST_BEFORE, days - LEAST_AFTER + 1):
        before, after = sums[cut] / cut, (sums[-1] - sums[cut]) / (days - cut)
        residue = max(squares[-1] - before * before * cut - after * after * (days - cut), noise_floor)
        variance = residue / (days - 2) * (1 / cut + 1 / (days - cut))
        if variance > 0 and (best is None or abs(after - before) / variance**0.5 > best[0]):
            best = (abs(after - before) / variance**0.5, cut, residue)
    if best is None or best[0] < LEAST_T or best[2] >= _residue_of_a_line(costs):
        return None
    return _worth_naming(costs, best[1])


def _worth_naming(costs: Sequence[float], cut: int) -> Shift | None:
    before, after = costs[:cut], costs[cut:]
    if not _differ(statistics.fmean(before), statistics.fmean(after)):
        return None
    if not _differ(statistics.median(before), statistics.median(after)):
        return None
    return Shift(index=cut, ratio=statistics.fmean(after) / statistics.fmean(before)) if any(before) else None


def _differ(one: float, other: float) -> bool:
    low, high = sorted((one, other))
    return high > low * LEAST_CHANGE


def _residue_of_a_line(costs: Sequence[float]) -> float:
    """The sum of squares that a straight line through `costs` leaves."""
    line = statistics.linear_regression(range(len(costs)), costs)
    return sum((cost - line.slope * index - line.intercept) ** 2 for index, cost in enumerate(costs))
