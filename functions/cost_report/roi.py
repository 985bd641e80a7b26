"""What answers are worth beside what they cost: three cases, and every assumption behind them on the table.

Nobody can measure time that was not spent, so the benefit is assumed and never computed: minutes that an answered
question saves, by the agent that answered, times what an hour costs. The settings ROI_MINUTES, ROI_HOURLY_USD,
PLATFORM_USD_PER_MONTH and ROI_SETUP_USD hold the assumptions; `assumptions_of` reads them.
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from common.settings import SETTINGS, InvalidSettings, Settings
from functions.cost_report.amounts import in_usd
from functions.cost_report.models import Assumption, Period, Roi, RoiCase
from functions.cost_report.periods import days_so_far

OTHER = "other"  # stands for every agent that ROI_MINUTES does not name
CASES: tuple[Literal["low", "base", "high"], ...] = ("low", "base", "high")

_AGENT = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_AMOUNT = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
_MICRO = Decimal("0.000001")  # what is divided is rounded to this
_MINUTES_PER_HOUR = 60

_SET_BY_YOU = "Set for this installation. It stays an assumption until somebody has measured it."
_WHY_MINUTES: Mapping[str, str] = {
    "knowledge": "An assumption: the time to find a rule in the lender's documents, read it and note where it stands. "
    "Measure your own: time ten such questions without the assistant.",
    "collateral": "An assumption: the time to work out ratios from a file, compare them with the limits and check the "
    "sum. Measure your own: time ten such cases without the assistant.",
    OTHER: "An assumption on the careful side: greetings and help save nobody time, and an agent that is not named "
    "saves nothing until somebody has measured it.",
}
_WHY_AGENT = "An assumption. Measure your own."
_WHY_HOURLY = (
    "An assumption from public wages: in the United States a loan officer earned 33.65 USD an hour in May 2023 (the "
    "median; a quarter earned 48.09 or more), and benefits and the desk come on top with some 40 %. Source: Bureau of "
    "Labor Statistics, https://www.bls.gov/oes/2023/may/oes132072.htm. Put in what an hour costs you."
)
_WHY_PLATFORM = (
    "An assumption: two hours of upkeep a month at 100 USD. Put in what you pay each month beside models and the "
    "cloud's bill, and the cloud's bill too where no billing export is given."
)
_WHY_SETUP = (
    "An assumption: five days of one engineer at 100 USD an hour, paid once. It is in no cost of the period, for it is "
    "what is paid back."
)
_WHY_NO_CLOUD = (
    "No billing export could be read, so the cloud's bill counts as 0 here, which it hardly is. Give one, or put the "
    "bill into PLATFORM_USD_PER_MONTH."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """An assumption in three cases, none negative, `low` at most `base` at most `high`."""

    low: Decimal
    base: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """`minutes` are saved by one answered question, by agent; `OTHER` is always among them.

    `platform_usd_per_month` is paid each month whatever is asked, beside models and the cloud's bill; `setup_usd` was
    paid once, before the first question.
    """

    minutes: Mapping[str, Range]
    hourly_usd: Range
    platform_usd_per_month: Decimal
    setup_usd: Decimal


def assumptions_of(settings: Settings) -> Assumptions:
    """The assumptions that `settings` make.

    Raises:
        InvalidSettings: ROI_MINUTES or ROI_HOURLY_USD is not as its description says; which agent's, and why.
    """
    return Assumptions(
        minutes=_minutes(settings.roi_minutes),
        hourly_usd=_range(settings.roi_hourly_usd, "ROI_HOURLY_USD"),
        platform_usd_per_month=Decimal(str(settings.platform_usd_per_month)),
        setup_usd=Decimal(str(settings.roi_setup_usd)),
    )


def roi(
    answered: Mapping[str, int],
    *,
    model_cost_usd: Decimal,
    cloud_cost_usd: Decimal | None,
    period: Period,
    now: datetime,
    assumptions: Assumptions,
) -> Roi:
    """What the questions that were `answered`, counted by agent, have saved and cost in the part of `period` so far.

    benefit = minutes saved / 60 x cost of an hour; cost = models + cloud + platform; net = benefit - cost;
    ROI = net / cost in percent. The platform's cost is that of a month for each whole calendar month, and its share by
    days for a part of one. `cloud_cost_usd` None: not known; counted as 0, which the assumptions then say.

    Payback is how many days like those of the period it takes until their net has paid the one-off set-up cost, which
    is in no other figure: set-up / (net / days). It is None where the net is zero or less, for then it is never paid
    back, and 0 where there is a net and nothing to pay back. The ROI is None without costs. `in_words` says so.
    """
    platform = _rounded(
        Fraction(assumptions.platform_usd_per_month) * _months(period.start.date(), days_so_far(period, now))
    )
    cost = model_cost_usd + (cloud_cost_usd or Decimal(0)) + platform
    days = max(1, days_so_far(period, now))
    return Roi(
        answered=sum(answered.values()),
        model_cost_usd=model_cost_usd,
        cloud_cost_usd=cloud_cost_usd or Decimal(0),
        platform_cost_usd=platform,
        cases=[_case(case, answered, cost, days, assumptions) for case in CASES],
        assumptions=_listed(assumptions, is_cloud_known=cloud_cost_usd is not None),
    )


def _case(
    case: Literal["low", "base", "high"],
    answered: Mapping[str, int],
    cost: Decimal,
    days: int,
    assumptions: Assumptions,
) -> RoiCase:
    other = assumptions.minutes[OTHER]
    minutes = sum(
        (count * _in(assumptions.minutes.get(agent, other), case) for agent, count in answered.items()), Decimal(0)
    )
    benefit = _rounded(Fraction(minutes * _in(assumptions.hourly_usd, case)) / _MINUTES_PER_HOUR)
    net = benefit - cost
    return RoiCase(
        case=case,
        minutes_saved=minutes,
        benefit_usd=benefit,
        cost_usd=cost,
        net_usd=net,
        roi_percent=round(float(net) / float(cost) * 100, 2) if cost > 0 else None,
        payback_days=round(float(assumptions.setup_usd) * days / float(net), 1) if net > 0 else None,
        in_words=f"{_worth(sum(answered.values()), benefit, cost)} {_paid_back(net, days, assumptions.setup_usd)}",
    )


def _worth(answered: int, benefit: Decimal, cost: Decimal) -> str:
    if answered == 0:
        return f"No question was answered, so nothing was saved, and it cost {in_usd(cost)}."
    if benefit == 0:
        return f"By these assumptions an answer saves no time, and it cost {in_usd(cost)}."
    if cost <= 0:
        return f"It saved time worth {in_usd(benefit)} and cost nothing, so there is no return in percent."
    return f"It saved time worth {in_usd(benefit)} and cost {in_usd(cost)}."


def _paid_back(net: Decimal, days: int, setup: Decimal) -> str:
    if net == 0:
        return "So it neither gains nor loses, and the set-up is never paid back." if setup else "So it breaks even."
    if net < 0:
        loss = f"So it costs {in_usd(-net)} more than it saves"
        return f"{loss}, and the set-up of {in_usd(setup)} is never paid back." if setup else f"{loss}."
    if setup == 0:
        return f"So it gains {in_usd(net)}; there is no set-up cost to pay back."
    needed = max(1, round(float(setup) * days / float(net)))
    return f"So it gains {in_usd(net)}; at this rate the set-up of {in_usd(setup)} is paid back in {_in_days(needed)}."


def _listed(assumptions: Assumptions, *, is_cloud_known: bool) -> list[Assumption]:
    usual = _defaults()
    listed = [
        _assumption(
            f"Time that an answer of {f'the agent {agent}' if agent != OTHER else 'any other agent'} saves",
            minutes,
            unit="minutes per answered question",
            setting="ROI_MINUTES",
            why=_WHY_MINUTES.get(agent, _WHY_AGENT) if minutes == usual.minutes.get(agent) else _SET_BY_YOU,
        )
        for agent, minutes in assumptions.minutes.items()
    ]
    is_usual = assumptions.hourly_usd == usual.hourly_usd
    why = _WHY_HOURLY if is_usual else _SET_BY_YOU
    listed.append(_assumption("Cost of an hour of work", assumptions.hourly_usd, "USD per hour", "ROI_HOURLY_USD", why))
    is_usual = assumptions.platform_usd_per_month == usual.platform_usd_per_month
    why = _WHY_PLATFORM if is_usual else _SET_BY_YOU
    platform = _same(assumptions.platform_usd_per_month)
    listed.append(_assumption("Cost of the platform", platform, "USD per month", "PLATFORM_USD_PER_MONTH", why))
    why = _WHY_SETUP if assumptions.setup_usd == usual.setup_usd else _SET_BY_YOU
    listed.append(_assumption("Set-up cost", _same(assumptions.setup_usd), "USD, once", "ROI_SETUP_USD", why))
    if not is_cloud_known:
        listed.append(_assumption("Cost of the cloud", _same(Decimal(0)), "USD", "BILLING_EXPORT", _WHY_NO_CLOUD))
    return listed


def _assumption(name: str, value: Range, unit: str, setting: str, why: str) -> Assumption:
    low, base, high = (_plain(_in(value, case)) for case in CASES)
    return Assumption(name=name, low=low, base=base, high=high, unit=unit, setting=setting, why=why)


def _defaults() -> Assumptions:
    return assumptions_of(Settings({name: one.default for name, one in SETTINGS.items()}))


def _minutes(text: str) -> Mapping[str, Range]:
    found: dict[str, Range] = {}
    for number, entry in enumerate(text.split(","), start=1):
        agent, separator, amounts = entry.strip().partition("=")
        if not separator or not _AGENT.fullmatch(agent):
            raise InvalidSettings(f"ROI_MINUTES: entry {number} must be AGENT=LOW/BASE/HIGH, as in knowledge=3/6/10")
        if agent in found:
            raise InvalidSettings(f"ROI_MINUTES: {agent}: is there twice")
        found[agent] = _range(amounts, f"ROI_MINUTES: {agent}")
    if OTHER not in found:
        raise InvalidSettings(
            f"ROI_MINUTES: must say what agents without a name of their own save, as in {OTHER}=0/0/0"
        )
    return found


def _range(text: str, field: str) -> Range:
    parts = [part.strip() for part in text.split("/")]
    if len(parts) != len(CASES):
        raise InvalidSettings(f"{field}: must be three amounts, LOW/BASE/HIGH")
    low, base, high = (_amount(part, f"{field}: {case}") for part, case in zip(parts, CASES, strict=True))
    if not low <= base <= high:
        raise InvalidSettings(f"{field}: low must be at most base, and base at most high")
    return Range(low=low, base=base, high=high)


def _amount(text: str, field: str) -> Decimal:
    if text.startswith("-") and _AMOUNT.fullmatch(text[1:]):
        raise InvalidSettings(f"{field} must not be negative")
    if not _AMOUNT.fullmatch(text):
        raise InvalidSettings(f"{field} must be an amount below 1,000,000, as in 7.5")
    return Decimal(text)


def _same(amount: Decimal) -> Range:
    return Range(low=amount, base=amount, high=amount)


def _in(value: Range, case: Literal["low", "base", "high"]) -> Decimal:
    return {"low": value.low, "base": value.base, "high": value.high}[case]


def _months(first: date, days: int) -> Fraction:
    """How many months these days are: a whole calendar month is exactly 1, a day of it its share."""
    months = Fraction(0)
    while days > 0:
        length = monthrange(first.year, first.month)[1]
        here = min(days, length - first.day + 1)
        months += Fraction(here, length)
        days -= here
        first += timedelta(days=here)
    return months


def _rounded(amount: Fraction) -> Decimal:
    return (Decimal(amount.numerator) / Decimal(amount.denominator)).quantize(_MICRO)


def _plain(amount: Decimal) -> str:
    """Without zeros at the end: 200 for 200.0."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _in_days(days: int) -> str:
    return "1 day" if days == 1 else f"{days:,} days"
