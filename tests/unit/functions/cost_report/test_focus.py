"""FOCUS rows: read back, they keep the specification's rules and the ledger's sums, and no cell is a formula."""

import csv
import io
import json
import re
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.costs.days import DayKey, DaySums
from functions.cost_report.focus import COLUMNS, FORMULA_STARTS, Account, LedgerDayRow, focus_csv

ACCOUNT = Account(id="lending", name="Lending desk")

# Of FOCUS 1.2: the columns that must be there, the values that some may have, and those that may be null.
MANDATORY = set(
    "BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodStart BillingPeriodEnd ChargeCategory "
    "ChargeClass ChargeDescription ChargePeriodStart ChargePeriodEnd ContractedCost EffectiveCost InvoiceIssuerName "
    "ListCost PricingQuantity PricingUnit ProviderName PublisherName ServiceCategory ServiceName".split()
)
USEFUL = set(
    "ChargeFrequency ConsumedQuantity ConsumedUnit ListUnitPrice ContractedUnitPrice SkuId SkuPriceId SkuMeter "
    "SkuPriceDetails ResourceId ResourceName ResourceType RegionId RegionName ServiceSubcategory SubAccountId "
    "SubAccountName PricingCategory PricingCurrency InvoiceId Tags".split()
)
VALUES = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning", "Other"},
    "ServiceSubcategory": {"Generative AI", "Other (Other)"},
    "ChargeClass": {"", "Correction"},
    "BillingCurrency": {"USD"},
    "PricingUnit": {"1000000 Tokens", "Requests"},
    "ConsumedUnit": {"Tokens", "Requests"},
}
NUMBERS = {
    "BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "PricingQuantity", "ConsumedQuantity",
    *(name for name in COLUMNS if name.startswith("x_") and name.endswith(("Tokens", "Calls", "AtMost"))),
}  # fmt: skip
MAY_BE_NULL = {"BillingAccountName", "ChargeClass", "ResourceId", "ResourceName", "ResourceType", "Tags"} | {
    "x_Agent", "x_Lane", "x_Route"
}  # fmt: skip
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def row(**changes: Any) -> LedgerDayRow:  # Any: fields of many types
    given: dict[str, Any] = {
        "day": date(2026, 11, 29),
        "tenant": "acme",
        "principal": "key-7",
        "agent": "knowledge",
        "step": "draft",
        "route": "POST /api/query",
        "lane": "default",
        "provider": "gcp.gemini",
        "model": "gemini-3.8-flash",
        "calls": 12,
        "unpriced_calls": 0,
        "input_tokens": 10_000,
        "cached_input_tokens": 4_000,
        "output_tokens": 2_000,
        "thinking_tokens": 300,
        "tool_tokens": 5,
        "cost_usd": Decimal("0.013425"),
    }
    return LedgerDayRow(**{**given, **changes})


def read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))


def written(**changes: Any) -> dict[str, str]:
    (found,) = read(focus_csv([row(**changes)], ACCOUNT))
    return found


def test_all_mandatory_columns_are_there_and_no_name_is_made_up() -> None:
    own = {name for name in COLUMNS if name.startswith("x_")}
    assert set(COLUMNS) >= MANDATORY
    assert set(COLUMNS) - own <= MANDATORY | USEFUL


def test_columns_come_in_the_order_of_the_specification() -> None:
    names = list(COLUMNS)
    assert names == sorted(names, key=lambda name: (name.startswith("x_"), name))


