from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from common.costs.cloud_budgets import BudgetMessage, Crossing
from common.notices.notice import MAX_KEY, MAX_SUBJECT
from functions.budget_alert.wording import notice_of

MESSAGE = BudgetMessage(
    budget_id="de72f49d",
    billing_account_id="01D4EE-079462-DFD6EC",
    display_name="Loans",
    interval_start=datetime(2026, 11, 1, 7, tzinfo=UTC),
    cost_amount=Decimal("90.510000"),
    budget_amount=Decimal("100.000000"),
    currency="EUR",
    actual_threshold=Decimal("0.9"),
    forecast_threshold=None,
    published_at=None,
)
ACTUAL = Crossing(basis="actual", threshold=Decimal("0.9"))


def test_a_threshold_that_is_passed() -> None:
    notice = notice_of(MESSAGE, ACTUAL)
    assert notice.key == "cloud-budget:de72f49d:20261101T070000Z:actual:0.9"
    assert notice.subject == "Cloud budget Loans has reached 90 %"
    assert notice.lines == (
        "Google Cloud's budget Loans is spent to 90 % or more.",
        "Spent since 1 November 2026, 07:00 UTC: 90.51 of 100 EUR (90.5 %).",
        "Billing data lag by hours: more may be spent by now.",
        "Budget de72f49d, billing account 01D4EE-079462-DFD6EC.",
    )
    assert notice.link == "https://console.cloud.google.com/billing/01D4EE-079462-DFD6EC/budgets"


def test_one_that_is_forecast_is_another_notice() -> None:
    notice = notice_of(MESSAGE, Crossing(basis="forecast", threshold=Decimal("1.25")))
    assert notice.key == "cloud-budget:de72f49d:20261101T070000Z:forecast:1.25"
    assert notice.subject == "Cloud budget Loans is forecast to reach 125 %"
    assert notice.lines[0] == "Google Cloud expects budget Loans to reach 125 % by the end of its interval."


@pytest.mark.parametrize(
    ("cost", "budget", "said"),
    [
        ("1500000000", "1000000000", "1,500,000,000 of 1,000,000,000 EUR (150 %)."),
        ("0.5", "3", "0.50 of 3 EUR (16.7 %)."),
        ("3", "0", "3 of 0 EUR."),
    ],
)
def test_amounts_are_shown_in_their_currency(cost: str, budget: str, said: str) -> None:
    message = replace(MESSAGE, cost_amount=Decimal(cost), budget_amount=Decimal(budget))
    assert notice_of(message, ACTUAL).lines[1].endswith(f": {said}")


def test_the_same_moment_in_another_zone_is_the_same_interval() -> None:
    local = replace(MESSAGE, interval_start=datetime.fromisoformat("2026-11-01T00:00:00-07:00"))
    assert notice_of(local, ACTUAL).key == notice_of(MESSAGE, ACTUAL).key


def test_the_longest_id_and_name_fit() -> None:
    message = replace(MESSAGE, budget_id="b" * 128, display_name="ü" * 128, billing_account_id="a" * 64)
    notice = notice_of(message, Crossing(basis="forecast", threshold=Decimal("999999.123456")))
    assert len(notice.key) <= MAX_KEY
    assert len(notice.subject) <= MAX_SUBJECT
    assert notice.subject.endswith(" is forecast to reach 99999912.3456 %")
