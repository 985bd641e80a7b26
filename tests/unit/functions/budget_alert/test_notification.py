"""Notifications as Google writes them, and as it never would."""

import base64
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.costs.cloud_budgets import BudgetMessage
from common.problems import InvalidRequest
from functions.budget_alert.models import PubSubMessage, PubSubPush
from functions.budget_alert.notification import read_message
from tests.budget_messages import ACCOUNT, BUDGET, content, message, pushed

NOW = datetime(2026, 11, 23, 13, tzinfo=UTC)


def read(said: Any = None, **more: Any) -> BudgetMessage:
    return read_message(PubSubMessage.model_validate(message(said, **more)), NOW)


def refused(said: Any = None, **more: Any) -> str:
    with pytest.raises(InvalidRequest) as refusal:
        read(said, **more)
    return refusal.value.errors[0].pointer


def test_a_notification_is_read_whole() -> None:
    said = content(alertThresholdExceeded=0.9, forecastThresholdExceeded=1.2, costAmount=90.51)
    assert read(said) == BudgetMessage(
        budget_id=BUDGET,
        billing_account_id=ACCOUNT,
        display_name="Loans, production",
        interval_start=datetime(2026, 11, 1, 7, tzinfo=UTC),
        cost_amount=Decimal("90.51"),
        budget_amount=Decimal(100),
        currency="USD",
        actual_threshold=Decimal("0.9"),
        forecast_threshold=Decimal("1.2"),
        published_at=datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=UTC),
    )


def test_no_threshold_is_none_and_not_zero() -> None:
    found = read()
    assert (found.actual_threshold, found.forecast_threshold) == (None, None)
    assert read(content(alertThresholdExceeded=0.0)).actual_threshold == 0


def test_the_body_of_a_push_has_fields_twice_and_more_than_are_read() -> None:
    push = PubSubPush.model_validate({**pushed(), "deliveryAttempt": 5})
    assert push.message.message_id
    assert read_message(push.message, NOW).budget_id == BUDGET


def test_what_floats_leave_behind_is_rounded_away() -> None:
    found = read(content(costAmount=0.1 + 0.2, alertThresholdExceeded=0.30000000000000004))
    assert (found.cost_amount, found.actual_threshold) == (Decimal("0.3"), Decimal("0.3"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("costAmount", 1_500_000_000.5), ("costAmount", -3.25), ("costAmount", 0), ("budgetAmount", 0),
        ("currencyCode", "VND"), ("budgetDisplayName", None), ("budgetAmountType", "SOMETHING_NEW"),
        ("costIntervalStart", "2026-11-01T00:00:00-07:00"), ("aFieldOfTomorrow", {"a": [1]}),
    ],
)  # fmt: skip
def test_odd_but_true(field: str, value: Any) -> None:
    assert read(content(**{field: value})).budget_id == BUDGET


def test_a_budget_without_a_name_goes_by_its_id() -> None:
    assert read(content(budgetDisplayName="")).display_name == BUDGET


def test_a_name_is_one_line() -> None:
    found = read(content(budgetDisplayName="x\r\nBcc: y@example.com\u2028" + "z" * 200))
    assert found.display_name.startswith("x Bcc: y@example.com z")
    assert (found.display_name.isprintable(), len(found.display_name)) == (True, 128)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("costAmount", None), ("costAmount", "90"), ("costAmount", True), ("costAmount", float("nan")),
        ("costAmount", float("inf")), ("costAmount", 1e30), ("costAmount", []),
        ("budgetAmount", None), ("budgetAmount", -1),
        ("alertThresholdExceeded", "0.9"), ("alertThresholdExceeded", -0.5), ("forecastThresholdExceeded", 1e9),
        ("costIntervalStart", None), ("costIntervalStart", "2026-11-01T00:00:00"), ("costIntervalStart", "yesterday"),
        ("costIntervalStart", 1_793_516_400), ("costIntervalStart", "2027-11-01T00:00:00Z"),
        ("currencyCode", None), ("currencyCode", "usd"), ("currencyCode", "USD\n"), ("currencyCode", 840),
        ("budgetDisplayName", 7),
    ],
)  # fmt: skip
def test_a_field_that_is_none_is_named(field: str, value: Any) -> None:
    said = {**content(), field: value}
    if value is None:
        del said[field]
    assert refused(said) == f"/message/data/{field}"


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"7", b"null", b"\xff\xfe", b"[" * 5_000, b'{"costAmount":' + b"[" * 5_000, "no base64!", "YQ"],
)
def test_data_that_is_no_json_object_is_told(data: str | bytes) -> None:
    assert refused(data) == "/message/data"


def test_data_beyond_any_notification_is_not_even_decoded() -> None:
    assert refused(content(budgetDisplayName="x" * 20_000)) == "/message/data"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("budgetId", None), ("budgetId", ""), ("budgetId", "a b"), ("budgetId", "a\n"), ("budgetId", "x" * 129),
        ("billingAccountId", None), ("billingAccountId", "x" * 65), ("schemaVersion", "2.0"), ("schemaVersion", ""),
    ],
)  # fmt: skip
def test_an_attribute_that_is_none_is_named(field: str, value: str | None) -> None:
    attributes = {**message()["attributes"], field: value}
    given_ones = {name: one for name, one in attributes.items() if one is not None}
    assert refused(attributes=given_ones) == f"/message/attributes/{field}"


def test_a_newer_minor_version_is_read() -> None:
    assert read(attributes={**message()["attributes"], "schemaVersion": "1.1"}).budget_id == BUDGET


def test_a_refusal_holds_nothing_of_the_message() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(content(costAmount="jane.roe@example.com", currencyCode="Jane"))
    assert "ane" not in str([(one.pointer, one.detail) for one in refusal.value.errors])


@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    raw = base64.b64encode(data).decode()
    with pytest.raises(InvalidRequest):
        read(raw)