def test_a_row_says_what_was_used_and_what_it_cost() -> None:
    assert written() == {
        "BilledCost": "0.013425",
        "BillingAccountId": "lending",
        "BillingAccountName": "Lending desk",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": "2026-12-01T00:00:00Z",
        "BillingPeriodStart": "2026-11-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": "12 calls of gemini-3.8-flash for draft, at the list price",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": "2026-11-30T00:00:00Z",
        "ChargePeriodStart": "2026-11-29T00:00:00Z",
        "ConsumedQuantity": "12305",
        "ConsumedUnit": "Tokens",
        "ContractedCost": "0.013425",
        "EffectiveCost": "0.013425",
        "InvoiceIssuerName": "Google Cloud",
        "ListCost": "0.013425",
        "PricingCategory": "Standard",
        "PricingQuantity": "0.012305",
        "PricingUnit": "1000000 Tokens",
        "ProviderName": "Google Cloud",
        "PublisherName": "Google",
        "ResourceId": "gemini-3.8-flash",
        "ResourceName": "gemini-3.8-flash",
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Gemini API",
        "ServiceSubcategory": "Generative AI",
        "SkuId": "gemini-3.8-flash",
        "SkuMeter": "Tokens",
        "SkuPriceId": "gemini-3.8-flash",
        "SubAccountId": "acme",
        "SubAccountName": "acme",
        "Tags": '{"agent": "knowledge", "lane": "default", "route": "POST /api/query", "step": "draft"}',
        "x_Agent": "knowledge",
        "x_CachedInputTokens": "4000",
        "x_Calls": "12",
        "x_InputTokens": "10000",
        "x_Lane": "default",
        "x_LostCalls": "0",
        "x_LostCostAtMost": "0",
        "x_OutputTokens": "2000",
        "x_PrincipalId": "key-7",
        "x_Route": "POST /api/query",
        "x_Step": "draft",
        "x_TenantId": "acme",
        "x_ThinkingTokens": "300",
        "x_ToolTokens": "5",
        "x_UnpricedCalls": "0",
    }


def test_the_ledgers_days_make_rows_field_by_field() -> None:
    key = DayKey(day=date(2026, 11, 29), tenant="acme", principal="key-7", agent="", step="draft", route="", lane="",
                 provider="gcp.gemini", model="gemini-3.8-flash")  # fmt: skip
    found = LedgerDayRow(**asdict(key), **asdict(DaySums(calls=2, tool_tokens=7)))
    assert (found.tenant, found.calls, found.tokens, found.cost_usd) == ("acme", 2, 7, Decimal(0))


def test_without_rows_there_is_a_header() -> None:
    assert focus_csv([], ACCOUNT) == (",".join(COLUMNS) + "\r\n").encode()


def test_an_unpriced_call_is_said_and_not_charged() -> None:
    found = written(unpriced_calls=3)
    assert (found["BilledCost"], found["x_UnpricedCalls"]) == ("0.013425", "3")
    assert "3 calls without a known price: what they cost is not in the amount" in found["ChargeDescription"]


def test_a_row_of_unpriced_calls_alone_costs_0_and_says_why() -> None:
    found = written(calls=1, unpriced_calls=1, cost_usd=Decimal(0))
    assert (found["BilledCost"], found["x_Calls"], found["x_UnpricedCalls"]) == ("0", "1", "1")
    assert "1 call without a known price" in found["ChargeDescription"]


def test_a_lost_call_says_what_it_can_have_cost() -> None:
    found = written(unpriced_calls=1, lost_calls=1, lost_usd=Decimal("0.0071"))
    assert (found["x_LostCalls"], found["x_LostCostAtMost"]) == ("1", "0.0071")
    assert "1 call of those without an answer, of 0.0071 USD at most" in found["ChargeDescription"]


def test_what_was_taken_back_is_a_negative_number_and_no_text() -> None:
    found = written(calls=-2, cost_usd=Decimal("-0.004"), input_tokens=-12_000, output_tokens=0, thinking_tokens=0)
    assert found["BilledCost"] == "-0.004"
    assert (found["x_Calls"], found["x_InputTokens"], found["PricingQuantity"]) == ("-2", "-12000", "-0.011995")
    assert "taken back" in found["ChargeDescription"]


def test_what_has_no_tokens_is_counted_in_requests() -> None:
    found = written(
        provider="serper", model="", step="people", calls=4, input_tokens=0, output_tokens=0, thinking_tokens=0,
        tool_tokens=0,
    )  # fmt: skip
    assert [found[name] for name in ("PricingQuantity", "PricingUnit", "ConsumedQuantity", "SkuId", "ResourceId")] == [
        "4", "Requests", "4", "serper", "",
    ]  # fmt: skip
    assert (found["ServiceName"], found["ServiceCategory"]) == ("Serper", "Other")


