"""What the page shows of a report beyond its figures as they are: sums over months, the budget line, what is left out.

A list that could grow without end is cut, so that the page stays small; what is cut is summed up or said in a line, and
stands in full in the JSON and CSV.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Generic, TypeVar

from functions.cost_report.models import (
    DIMENSIONS,
    Anomaly,
    BudgetState,
    Day,
    Dimension,
    Finding,
    ForecastDay,
    Group,
    Report,
    Tokens,
    TopQuestion,
)

MOST_DAYS = 366
MOST_GROUPS = 15  # of the dimensions that a reader looks at first
MOST_OTHER_GROUPS = 8
MOST_ROWS = 15  # of other lists
MONTHS_FROM_DAYS = 62  # a longer period is shown by month too

Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A day with what it cost, what it is expected to cost yet, or both: today."""

    day: date
    spent: Day | None
    ahead: ForecastDay | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The days of a calendar month that are in the period, added up."""

    label: str  # 2026-11
    cost_usd: Decimal
    cloud_cost_usd: Decimal | None
    calls: int
    answers: int
    unpriced_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTable:
    """The costs by one dimension. `others` adds up those that are not shown, `others_count` of them."""

    dimension: Dimension
    groups: Sequence[Group]
    others: Group | None
    others_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKind:
    """A kind of tokens; the kinds do not overlap."""

    name: str
    meaning: str
    tokens: int
    share_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """A budget over the same costs as the report, spread evenly: what it leaves for a day and for this period."""

    budget: BudgetState
    per_day_usd: Decimal
    for_period_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(Generic[Shown]):
    """The first of a list, and how many more there are."""

    shown: Sequence[Shown]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """All of it. `earlier_days` were cut from `rows`; `before_usd` is what those cost."""

    is_empty: bool
    last_day: date
    rows: Sequence[Row]
    earlier_days: int
    before_usd: Decimal
    months: Sequence[Month]
    tables: Sequence[GroupTable]
    token_kinds: Sequence[TokenKind]
    budget_line: BudgetLine | None
    budgets: Cut[BudgetState]
    anomalies: Cut[Anomaly]
    questions: Cut[TopQuestion]
    findings: Cut[Finding]


def page_view(report: Report) -> PageView:
    """`report`, made ready to be shown."""
    rows = list(_rows(report))
    shown = rows[-MOST_DAYS:]
    earlier = rows[: len(rows) - len(shown)]
    return PageView(
        is_empty=not report.totals.calls and not report.totals.answers,
        last_day=report.period.end.date() - timedelta(days=1),
        rows=shown,
        earlier_days=len(earlier),
        before_usd=sum((row.spent.cost_usd for row in earlier if row.spent is not None), Decimal(0)),
        months=list(_months(report)) if report.period.days >= MONTHS_FROM_DAYS else [],
        tables=list(_tables(report)),
        token_kinds=list(_token_kinds(report.totals.tokens)),
        budget_line=_budget_line(report),
        budgets=_cut(report.budgets, MOST_ROWS),
        anomalies=_cut(report.anomalies, MOST_ROWS),
        questions=_cut(report.top_questions, MOST_ROWS),
        findings=_cut(report.savings.findings, MOST_ROWS),
    )


def chart_data(report: Report, view: PageView) -> dict[str, object]:
    """What the charts draw: texts and amounts as in the tables, by day.

    A row is day, cost, expected, low, high. Of a day that is still going on the last three are for the whole of it.
    `end` is what the period will have cost, low and high; `budget` is for a day and for the period.
    """
    line, forecast = view.budget_line, report.forecast
    return {
        "before": f"{view.before_usd:f}",
        "rows": [_charted(row) for row in view.rows],
        "unusual": sorted({one.day.isoformat() for one in view.anomalies.shown}),
        "end": forecast and [f"{forecast.low_usd:f}", f"{forecast.high_usd:f}"],
        "budget": line and [f"{line.per_day_usd:f}", f"{line.for_period_usd:f}"],
    }


def _charted(row: Row) -> list[str | None]:
    spent = row.spent.cost_usd if row.spent is not None else None
    ahead = row.ahead
    expected = (ahead.expected_usd, ahead.low_usd, ahead.high_usd) if ahead is not None else (None, None, None)
    whole = [None if one is None else one + (spent or Decimal(0)) for one in expected]
    return [row.day.isoformat(), *(None if one is None else f"{one:f}" for one in (spent, *whole))]


def _rows(report: Report) -> Iterator[Row]:
    spent = {one.day: one for one in report.days}
    ahead = {one.day: one for one in report.forecast.days} if report.forecast is not None else {}
    for day in sorted(spent.keys() | ahead.keys()):
        yield Row(day=day, spent=spent.get(day), ahead=ahead.get(day))


def _months(report: Report) -> Iterator[Month]:
    by_month: dict[str, list[Day]] = defaultdict(list)
    for one in report.days:
        by_month[f"{one.day:%Y-%m}"].append(one)
    for label, days in sorted(by_month.items()):
        cloud = [day.cloud_cost_usd for day in days if day.cloud_cost_usd is not None]
        yield Month(
            label=label,
            cost_usd=sum((day.cost_usd for day in days), Decimal(0)),
            cloud_cost_usd=sum(cloud, Decimal(0)) if cloud else None,
            calls=sum(day.calls for day in days),
            answers=sum(day.answers for day in days),
            unpriced_calls=sum(day.unpriced_calls for day in days),
        )


def _tables(report: Report) -> Iterator[GroupTable]:
    """Agent, model and what was asked for come first and in full; the others follow, shorter."""
    first: list[Dimension] = ["agent", "model"]
    if report.group_by not in first:
        first.append(report.group_by)
    for dimension in [*first, *(one for one in DIMENSIONS if one not in first)]:
        groups = report.groups if dimension == report.group_by else report.by.get(dimension, [])
        most = MOST_GROUPS if dimension in first else MOST_OTHER_GROUPS
        others = groups[most:]
        yield GroupTable(
            dimension=dimension,
            groups=groups[:most],
            others=_together(others) if others else None,
            others_count=len(others),
        )


def _together(groups: Sequence[Group]) -> Group:
    shares = [group.share_percent for group in groups if group.share_percent is not None]
    return Group(
        key="",
        cost_usd=sum((group.cost_usd for group in groups), Decimal(0)),
        calls=sum(group.calls for group in groups),
        unpriced_calls=sum(group.unpriced_calls for group in groups),
        share_percent=sum(shares) if shares else None,
        tokens=Tokens(
            input=sum(group.tokens.input for group in groups),
            cached_input=sum(group.tokens.cached_input for group in groups),
            output=sum(group.tokens.output for group in groups),
            thinking=sum(group.tokens.thinking for group in groups),
            tool=sum(group.tokens.tool for group in groups),
        ),
    )


def _token_kinds(tokens: Tokens) -> Iterator[TokenKind]:
    kinds = (
        ("Fresh input", "Questions, instructions, history and passages, at the full price", "input"),
        ("Cached input", "Input that the provider had seen before, at its lower price", "cached"),
        ("Output", "What the models wrote", "output"),
        ("Thinking", "What the models reasoned before they wrote, billed as output", "thinking"),
        ("Tool use", "What tools brought into the prompt, billed as input", "tool"),
    )
    numbers = {
        "input": tokens.input - tokens.cached_input,
        "cached": tokens.cached_input,
        "output": tokens.output,
        "thinking": tokens.thinking,
        "tool": tokens.tool,
    }
    total = sum(numbers.values())
    if total <= 0:
        return
    for name, meaning, kind in kinds:
        share = 100 * numbers[kind] / total
        yield TokenKind(name=name, meaning=meaning, tokens=numbers[kind], share_percent=share)


def _budget_line(report: Report) -> BudgetLine | None:
    """Of the budgets over what the report is about, the one that leaves the least for a day."""
    scope = "all" if report.tenant is None else f"tenant {report.tenant}"
    lines = [_spread(budget, report.period.days) for budget in report.budgets if budget.scope == scope]
    return min(lines, key=lambda line: line.per_day_usd, default=None)


def _spread(budget: BudgetState, days: int) -> BudgetLine:
    # In the budget's time zone a day of a clock change is an hour off: whole days are meant.
    own_days = max(1, round((budget.resets_at - budget.starts_at) / timedelta(days=1)))
    for_period = budget.amount_usd if own_days == days else budget.amount_usd * days / own_days
    return BudgetLine(budget=budget, per_day_usd=budget.amount_usd / own_days, for_period_usd=for_period)


def _cut(full: Sequence[Shown], most: int) -> Cut[Shown]:
    return Cut(shown=full[:most], left_out=max(0, len(full) - most))
