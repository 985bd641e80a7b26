"""The state of Google Cloud's budgets: whatever the order of messages and however often they come."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, Row, delete, select

from common.costs.cloud_budgets import BudgetMessage, Changes, Crossing, fraction_spent, receive
from common.database.engine import read, write
from common.database.tables import cloud_budgets

NOVEMBER = datetime(2026, 11, 1, 7, tzinfo=UTC)  # midnight in California
DECEMBER = datetime(2026, 12, 1, 8, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIRST = BudgetMessage(
    budget_id="b1",
    billing_account_id="01D4EE-079462-DFD6EC",
    display_name="Loans",
    interval_start=NOVEMBER,
    cost_amount=Decimal("40.5"),
    budget_amount=Decimal(100),
    currency="USD",
    actual_threshold=None,
    forecast_threshold=None,
    published_at=NOW - timedelta(hours=2),
)


def said(cost: str, passed: str | None = None, **other: object) -> BudgetMessage:
    threshold = None if passed is None else Decimal(passed)
    return replace(FIRST, **{"cost_amount": Decimal(cost), "actual_threshold": threshold, **other})  # type: ignore[arg-type]


def hear(engine: Engine, *messages: BudgetMessage, now: datetime = NOW) -> list[Changes]:
    changes = []
    for message in messages:
        with write(engine) as connection:
            changes.append(receive(connection, message, now))
    return changes


def crossed(changes: list[Changes]) -> list[tuple[str, str]]:
    return [(one.basis, str(one.threshold)) for change in changes for one in change.crossings]


def fraction(engine: Engine, now: datetime = NOW) -> Decimal | None:
    with read(engine) as connection:
        return fraction_spent(connection, now)


def row(engine: Engine) -> Row[tuple[object, ...]]:
    with read(engine) as connection:
        return connection.execute(select(cloud_budgets)).one()


def test_without_a_message_nothing_is_known(sqlite_database: Engine) -> None:
    assert fraction(sqlite_database) is None


def test_a_message_without_a_threshold_sets_the_state_and_tells_nobody(sqlite_database: Engine) -> None:
    (change,) = hear(sqlite_database, FIRST)
    assert change == Changes(crossings=(), is_new=True, is_resized=False, cost_grew=True)
    assert fraction(sqlite_database) == Decimal("0.405")


def test_each_threshold_counts_once(database: Engine) -> None:
    changes = hear(
        database, said("50", "0.5"), said("50", "0.5"), said("60", "0.5"), said("91", "0.9"), said("95", "0.9")
    )
    assert crossed(changes) == [("actual", "0.5"), ("actual", "0.9")]
    assert fraction(database) == Decimal("0.95")


def test_thresholds_that_are_jumped_over_are_done_with_the_highest(sqlite_database: Engine) -> None:
    assert crossed(hear(sqlite_database, said("101", "1.0"), said("91", "0.9"), said("50", "0.5"))) == [
        ("actual", "1.0")
    ]


def test_an_older_message_lowers_nothing(sqlite_database: Engine) -> None:
    hear(sqlite_database, said("91", "0.9"))
    (change,) = hear(sqlite_database, said("50", "0.5", display_name="Old name", budget_amount=Decimal(60)))
    assert change == Changes(crossings=(), is_new=False, is_resized=False, cost_grew=False)
    assert (row(sqlite_database).display_name, fraction(sqlite_database)) == ("Loans", Decimal("0.91"))


def test_of_two_with_the_same_cost_the_one_published_later_counts(sqlite_database: Engine) -> None:
    later = said("90", "0.9", budget_amount=Decimal(200), published_at=NOW - timedelta(hours=1))
    (_, change) = hear(sqlite_database, said("90", "0.9"), later)
    assert (change.is_resized, change.is_news) == (True, True)
    hear(sqlite_database, said("90", "0.9"))  # once more the first
    assert fraction(sqlite_database) == Decimal("0.45")


def test_a_credit_lowers_what_is_spent(sqlite_database: Engine) -> None:
    hear(sqlite_database, said("90", "0.9"), said("30", published_at=NOW - timedelta(hours=1)))
    assert fraction(sqlite_database) == Decimal("0.3")


def test_what_is_actual_and_what_is_forecast_are_two_things(sqlite_database: Engine) -> None:
    both = said("50", "0.5", forecast_threshold=Decimal("1.2"))
    (change, again) = hear(sqlite_database, both, both)
    assert change.crossings == (
        Crossing(basis="actual", threshold=Decimal("0.5")),
        Crossing(basis="forecast", threshold=Decimal("1.2")),
    )
    assert again.crossings == ()


def test_a_forecast_that_falls_and_rises_again_is_told_once(sqlite_database: Engine) -> None:
    expected = ["1.0", "1.2", None, "1.0", "1.2"]
    messages = [
        said(str(cost), forecast_threshold=None if one is None else Decimal(one)) for cost, one in enumerate(expected)
    ]
    assert crossed(hear(sqlite_database, *messages)) == [("forecast", "1.0"), ("forecast", "1.2")]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations([("10", None), ("50", "0.5"), ("91", "0.9"), ("101", "1.0"), ("101", "1.0"), ("120", "1.0")])
)
def test_whatever_the_order_no_threshold_is_told_twice_and_the_end_is_the_same(
    sqlite_database: Engine, order: list[tuple[str, str | None]]
) -> None:
    with write(sqlite_database) as connection:
        connection.execute(delete(cloud_budgets))
    told = [threshold for _, threshold in crossed(hear(sqlite_database, *(said(*one) for one in order)))]
    assert told == sorted(set(told))
    assert told[-1] == "1.0"
    assert fraction(sqlite_database) == Decimal("1.2")


def test_of_copies_that_come_at_once_one_tells(database: Engine) -> None:
    with ThreadPoolExecutor(6) as threads:
        changes = list(threads.map(lambda _: hear(database, said("91", "0.9"))[0], range(6)))
    assert crossed(changes) == [("actual", "0.9")]
    assert sum(change.is_new for change in changes) == 1


def test_a_new_interval_begins_anew(database: Engine) -> None:
    at = DECEMBER + timedelta(hours=3)
    new = said("1", "0.5", interval_start=DECEMBER, budget_amount=Decimal(2), published_at=at)
    changes = hear(database, said("101", "1.0"), new, now=at)
    assert crossed(changes) == [("actual", "1.0"), ("actual", "0.5")]
    assert fraction(database, at) == Decimal("0.5")
    late = said("105", "1.2")  # of November
    assert crossed(hear(database, late, now=at)) == [("actual", "1.2")]
    assert fraction(database, at) == Decimal("0.5")


def test_the_budget_that_is_spent_most_counts(sqlite_database: Engine) -> None:
    hear(sqlite_database, said("10"), said("80", budget_id="b2"), said("30", budget_id="b3"))
    assert fraction(sqlite_database) == Decimal("0.8")


def test_an_interval_ends_a_month_and_a_day_after_its_start(sqlite_database: Engine) -> None:
    hear(sqlite_database, said("91", "0.9"))
    assert fraction(sqlite_database, NOVEMBER + timedelta(days=32, seconds=-1)) == Decimal("0.91")
    assert fraction(sqlite_database, NOVEMBER + timedelta(days=32)) is None


def test_that_of_a_yearly_budget_lasts_as_long_as_it_is_told_of(sqlite_database: Engine) -> None:
    may = datetime(2026, 5, 2, tzinfo=UTC)
    start = datetime(2026, 1, 1, 8, tzinfo=UTC)
    hear(sqlite_database, said("40", interval_start=start, published_at=None), now=may)
    assert fraction(sqlite_database, may + timedelta(hours=23)) == Decimal("0.4")
    assert fraction(sqlite_database, may + timedelta(hours=25)) is None
    hear(sqlite_database, said("40", interval_start=start, published_at=None), now=may + timedelta(hours=25))
    assert fraction(sqlite_database, may + timedelta(hours=26)) == Decimal("0.4")


def test_of_a_budget_of_zero_googles_own_word_counts(sqlite_database: Engine) -> None:
    hear(sqlite_database, said("0", budget_amount=Decimal(0)))
    assert fraction(sqlite_database) is None
    hear(sqlite_database, said("3", "1.0", budget_amount=Decimal(0)))
    assert fraction(sqlite_database) == 1


@pytest.mark.parametrize(("cost", "budget"), [("1350000000", "1500000000"), ("0.000009", "0.00001"), ("-5", "100")])
def test_any_currency_and_any_size_will_do(database: Engine, cost: str, budget: str) -> None:
    hear(database, said(cost, budget_amount=Decimal(budget), currency="VND"))
    assert fraction(database) == Decimal(cost) / Decimal(budget)


def test_a_clock_of_the_future_does_not_hold_later_messages_up(sqlite_database: Engine) -> None:
    hear(sqlite_database, said("90", published_at=NOW + timedelta(days=9)))
    assert row(sqlite_database).updated_at == NOW


def test_more_cost_alone_is_no_news(sqlite_database: Engine) -> None:
    changes = hear(sqlite_database, said("10"), said("11"), said("11", currency="EUR"))
    assert [change.is_news for change in changes] == [True, False, True]


def test_rolled_back_it_was_never_heard(sqlite_database: Engine) -> None:
    with write(sqlite_database) as connection:
        receive(connection, said("91", "0.9"), NOW)
        transaction = connection.get_transaction()
        assert transaction is not None
        transaction.rollback()
    assert crossed(hear(sqlite_database, said("91", "0.9"))) == [("actual", "0.9")]
