"""A day's tokens and money: by principal, by UTC day, of paid models alone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from common.costs.ledger import LedgerEntry, add
from common.costs.prices import cost_usd
from common.database.engine import write
from common.problems import QuotaExceeded
from common.security.allowance import check_allowance, most_of_a_call
from common.security.principal import Principal
from common.settings import load_settings

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
KEY = Principal(id="key-1", tenant="default", scopes=frozenset())


def spend(
    database: Engine,
    *,
    tokens: int = 0,
    usd: str | None = "0",
    at: datetime = NOON - timedelta(hours=1),
    principal: str = KEY.id,
    provider: str = "gcp.gemini",
    outcome: str = "ok",
    model: str = "m",
) -> None:
    entry = LedgerEntry(
        created_at=at, request_id="r", trace_id="0" * 32, tenant="default", principal=principal, step="draft",
        route="POST /api/query",
        provider=provider, model_asked=model, duration_ms=1.0, outcome=outcome, input_tokens=tokens,
        cost_usd=Decimal(usd) if usd is not None else None,
    )  # fmt: skip
    with write(database) as connection:
        add(connection, [entry])


def check(
    database: Engine, *, now: datetime = NOON, tokens: int = 1_000, usd: float = 5, gemini_key: str | None = "key"
) -> None:
    settings = load_settings(daily_tokens=tokens, daily_usd=usd, gemini_api_key=gemini_key)
    check_allowance(KEY, settings, database, now)


def test_a_days_tokens_are_used_up_until_midnight(database: Engine) -> None:
    spend(database, tokens=999)
    check(database)
    spend(database, tokens=1, usd=None)  # unpriced: its tokens count
    with pytest.raises(QuotaExceeded) as refused:
        check(database)
    assert refused.value.detail == (
        "This key's or account's 1,000 model tokens of this day are used up. The next day begins at midnight UTC."
    )
    assert refused.value.headers == {"Retry-After": "43200"}


def test_a_days_money_is_used_up_too_and_both_are_named(database: Engine) -> None:
    spend(database, usd="4.99")
    check(database)
    spend(database, usd="0.01")
    with pytest.raises(QuotaExceeded, match=r"account's 5\.00 USD for models of this day"):
        check(database)
    spend(database, tokens=1_000)
    with pytest.raises(QuotaExceeded, match=r"1,000 model tokens and 5\.00 USD for models of this day"):
        check(database)


def test_at_midnight_the_day_begins_anew(database: Engine) -> None:
    spend(database, tokens=5_000, at=datetime(2026, 11, 28, 23, 59, 59, tzinfo=UTC))
    with pytest.raises(QuotaExceeded) as refused:
        check(database, now=datetime(2026, 11, 28, 23, 59, 59, 500_000, tzinfo=UTC))
    assert refused.value.headers == {"Retry-After": "1"}
    check(database, now=datetime(2026, 11, 29, tzinfo=UTC))


def test_an_allowance_is_one_principals_and_the_embedded_model_costs_nothing_of_it(database: Engine) -> None:
    spend(database, tokens=5_000, principal="key-2")
    spend(database, tokens=5_000, provider="embedded")
    check(database)


@pytest.mark.parametrize("outcome", ["cancelled", "ModelTimeout"])
def test_who_hangs_up_before_the_answer_is_there_has_spent_what_it_can_have_used(
    database: Engine, outcome: str
) -> None:
    most = most_of_a_call(load_settings())
    assert (most.input_tokens, most.output_tokens) == (1_800 + 600 + 1_000 + 1_024, 1_024)
    spend(database, usd=None, outcome=outcome, model="gemini-3.1-pro-preview")
    used = most.input_tokens + most.output_tokens
    check(database, tokens=used + 1)
    with pytest.raises(QuotaExceeded, match="model tokens"):
        check(database, tokens=used)
    price = cost_usd(most, model="gemini-3.1-pro-preview", provider="gcp.gemini", at=NOON)
    assert price is not None
    with pytest.raises(QuotaExceeded, match="USD"):
        check(database, tokens=0, usd=float(price) * 0.99)
    check(database, tokens=0, usd=float(price) * 1.01)


def test_a_call_that_was_refused_or_counted_spends_what_it_says(database: Engine) -> None:
    spend(database, usd=None, outcome="ModelUnavailable")
    spend(database, usd=None, tokens=7, outcome="cancelled")
    check(database, tokens=8)
    with pytest.raises(QuotaExceeded):
        check(database, tokens=7)


def test_0_is_no_limit(database: Engine) -> None:
    spend(database, tokens=10**9, usd="1000000")
    check(database, tokens=0, usd=0)
    with pytest.raises(QuotaExceeded, match=r"account's 5\.00 USD"):
        check(database, tokens=0)
    with pytest.raises(QuotaExceeded, match=r"account's 1,000 model tokens of"):
        check(database, usd=0)


def test_without_gemini_nothing_can_be_spent_and_nothing_is_asked(database: Engine) -> None:
    spend(database, tokens=10**9)
    check(database, gemini_key=None)
