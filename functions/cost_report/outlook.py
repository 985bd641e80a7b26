"""What coming days will cost, from what the days before them cost, and how far off that may be.

Both ways give the same shape: a mean a day, and how one day's surprise is felt on the days after it. So the error of
a sum of days is the sum's own, not the days' errors added up. Only when a forecast is made is this module imported:
it brings numpy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
TRENDS = ("trend", "damped trend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """`expected` a day, the first coming one first; all in the unit of the costs it was made from.

    `response[k]` is what a surprise of 1 on a day is on the `k`-th day after it, itself (1.0) being the 0th, and
    `sigma` is the size of a day's surprise. The level is known from `level_days` days only, and where there is a
    weekly pattern (`week` days long, 1 where there is none) each weekday's own from `weeks` of them. A trend's
    slope is known from `slope_days`, 0 where there is none. `bias` is by how much the level may be off for a reason
    that the days cannot tell.
    """

    method: str
    expected: Array
    response: Array
    sigma: float
    degrees_of_freedom: int
    level_days: int
    week: int = 1
    weeks: float = 1.0
    slope_days: int = 0
    bias: float = 0.0

    def margins(self) -> Array:
        """By how much each day may be off in one direction, nine times in ten."""
        own = np.cumsum(self.response**2)
        doubt = 1 / self.level_days + self._weekday_doubt() + self._slope_doubt() ** 2
        return self._t90() * np.sqrt(self.sigma**2 * (own + doubt) + self.bias**2)

    def margin_of_sum(self, weights: Array, *, first_rest: float) -> float:
        """The same for the sum of `weights` times the days.

        Of the first day only the share `first_rest` is still to come. A day's surprise is many small ones, so its
        variance falls with what is left of it; and how a day spreads over its hours is not known, so the share that
        is left may be anything around `first_rest`, from none to all.
        """
        felt = np.convolve(weights[::-1], self.response)[: len(weights)][::-1].copy()
        if weights[0]:
            felt[0] += np.sqrt(first_rest) - first_rest
        doubt = weights.sum() ** 2 / self.level_days + np.dot(weights, self._slope_doubt()) ** 2
        doubt += sum(weights[day :: self.week].sum() ** 2 for day in range(self.week)) * self._weekday_doubt()
        spread = first_rest * (1 - first_rest) / 3 * self.expected[0] ** 2 if weights[0] else 0.0
        bias = (weights.sum() * self.bias) ** 2
        return self._t90() * float(np.sqrt(self.sigma**2 * (np.sum(felt**2) + doubt) + spread + bias))

    def _weekday_doubt(self) -> float:
        return (1 - 1 / self.week) / self.weeks

    def _slope_doubt(self) -> Array:
        """What the trend may be off by on each day, in multiples of sigma: as for a straight line through the past."""
        days = self.slope_days
        middle_to_day = days / 2 + 0.5 + np.arange(len(self.expected))
        return middle_to_day * np.sqrt(12 / days**3) if days else np.zeros(len(self.expected))

    def _t90(self) -> float:
        from scipy.special import stdtrit  # type: ignore[import-untyped]  # it ships no types

        return float(stdtrit(self.degrees_of_freedom, 0.9))


def run_rate(costs: Sequence[float], *, days: int, week: int, level_days: int) -> Outlook:
    """The mean of the last whole weeks, or of all days where they make no week.

    One or two days do not say how much days differ: they are taken to be off by as much as they cost. Less than a week
    does not say what the other weekdays cost: if five working days were all that was seen of a week with an idle
    weekend, the level would be 29 % lower, so it may be off by a quarter.
    """
    series = np.asarray(costs, dtype=np.float64)
    if len(series) > week:
        series = series[len(series) % week :]
    mean = float(series.mean())
    sigma = float(series.std(ddof=1)) if len(series) > 1 else 0.0
    return Outlook(
        method="run rate",
        expected=np.full(days, mean),
        response=_no_memory(days),
        sigma=sigma if len(series) > 2 else max(sigma, mean),
        degrees_of_freedom=max(len(series) - 1, 1),
        level_days=min(level_days, len(series)),
        bias=mean / 4 if len(series) < week else 0.0,
    )


def repeated_week(costs: Sequence[float], *, days: int, week: int) -> Outlook | None:
    """The last week again, where every week was the same as the one before to nine digits; else None."""
    series = np.asarray(costs, dtype=np.float64)
    if not np.allclose(series[week:], series[:-week], rtol=1e-9, atol=1e-9 * series.mean()):
        return None
    return Outlook(
        method="weekly pattern, repeated",
        expected=np.resize(series[-week:], days),
        response=_no_memory(days),
        sigma=0.0,
        degrees_of_freedom=len(series) - week,
        level_days=len(series),
    )


def _no_memory(days: int) -> Array:
    response = np.zeros(days)
    response[0] = 1.0
    return response


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoothing:
    """The best of the models that were tried, and each one's AICc by its method's name: the least is the best."""

    outlook: Outlook
    aicc: dict[str, float]


def exponential_smoothing(costs: Sequence[float], *, days: int, week: int, level_days: int) -> Smoothing | None:
    """statsmodels' exponential smoothing with additive errors, with and without a trend and a weekly pattern.

    The one with the least AICc (Akaike's criterion for short series, which charges for each parameter) is taken. None
    where no fit converged. `costs` are not negative, and not all alike.
    """
    scale = float(np.mean(costs))
    series = np.asarray(costs, dtype=np.float64) / scale
    fits = _fits(series, week)
    if not fits:
        return None
    (trend, is_weekly), fit = min(fits.items(), key=lambda one: one[1].aicc)
    freedom = len(series) - len(fit.params)
    expected = np.asarray(fit.forecast(days))
    shock = np.zeros((days, 1))
    shock[0] = 1.0
    outlook = Outlook(
        method=_method(trend, is_weekly),
        expected=np.maximum(expected, 0.0) * scale,
        response=np.ravel(fit.simulate(days, anchor="end", random_errors=shock)) - expected,
        sigma=float(np.sqrt(fit.sse / freedom)) * scale,  # fit.scale divides by all days, as if nothing had been fitted
        degrees_of_freedom=freedom,
        level_days=level_days,
        week=week if is_weekly else 1,
        weeks=len(series) / week,
        slope_days=len(series) if trend else 0,
    )
    return Smoothing(outlook=outlook, aicc={_method(*shape): float(one.aicc) for shape, one in fits.items()})


def _fits(series: Array, week: int) -> dict[tuple[str, bool], Any]:
    """By trend and weekly pattern the models that converged. A trend is tried only where a straight line sees one."""
    tried = {
        ("", is_weekly): _fit(series, "", is_weekly, week) for is_weekly in ((False, True) if week > 1 else (False,))
    }
    fits = {shape: fit for shape, fit in tried.items() if fit is not None}
    if fits and _slopes(series, week):
        (_, is_weekly), _ = min(fits.items(), key=lambda one: one[1].aicc)
        for trend in TRENDS:
            if (fit := _fit(series, trend, is_weekly, week)) is not None:
                fits[trend, is_weekly] = fit
    return fits


def _slopes(series: Array, week: int) -> bool:
    """Whether a straight line through the days, each less its weekday's mean, rises or falls by two standard errors."""
    off = series - np.resize([series[day::week].mean() for day in range(week)], len(series))
    days = np.arange(len(series)) - (len(series) - 1) / 2
    slope = days @ off / (days @ days)
    error = np.sqrt(np.sum((off - slope * days) ** 2) / (len(series) - 2) / (days @ days))
    return bool(abs(slope) > 2 * error)


def _method(trend: str, is_weekly: bool) -> str:
    return ", ".join(["exponential smoothing", *[trend] * bool(trend), *["weekly pattern"] * is_weekly])


def _fit(series: Array, trend: str, is_weekly: bool, week: int) -> Any:
    """The model's results (statsmodels has no types), or None where the fit did not converge."""
    # The narrowest module that has it; with what it imports it takes 0.8 s.
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel  # type: ignore[import-untyped]  # it ships no types

    model = ETSModel(
        series,
        trend="add" if trend else None,
        damped_trend=trend == "damped trend",
        seasonal="add" if is_weekly else None,
        seasonal_periods=week if is_weekly else None,
    )
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            fit = model.fit(disp=False, warn_convergence=False)  # the flag says the same as the warning
    except (FloatingPointError, np.linalg.LinAlgError):
        return None
    return fit if fit.mle_retvals["converged"] and np.isfinite(fit.aicc) else None
