"""Budgets: what may be spent by whom in which period. They stand in the JSON file that `Settings.budget_file` names:

    {"budgets": [
        {"id": "desk", "scope": "all", "period": "month", "time_zone": "America/New_York", "amount_usd": "400.00",
         "soft_at": "0.8", "hard_at": "1", "over": "extract", "notices_at": ["0.5", "0.8", "1"]},
        {"id": "key-a-day", "scope": "principal", "of": "*", "period": "day", "amount_usd": "5", "over": "refuse"}],
     "cloud_budget": {"soft_at": "0.9", "hard_at": "1", "over": "extract"}}

`of` names the tenant, principal, agent or model; "*" gives each of them a budget of its own. `soft_at`, `hard_at` and
`notices_at` are parts of the amount: from `soft_at` on the cheap lane is asked; no call is made that could bring the
budget above `hard_at`, and from there on answers come from earlier ones or from the documents alone (`over`:
"extract"), or not at all ("refuse"). Null leaves one out. What has no free substitute, as embedding documents by a
paid model, is refused either way. Periods are those of the calendar in `time_zone`; weeks begin on Monday.
`cloud_budget` is what Google's own budgets lead to, whose notifications function `budget_alert` receives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from common.once import once
from common.setting_files import load_file
from common.settings import settings

EACH = "*"

Scope = Literal["all", "tenant", "principal", "agent", "model"]
PeriodKind = Literal["day", "week", "month", "year"]
Over = Literal["extract", "refuse"]
State = Literal["open", "soft", "hard", "refused"]
Fraction = Annotated[Decimal, Field(gt=0, le=10, decimal_places=4, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Of = Annotated[str, StringConstraints(min_length=1, max_length=128)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spender:
    """Whom and what a paid call is for: which budgets it counts against. `model` is the one that is asked."""

    tenant: str
    principal: str
    agent: str | None
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPeriod:
    """A budget's period that a moment lies in, half-open, in UTC."""

    starts_at: datetime
    resets_at: datetime


class _Steps(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    soft_at: Fraction | None = Decimal("0.8")
    hard_at: Fraction | None = Decimal(1)
    over: Over = "extract"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.soft_at is not None and self.hard_at is not None and self.soft_at > self.hard_at:
            raise ValueError("soft_at is above hard_at")
        return self


class CloudBudgetSteps(_Steps):
    """What the part of a Google Cloud budget that is spent leads to."""

    soft_at: Fraction | None = Decimal("0.9")


class Budget(_Steps):
    """One budget, as above."""

    id: Name
    scope: Scope
    of: Of | None = None
    period: PeriodKind
    time_zone: str = "UTC"
    amount_usd: Annotated[Decimal, Field(gt=0, lt=1_000_000_000, decimal_places=9, allow_inf_nan=False)]
    notices_at: tuple[Fraction, ...] = (Decimal("0.5"), Decimal("0.8"), Decimal(1))

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("is no time zone of the IANA database, such as America/New_York")
        return value

    @model_validator(mode="after")
    def _names_whom(self) -> Self:
        if (self.scope == "all") != (self.of is None):
            raise ValueError('"of" names whom the budget is for, or "*" for each; scope "all" has none')
        return self

    @property
    def limit_usd(self) -> Decimal | None:
        """What may be spent at most; None: it only warns."""
        return None if self.hard_at is None else self.amount_usd * self.hard_at

    def counter(self, spender: Spender) -> str | None:
        """What the call is counted under; None where the budget is not its.

        It tells scope, period and time zone, and not the amount or the id: those may change within a period.
        """
        if self.scope == "all":
            return self._named("")
        whose = getattr(spender, self.scope)
        return self._named(whose) if whose is not None and self.of in {EACH, whose} else None

    def _named(self, whose: str) -> str:
        return f"{self.scope}|{whose}|{self.period}|{self.time_zone}"

    def period_at(self, at: datetime) -> BudgetPeriod:
        """The period that `at` lies in."""
        return period_at(self.period, self.time_zone, at)


class BudgetFile(BaseModel):
    """A budget file's content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budgets: tuple[Budget, ...] = ()
    cloud_budget: CloudBudgetSteps = CloudBudgetSteps()

    @field_validator("budgets")
    @classmethod
    def _named_apart(cls, value: tuple[Budget, ...]) -> tuple[Budget, ...]:
        ids = [one.id for one in value]
        if len(set(ids)) < len(ids):
            raise ValueError("two budgets have one id")
        return value


def load_budgets(path: Path) -> BudgetFile:
    """The budgets in the file at `path`.

    Raises:
        InvalidSettings: it cannot be read, or is not of the format above; names each field.
    """
    return load_file(path, BudgetFile, "BUDGET_FILE")


@once
def budget_file() -> BudgetFile:
    """This instance's budgets, read once; without a file there are none."""
    path = settings().budget_file
    return BudgetFile() if path is None else load_budgets(path)


def budgets_of(spender: Spender) -> Sequence[tuple[str, Budget]]:
    """The budgets that a call of `spender` counts against, each with its counter, in the order of the counters."""
    counted = ((budget.counter(spender), budget) for budget in budget_file().budgets)
    return sorted(((counter, budget) for counter, budget in counted if counter is not None), key=lambda pair: pair[0])


def whose(counter: str) -> str:
    """The name in the middle of a counter's scope, name, period and time zone; "" for all."""
    return counter.partition("|")[2].rsplit("|", 2)[0]


def state_at(part: Decimal, steps: _Steps) -> State:
    """What follows where this part of the amount is spent."""
    if steps.hard_at is not None and part >= steps.hard_at:
        return "refused" if steps.over == "refuse" else "hard"
    return "soft" if steps.soft_at is not None and part >= steps.soft_at else "open"


def period_at(period: PeriodKind, time_zone: str, at: datetime) -> BudgetPeriod:
    """The calendar's period that `at` lies in, in the zone of that IANA name."""
    zone = ZoneInfo(time_zone)
    first, following = _days(period, at.astimezone(zone).date())
    return BudgetPeriod(starts_at=_midnight(first, zone), resets_at=_midnight(following, zone))


def _days(period: PeriodKind, day: date) -> tuple[date, date]:
    """The first day of the period that `day` lies in, and that of the one after."""
    if period == "day":
        return day, day + timedelta(days=1)
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    if period == "month":
        return first, (first + timedelta(days=31)).replace(day=1)
    return first.replace(month=1), first.replace(month=1, year=day.year + 1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """When `day` begins; where clocks skip midnight, when they have skipped it."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