@pytest.mark.parametrize(
    ("provider", "service", "issuer"),
    [
        ("gcp.vertex_ai", "Vertex AI", "Google Cloud"),
        ("embedded", "Embedded models", "LoanCollateralCheck"),
        ("acme.models", "acme.models", "acme.models"),
    ],
)
def test_each_provider_is_named(provider: str, service: str, issuer: str) -> None:
    found = written(provider=provider)
    assert (found["ServiceName"], found["InvoiceIssuerName"]) == (service, issuer)


def test_a_billing_period_is_the_calendar_month() -> None:
    found = written(day=date(2026, 12, 31))
    assert (found["BillingPeriodStart"], found["BillingPeriodEnd"]) == ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_a_text_that_begins_like_a_formula_does_not_stay_one(start: str) -> None:
    text = f"{start}cmd|' /C calc'!A0"
    found = written(tenant=text, principal=text, agent=text, step=text, route=text, provider=text, model=text)
    for name in ("SubAccountId", "x_PrincipalId", "x_Agent", "x_Step", "x_Route", "ServiceName", "SkuId", "x_TenantId"):
        assert found[name] == f"'{text}"
    assert json.loads(found["Tags"])["agent"] == text


def test_lines_end_with_crlf_and_a_break_inside_a_text_stays_in_its_cell() -> None:
    content = focus_csv([row(agent='a,"b"\nc'), row()], ACCOUNT)
    assert content.endswith(b"\r\n")
    assert [found["x_Agent"] for found in read(content)] == ['a,"b"\nc', "knowledge"]


COUNTS = st.integers(-1_000, 10**9)
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
ROWS = st.builds(
    LedgerDayRow,
    day=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    tenant=TEXTS, principal=TEXTS, agent=st.just("") | TEXTS, step=TEXTS, route=st.just("") | TEXTS,
    lane=st.sampled_from(["", "default", "cheap"]),
    provider=st.sampled_from(["gcp.gemini", "gcp.vertex_ai", "embedded", "serper"]) | TEXTS,
    model=st.just("") | TEXTS,
    calls=COUNTS, unpriced_calls=COUNTS, lost_calls=COUNTS,
    lost_usd=st.decimals(0, 1000, places=15),
    input_tokens=COUNTS, cached_input_tokens=COUNTS, output_tokens=COUNTS, thinking_tokens=COUNTS, tool_tokens=COUNTS,
    cost_usd=st.decimals(-1000, 10**6, places=15),
)  # fmt: skip


@given(st.lists(ROWS, max_size=5))
def test_read_back_the_rows_keep_the_rules_and_add_up_to_the_ledgers_costs(rows: list[LedgerDayRow]) -> None:
    found = read(focus_csv(rows, ACCOUNT))
    assert len(found) == len(rows)
    assert sum(Decimal(one["BilledCost"]) for one in found) == sum(one.cost_usd for one in rows)
    for one, given_row in zip(found, rows, strict=True):
        for name, value in one.items():
            keeps_the_rules(name, value)
        keeps_the_periods(one, given_row.day)
        assert Decimal(one["ConsumedQuantity"]) == (given_row.tokens or given_row.calls)
        assert one["ListCost"] == one["ContractedCost"] == one["EffectiveCost"] == one["BilledCost"]


def keeps_the_rules(name: str, value: str) -> None:
    assert value or name in MAY_BE_NULL, name
    assert value in VALUES.get(name, {value}), name
    if name in NUMBERS:
        assert NUMBER.fullmatch(value), name
    else:
        assert not value.startswith(FORMULA_STARTS), name


def keeps_the_periods(one: dict[str, str], day: date) -> None:
    starts, ends, month, month_end = (
        datetime.fromisoformat(one[name])
        for name in ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")
    )
    assert starts == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert ends - starts == timedelta(days=1)
    assert month <= starts < ends <= month_end
    assert month.day == month_end.day == 1
    assert 28 <= (month_end - month).days <= 31
