"""Budgets as they are written down, and the calendar's periods."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.costs.budgets import Budget, BudgetPeriod, PeriodKind, Spender, budget_file, load_budgets, period_at
from common.settings import InvalidSettings
from tests import budget_files
from tests.budget_files import budget
from tests.instance import instance

ACME = Spender(tenant="acme", principal="key-acme", agent="knowledge", model="gemini-3.8-flash")
ZONES = ("UTC", "America/New_York", "America/Los_Angeles", "Asia/Kolkata", "Africa/Cairo", "Australia/Lord_Howe")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # year to minute


@pytest.mark.parametrize(
    ("period", "zone", "at", "starts_at", "resets_at"),
    [
        ("day", "UTC", utc(2026, 11, 23, 12), utc(2026, 11, 23), utc(2026, 11, 24)),
        ("day", "UTC", utc(2026, 11, 23), utc(2026, 11, 23), utc(2026, 11, 24)),
        ("week", "UTC", utc(2026, 11, 29, 23, 59), utc(2026, 11, 23), utc(2026, 11, 30)),
        ("month", "UTC", utc(2026, 12, 31, 23, 59), utc(2026, 12, 1), utc(2027, 1, 1)),
        ("year", "UTC", utc(2028, 2, 29), utc(2028, 1, 1), utc(2029, 1, 1)),
        # Clocks go back on 1 November 2026 and forward on 14 March 2027: days of 25 and 23 hours.
        ("day", "America/New_York", utc(2026, 11, 1, 12), utc(2026, 11, 1, 4), utc(2026, 11, 2, 5)),
        ("day", "America/New_York", utc(2027, 3, 14, 12), utc(2027, 3, 14, 5), utc(2027, 3, 15, 4)),
        ("month", "America/New_York", utc(2026, 11, 1, 3, 59), utc(2026, 10, 1, 4), utc(2026, 11, 1, 4)),
        ("month", "America/New_York", utc(2026, 11, 1, 4), utc(2026, 11, 1, 4), utc(2026, 12, 1, 5)),
        ("day", "Asia/Kolkata", utc(2026, 11, 23, 18, 30), utc(2026, 11, 23, 18, 30), utc(2026, 11, 24, 18, 30)),
    ],
)
def test_periods_are_those_of_the_calendar_where_the_budget_is(
    period: PeriodKind, zone: str, at: datetime, starts_at: datetime, resets_at: datetime
) -> None:
    assert period_at(period, zone, at) == BudgetPeriod(starts_at=starts_at, resets_at=resets_at)


@given(
    st.sampled_from(("day", "week", "month", "year")),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2020, 1, 2), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # drawn aware
)
def test_every_moment_is_in_one_period_and_the_next_begins_where_it_ends(
    period: PeriodKind, zone: str, at: datetime
) -> None:
    found = period_at(period, zone, at)
    assert found.starts_at <= at < found.resets_at
    assert period_at(period, zone, found.resets_at).starts_at == found.resets_at
    assert period_at(period, zone, found.resets_at - timedelta(microseconds=1)) == found
    assert found.starts_at.astimezone(ZoneInfo(zone)).hour in {0, 1}  # 1: where clocks skip midnight


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"amount_usd": "0"}, "budgets.0.amount_usd: Input should be greater than 0"),
        ({"amount_usd": "-5"}, "budgets.0.amount_usd"),
        ({"amount_usd": "much"}, "budgets.0.amount_usd"),
        ({"amount_usd": "NaN"}, "budgets.0.amount_usd"),
        ({"period": "fortnight"}, "budgets.0.period"),
        ({"scope": "desk"}, "budgets.0.scope"),
        ({"scope": "tenant"}, '"of" names whom the budget is for'),
        ({"of": "acme"}, 'scope "all" has none'),
        ({"time_zone": "Mars/Olympus"}, "budgets.0.time_zone"),
        ({"soft_at": "1.2"}, "soft_at is above hard_at"),
        ({"soft_at": "0"}, "budgets.0.soft_at"),
        ({"over": "panic"}, "budgets.0.over"),
        ({"id": "Has blanks"}, "budgets.0.id"),
        ({"colour": "red"}, "budgets.0.colour"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused_with_its_field_named(
    tmp_path: Path, changed: dict[str, object], reason: str
) -> None:
    with pytest.raises(InvalidSettings, match="BUDGET_FILE") as refused:
        load_budgets(budget_files.budget_file(tmp_path, budget(**changed)))
    assert reason in str(refused.value)


def test_two_budgets_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="two budgets have one id"):
        load_budgets(budget_files.budget_file(tmp_path, budget(), budget()))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"budgets": 1}', "\ufeff{}", '{"budgets": [], "budgets": []}'])
def test_a_file_that_is_no_such_thing_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "budgets.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidSettings, match="BUDGET_FILE"):
        load_budgets(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot be read"):
        load_budgets(tmp_path / "none.json")


def test_the_file_of_the_guide_can_be_used(tmp_path: Path) -> None:
    from common.costs import budgets

    text = (budgets.__doc__ or "").split("names:\n\n")[1].split("\n\n`of`")[0]
    path = tmp_path / "budgets.json"
    path.write_text(json.dumps(json.loads(text)), encoding="utf-8")
    assert [one.id for one in load_budgets(path).budgets] == ["desk", "key-a-day"]


def test_this_instances_budgets_are_those_of_its_file(tmp_path: Path) -> None:
    path = budget_files.budget_file(tmp_path, budget())
    with instance(tmp_path, BUDGET_FILE=str(path)):
        assert [one.id for one in budget_file().budgets] == ["all"]
    with instance(tmp_path):
        assert budget_file().budgets == ()


@pytest.mark.parametrize(
    ("changed", "counter"),
    [
        ({}, "all||month|UTC"),
        ({"scope": "tenant", "of": "acme", "period": "day"}, "tenant|acme|day|UTC"),
        ({"scope": "tenant", "of": "other"}, None),
        ({"scope": "principal", "of": "*"}, "principal|key-acme|month|UTC"),
        ({"scope": "model", "of": "gemini-3.8-flash"}, "model|gemini-3.8-flash|month|UTC"),
    ],
)
def test_a_call_is_counted_under_whom_and_what_it_is_for(changed: dict[str, object], counter: str | None) -> None:
    assert Budget.model_validate(budget(**changed)).counter(ACME) == counter
