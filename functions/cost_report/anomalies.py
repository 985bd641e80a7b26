"""Days that cost more than their own pattern, and what drove them."""

import datetime as dt
import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from functions.cost_report.models import Anomaly

Driver = Literal["model switched", "tokens per call grew", "calls grew", "one principal", "price changed", "unclear"]

LEAST_DAYS = 7  # before a day, to have a pattern at all
LEAST_SAME_WEEKDAYS = 4
MOST_DAYS = 56
SPREADS = Decimal("4.5")  # 3.5 is the usual rule for median and MAD; a report judges thousands of days
FEW_DAYS = 4  # as many days double that
AS_DEAR = 0.1  # the share of earlier days that may cost as much: what happens more often belongs to the pattern
LEAST_EXCESS_USD = Decimal(1)
LEAST_EXCESS_SHARE = Decimal("0.5")  # of what was expected
MAIN_SHARE = 0.5  # of the excess, to be what drove it
MOST_ANOMALIES = 20
ONE_DAY = dt.timedelta(days=1)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a principal (its id) used of a model on a day (UTC). `tokens` are of all kinds."""

    day: dt.date
    principal: str
    model: str
    calls: int
    tokens: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outlier:
    """`usual_days` are those of the days it was held against that cost about what was expected: half at the least."""

    day: dt.date
    cost_usd: Decimal
    expected_usd: Decimal
    usual_days: frozenset[dt.date]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mean:
    """What a day used, or days on average."""

    calls: float
    tokens: float
    cost_usd: float
    tokens_of: Mapping[str, float]  # by model
    cost_of: Mapping[str, float]
    cost_of_principal: Mapping[str, float]

    @property
    def tokens_per_call(self) -> float:
        return self.tokens / self.calls

    @property
    def usd_per_token(self) -> float:
        return self.cost_usd / self.tokens

    def share_of(self, model: str) -> float:
        return self.tokens_of.get(model, 0.0) / self.tokens if self.tokens else 0.0

    def usd_per_token_of(self, model: str) -> float | None:
        """None where the model was not used."""
        tokens = self.tokens_of.get(model, 0.0)
        return self.cost_of[model] / tokens if tokens else None


def anomalies(uses: Iterable[Use], *, first: dt.date, last: dt.date) -> list[Anomaly]:
    """The days from `first` to `last` on which all, or one principal, cost far more than before; dearest excess first.

    A day is held against the `MOST_DAYS` before it: the same weekday's where there are `LEAST_SAME_WEEKDAYS`, else all
    of them. So `uses` should begin that long before `first`; a day that is not in it cost nothing. Not judged is a day
    that fewer than `LEAST_DAYS` come before, nor an excess under a dollar or under half of what was expected. A level
    that stays is an anomaly in its first days only. At most `MOST_ANOMALIES` are given.
    """
    by_principal: dict[str, list[Use]] = defaultdict(list)
    for use in uses:
        by_principal[use.principal].append(use)
    everything = [use for own in by_principal.values() for use in own]
    found = [(_told("all", everything, outlier), outlier) for outlier in _outliers(everything, first, last)]
    for principal, own in by_principal.items():
        subject = f"principal {principal}"
        found += [(_told(subject, own, outlier), outlier) for outlier in _outliers(own, first, last)]
    found.sort(key=lambda one: (one[1].expected_usd - one[1].cost_usd, one[1].day, one[0].subject))
    return [anomaly for anomaly, _ in found[:MOST_ANOMALIES]]


def _outliers(uses: Sequence[Use], first: dt.date, last: dt.date) -> list[_Outlier]:
    costs: dict[dt.date, Decimal] = defaultdict(Decimal)
    for use in uses:
        costs[use.day] += use.cost_usd
    begin = min(costs, default=last)
    dear = sorted(day for day, cost in costs.items() if first <= day <= last and cost >= LEAST_EXCESS_USD)
    return [outlier for day in dear if (outlier := _outlier(costs, day, begin))]


def _outlier(costs: Mapping[dt.date, Decimal], day: dt.date, begin: dt.date) -> _Outlier | None:
    days_before = min((day - begin).days, MOST_DAYS)
    if days_before < LEAST_DAYS:
        return None
    step = 7 if days_before // 7 >= LEAST_SAME_WEEKDAYS else 1
    before = {other: costs.get(other, _ZERO) for other in _before(day, days_before, step)}
    cost, expected = costs[day], max(statistics.median(before.values()), _ZERO)
    least = max(LEAST_EXCESS_USD, expected * LEAST_EXCESS_SHARE)
    if cost - expected < least or sum(other >= cost for other in before.values()) > AS_DEAR * len(before):
        return None
    spread = _spread(before.values(), expected)
    if step == 7:  # few of a weekday may be close together by chance, so all weekdays say what a day is off by
        spread = max(spread, expected * _share_off(costs, day, days_before))
    limit = expected + max(least, spread * SPREADS * (1 + Decimal(FEW_DAYS) / len(before)))
    if cost <= limit:
        return None
    near = max(least, SPREADS * statistics.median(abs(other - expected) for other in before.values()))
    usual = frozenset(other for other, its_cost in before.items() if abs(its_cost - expected) <= near)
    return _Outlier(day=day, cost_usd=cost, expected_usd=expected, usual_days=usual)


def _before(day: dt.date, days: int, step: int) -> list[dt.date]:
    return [day - ONE_DAY * ago for ago in range(step, days + 1, step)]


def _spread(costs: Collection[Decimal], median: Decimal) -> Decimal:
    """A standard deviation that single days far out do not move.

    By the median absolute deviation, and where more than half of the days are alike by the mean one: the factors make
    both of them what they are in noise that is normal (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
    """
    off = [abs(cost - median) for cost in costs]
    return statistics.median(off) * Decimal("1.4826") or statistics.mean(off) * Decimal("1.2533")


def _share_off(costs: Mapping[dt.date, Decimal], day: dt.date, days: int) -> Decimal:
    """By which share the days before `day` are off what their weekday costs, as a standard deviation."""
    shares: list[Decimal] = []
    for ahead in range(7):
        same = [costs.get(other, _ZERO) for other in _before(day + ONE_DAY * ahead, days + ahead, 7) if other < day]
        usual = statistics.median(same)
        shares += [cost / usual for cost in same if usual > 0]
    return _spread(shares, Decimal(1)) if shares else _ZERO


def _told(subject: str, uses: Sequence[Use], outlier: _Outlier) -> Anomaly:
    driver, evidence = _driver(uses, outlier)
    return Anomaly(
        day=outlier.day,
        subject=subject,
        cost_usd=outlier.cost_usd,
        expected_usd=outlier.expected_usd,
        driver=driver,
        evidence=evidence,
    )


def _driver(uses: Sequence[Use], outlier: _Outlier) -> tuple[Driver, str]:
    """What most of the excess comes from, and the figures that say so."""
    now = _mean_of([use for use in uses if use.day == outlier.day], 1)
    usual = _mean_of([use for use in uses if use.day in outlier.usual_days], len(outlier.usual_days))
    principal = _main_principal(now, usual)
    if principal is not None:
        return "one principal", _evidence_of_principal(principal, uses, outlier, now, usual)
    return _inner_driver(now, usual)


def _mean_of(uses: Sequence[Use], days: int) -> _Mean:
    tokens_of: dict[str, float] = defaultdict(float)
    cost_of: dict[str, float] = defaultdict(float)
    cost_of_principal: dict[str, float] = defaultdict(float)
    for use in uses:
        tokens_of[use.model] += use.tokens / days
        cost_of[use.model] += float(use.cost_usd) / days
        cost_of_principal[use.principal] += float(use.cost_usd) / days
    return _Mean(
        calls=sum(use.calls for use in uses) / days,
        tokens=sum(use.tokens for use in uses) / days,
        cost_usd=float(sum((use.cost_usd for use in uses), _ZERO)) / days,
        tokens_of=tokens_of,
        cost_of=cost_of,
        cost_of_principal=cost_of_principal,
    )


def _main_principal(now: _Mean, usual: _Mean) -> str | None:
    """The one of several that makes most of the excess, and more of it than is its share as a rule; else None."""
    if len(now.cost_of_principal.keys() | usual.cost_of_principal.keys()) < 2:
        return None
    excess = now.cost_usd - usual.cost_usd
    grown = {name: cost - usual.cost_of_principal.get(name, 0.0) for name, cost in now.cost_of_principal.items()}
    name = max(grown, key=lambda one: (grown[one], one))
    usual_share = usual.cost_of_principal.get(name, 0.0) / usual.cost_usd if usual.cost_usd else 0.0
    is_main = grown[name] > MAIN_SHARE * excess and grown[name] > (usual_share + (1 - usual_share) / 2) * excess
    return name if is_main else None


def _evidence_of_principal(principal: str, uses: Sequence[Use], outlier: _Outlier, now: _Mean, usual: _Mean) -> str:
    own = [use for use in uses if use.principal == principal]
    driver, figures = _driver(own, outlier)
    cost, before = now.cost_of_principal[principal], usual.cost_of_principal.get(principal, 0.0)
    share = min((cost - before) / (now.cost_usd - usual.cost_usd), 1.0)
    return (
        f"{principal} cost {cost:,.2f} USD instead of {before:,.2f}, {share:.0%} of the excess. "
        f"There, {driver if driver != 'unclear' else 'the reason is unclear'}: {figures}"
    )


def _inner_driver(now: _Mean, usual: _Mean) -> tuple[Driver, str]:
    """Which factor of calls x tokens per call x USD per token grew most, the last one parted into mix and price."""
    if usual.calls <= 0:
        return "calls grew", f"{now.calls:,.0f} calls, and none as a rule."
    if min(now.calls, now.tokens, usual.tokens, usual.cost_usd) <= 0:
        return "unclear", f"{_figures(now, usual)} Not all of these can be compared."
    # What the day's models would have cost at the usual prices; a new model has none, so all it changes is the mix.
    mixed = sum(
        now.share_of(model) * (price if (price := usual.usd_per_token_of(model)) is not None else own)
        for model in now.tokens_of
        if (own := now.usd_per_token_of(model)) is not None
    )
    if mixed <= 0:
        return "unclear", _figures(now, usual)
    grown: dict[Driver, float] = {
        "calls grew": math.log(now.calls / usual.calls),
        "tokens per call grew": math.log(now.tokens_per_call / usual.tokens_per_call),
        "model switched": math.log(mixed / usual.usd_per_token),
        "price changed": math.log(now.usd_per_token / mixed),
    }
    driver = max(grown, key=lambda one: grown[one])
    if grown[driver] <= MAIN_SHARE * sum(growth for growth in grown.values() if growth > 0):
        return "unclear", f"Several things grew at once. {_figures(now, usual)}"
    return driver, _lead(driver, now, usual) + _figures(now, usual)


def _lead(driver: Driver, now: _Mean, usual: _Mean) -> str:
    if driver == "model switched":
        model = max(now.tokens_of, key=lambda one: (now.share_of(one) - usual.share_of(one), one))
        return f"{now.share_of(model):.0%} of the tokens went to {model}, instead of {usual.share_of(model):.0%}. "
    if driver == "price changed":
        return "The same models' tokens became dearer, or more of them were of the dearer kinds. "
    return ""


def _figures(now: _Mean, usual: _Mean) -> str:
    parts = [f"{now.calls:,.0f} calls instead of {usual.calls:,.0f}"]
    if now.calls and usual.calls:
        parts.append(f"{now.tokens_per_call:,.0f} tokens per call instead of {usual.tokens_per_call:,.0f}")
    if now.tokens and usual.tokens:
        parts.append(
            f"{now.usd_per_token * 1e6:,.4f} USD per million tokens instead of {usual.usd_per_token * 1e6:,.4f}"
        )
    return "; ".join(parts) + "."
