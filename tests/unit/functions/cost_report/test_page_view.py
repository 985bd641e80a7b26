"""What the page derives from a report, and what it leaves out and says so."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from functions.cost_report.models import DIMENSIONS, BudgetState, Day, Report
from functions.cost_report.page_view import MOST_DAYS, MOST_OTHER_GROUPS, MOST_ROWS, chart_data, page_view
from tests import sample_reports


def budget(**changed: Any) -> BudgetState:
    plain = {
        "id": "month", "scope": "tenant acme", "period": "month", "time_zone": "UTC", "amount_usd": "75",
        "spent_usd": "1", "held_usd": "0", "used_percent": 1.0, "state": "open",
        "starts_at": datetime(2026, 11, 1, tzinfo=UTC), "resets_at": datetime(2026, 12, 1, tzinfo=UTC),
    }  # fmt: skip
    return BudgetState.model_validate(plain | changed)


def with_budgets(*budgets: BudgetState, tenant: str | None = "acme") -> Report:
    return sample_reports.rich().model_copy(update={"budgets": list(budgets), "tenant": tenant})


def test_a_budget_is_spread_over_the_reports_days() -> None:
    line = page_view(with_budgets(budget())).budget_line
    assert line is not None
    assert (line.per_day_usd, line.for_period_usd) == (Decimal("2.5"), Decimal(75))


def test_of_several_budgets_the_tightest_is_the_line() -> None:
    day = budget(
        id="day", period="day", amount_usd="2", starts_at=datetime(2026, 11, 21, 5, tzinfo=UTC),
        resets_at=datetime(2026, 11, 22, 5, tzinfo=UTC),
    )  # fmt: skip
    line = page_view(with_budgets(budget(), day)).budget_line
    assert line is not None
    assert (line.budget.id, line.per_day_usd, line.for_period_usd) == ("day", Decimal(2), Decimal(60))


@pytest.mark.parametrize(
    ("scope", "tenant", "is_line"),
    [("all", None, True), ("tenant acme", "acme", True), ("all", "acme", False), ("agent lending", "acme", False)],
)
def test_only_a_budget_over_the_same_costs_is_a_line(scope: str, tenant: str | None, is_line: bool) -> None:
    assert (page_view(with_budgets(budget(scope=scope), tenant=tenant)).budget_line is not None) == is_line


def test_a_month_in_which_clocks_change_has_whole_days() -> None:
    november = budget(
        starts_at=datetime(2026, 11, 1, 4, tzinfo=UTC), resets_at=datetime(2026, 12, 1, 5, tzinfo=UTC)
    )  # New York
    line = page_view(with_budgets(november)).budget_line
    assert line is not None
    assert line.for_period_usd == Decimal(75)


def test_today_is_charted_as_a_whole_and_listed_as_what_is_still_to_come() -> None:
    report = sample_reports.rich()
    view = page_view(report)
    assert report.forecast is not None
    today = next(row for row in view.rows if row.spent is not None and row.ahead is not None)
    assert today.spent is not None
    assert today.ahead is not None
    (charted,) = (row for row in charted_rows(report) if row[0] == "2026-11-21")
    assert charted[1] == f"{today.spent.cost_usd:f}"
    assert charted[2] == f"{today.spent.cost_usd + today.ahead.expected_usd:f}"
    assert charted_rows(report)[-1][1] is None


def charted_rows(report: Report) -> list[list[str | None]]:
    rows = chart_data(report, page_view(report))["rows"]
    assert isinstance(rows, list)
    return rows


def test_days_that_are_too_many_are_summed_up() -> None:
    report = sample_reports.year(1_096)
    view = page_view(report)
    assert (len(view.rows), view.earlier_days) == (MOST_DAYS, 1_096 - MOST_DAYS)
    shown = sum((row.spent.cost_usd for row in view.rows if row.spent is not None), Decimal(0))
    assert view.before_usd + shown == report.totals.cost_usd
    assert sum((month.cost_usd for month in view.months), Decimal(0)) == report.totals.cost_usd
    assert (view.months[0].label, view.months[-1].label, len(view.months)) == ("2022-01", "2024-12", 36)


def test_a_short_period_has_no_months() -> None:
    assert page_view(sample_reports.rich()).months == []


def test_the_months_cloud_cost_is_unknown_where_no_day_has_one() -> None:
    days = [Day(day=date(2026, 1, number), cost_usd=Decimal(1), cloud_cost_usd=None, calls=1, answers=1,
                unpriced_calls=0) for number in (1, 2)]  # fmt: skip
    long = sample_reports.year().model_copy(update={"days": days})
    assert [month.cloud_cost_usd for month in page_view(long).months] == [None]


def test_groups_that_are_too_many_stand_together_and_nothing_is_lost() -> None:
    report = sample_reports.year()
    tables = {table.dimension: table for table in page_view(report).tables}
    assert list(tables)[:3] == ["agent", "model", "principal"]
    assert set(tables) == set(DIMENSIONS)
    assert len(tables["step"].groups) == MOST_OTHER_GROUPS
    for dimension, table in tables.items():
        groups = report.groups if dimension == report.group_by else report.by[dimension]
        assert table.others is not None
        assert len(table.groups) + table.others_count == len(groups)
        parts = [*table.groups, table.others]
        assert sum((group.cost_usd for group in parts), Decimal(0)) == report.totals.cost_usd
        assert sum(group.calls for group in parts) == sum(group.calls for group in groups)
        assert sum(group.tokens.input for group in parts) == sum(group.tokens.input for group in groups)


def test_token_kinds_do_not_overlap() -> None:
    report = sample_reports.rich()
    tokens = report.totals.tokens
    kinds = page_view(report).token_kinds
    assert sum(kind.tokens for kind in kinds) == tokens.input + tokens.output + tokens.thinking + tokens.tool
    assert sum(kind.share_percent for kind in kinds) == pytest.approx(100)
    assert page_view(sample_reports.empty()).token_kinds == []


def test_a_cut_list_says_how_many_are_missing() -> None:
    report = sample_reports.year()
    view = page_view(report)
    assert len(view.findings.shown) == MOST_ROWS
    assert view.findings.left_out == len(report.savings.findings) - MOST_ROWS
    assert page_view(sample_reports.rich()).findings.left_out == 0
