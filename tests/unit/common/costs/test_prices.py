"""Prices of model calls. Figures are from https://ai.google.dev/gemini-api/docs/pricing, read on 20 September 2026."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.costs import prices as module
from common.costs.price_table import PriceTable, Rates, load_price_table
from common.costs.prices import (
    BUILT_IN,
    PriceChange,
    Prices,
    ServiceTier,
    coming_changes,
    cost_usd,
    search_cost_usd,
    upper_bound_usd,
    usage_cost_usd,
)
from common.llm.chat import TokenUsage
from common.settings import settings
from tests.log_lines import log_lines

TODAY = datetime(2026, 11, 23, 12, tzinfo=UTC)
BEFORE = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
AFTER = datetime(2027, 1, 1, tzinfo=UTC)
MILLION = 1_000_000


def shipped() -> Prices:
    return Prices([load_price_table(BUILT_IN)])


def gemini(model: str, at: datetime, **usage: int) -> Decimal | None:
    return shipped().cost_usd(provider="gcp.gemini", model=model, usage=TokenUsage(**usage), at=at)


def own(model: str, *dated: dict[str, object]) -> PriceTable:
    """A table of own prices for one model."""
    return PriceTable.model_validate({"usd_per_million_tokens": {model: dated}})


@pytest.mark.parametrize(
    ("model", "at", "uncached", "cached", "output"),
    [
        ("gemini-3.8-flash", TODAY, "0.75", "0.075", "3.75"),
        ("gemini-3.8-flash", BEFORE, "0.75", "0.075", "3.75"),
        ("gemini-3.8-flash", AFTER, "1.50", "0.15", "7.50"),
        ("gemini-3.7-flash", AFTER, "1.50", "0.15", "7.50"),
        ("gemini-3.6-flash", BEFORE, "0.75", "0.075", "3.75"),
        ("gemini-3.5-flash", TODAY, "1.50", "0.15", "9.00"),
        ("gemini-3.5-flash-lite", TODAY, "0.30", "0.03", "2.50"),
        ("gemini-3.1-flash-lite", TODAY, "0.25", "0.025", "1.50"),
        ("gemini-2.5-flash-lite", TODAY, "0.10", "0.01", "0.40"),
        ("gemini-2.5-pro", TODAY, "2.50", "0.25", "15.00"),  # a million tokens is a long prompt
        ("gemini-3.1-pro-preview", TODAY, "4", "0.40", "18"),
    ],
)
def test_a_million_tokens_cost_what_the_price_list_says(
    model: str, at: datetime, uncached: str, cached: str, output: str
) -> None:
    assert gemini(model, at, input_tokens=MILLION) == Decimal(uncached)
    assert gemini(model, at, input_tokens=MILLION, cached_input_tokens=MILLION) == Decimal(cached)
    assert gemini(model, at, input_tokens=MILLION, output_tokens=MILLION) == Decimal(uncached) + Decimal(output)


@pytest.mark.parametrize(("model", "usd"), [("gemini-embedding-001", "0.15"), ("gemini-embedding-2", "0.20")])
def test_embeddings_cost_their_input(model: str, usd: str) -> None:
    assert gemini(model, TODAY, input_tokens=MILLION) == Decimal(usd)


def test_cached_tokens_are_charged_once() -> None:
    usage = TokenUsage(input_tokens=MILLION, cached_input_tokens=400_000)
    rates = Rates(input=Decimal("0.30"), cached_input=Decimal("0.03"), output=Decimal("2.50"))
    assert usage_cost_usd(usage, rates) == Decimal("0.192")  # 0.6 M at 0.30 + 0.4 M at 0.03


def test_thinking_costs_as_much_as_output() -> None:
    thought = gemini("gemini-3.8-flash", TODAY, thinking_tokens=1_500)
    assert thought == gemini("gemini-3.8-flash", TODAY, output_tokens=1_500) == Decimal("0.005625")


def test_tokens_of_tools_cost_as_much_as_input_and_do_not_make_the_prompt_longer() -> None:
    assert gemini("gemini-3.1-pro-preview", TODAY, tool_tokens=300_000) == Decimal("0.6")  # 0.3 M at 2


@pytest.mark.parametrize(("prompt", "usd"), [(200_000, "0.412"), (200_001, "0.818004")])
def test_a_prompt_above_the_threshold_makes_all_of_the_request_dearer(prompt: int, usd: str) -> None:
    # 0.2 M at 2 and 1,000 at 12; then 200,001 at 4 and 1,000 at 18
    assert gemini("gemini-3.1-pro-preview", TODAY, input_tokens=prompt, output_tokens=1_000) == Decimal(usd)


@pytest.mark.parametrize(
    ("asked", "billed_as"), [("gemini-2.5-pro", "gemini-3.8-flash"), ("gemini-2.5-flash", "gemini-3.5-flash-lite")]
)
@pytest.mark.parametrize("at", [datetime(2026, 12, 1, tzinfo=UTC), BEFORE, AFTER])
def test_models_that_google_switched_off_cost_what_their_successors_cost(
    asked: str, billed_as: str, at: datetime
) -> None:
    usage = {"input_tokens": 10_000, "cached_input_tokens": 4_000, "output_tokens": 700, "thinking_tokens": 90}
    assert gemini(asked, at, **usage) == gemini(billed_as, at, **usage)


def test_a_switched_off_model_cost_its_own_price_before() -> None:
    last_day = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
    assert gemini("gemini-2.5-pro", last_day, input_tokens=100_000) == Decimal("0.125")


def test_the_day_of_a_price_is_that_of_utc() -> None:
    still_december_in_utc = datetime(2027, 1, 1, 3, tzinfo=timezone(timedelta(hours=5)))
    assert gemini("gemini-3.8-flash", still_december_in_utc, input_tokens=MILLION) == Decimal("0.75")
    table = own("ours", {"valid_from": "2027-01-01", "input": "9"})
    rates = Prices([table]).rates_for(provider="ours", model="ours", at=still_december_in_utc, prompt_tokens=0)
    assert rates is None


@pytest.mark.parametrize("model", ["models/gemini-3.8-flash", "publishers/google/models/Gemini-3.8-Flash"])
def test_a_models_path_is_left_out_of_its_name(model: str) -> None:
    assert gemini(model, TODAY, input_tokens=MILLION) == Decimal("0.75")


def test_vertex_ai_costs_what_the_gemini_api_costs() -> None:
    usage = TokenUsage(input_tokens=MILLION)
    assert shipped().cost_usd(provider="gcp.vertex_ai", model="gemini-3.8-flash", usage=usage, at=TODAY) == Decimal(
        "0.75"
    )


@pytest.mark.parametrize(
    ("provider", "model"),
    [("gcp.gemini", "gemini-99-ultra"), ("gcp.gemini", "gemma-3"), ("nobody", "gemini-3.8-flash")],
)
def test_an_unknown_price_is_not_zero_and_is_warned_about_once(provider: str, model: str) -> None:
    prices = shipped()
    with log_lines() as lines:
        for _ in range(3):
            usage = TokenUsage(input_tokens=10)
            assert prices.cost_usd(provider=provider, model=model, usage=usage, at=TODAY) is None
    warned = [(line["log_level"], line["event"], line["provider"], line["model"]) for line in lines]
    assert warned == [("warning", "price.unknown", provider, model)]


def test_output_of_a_model_without_an_output_price_has_no_known_cost() -> None:
    assert gemini("gemini-embedding-001", TODAY, input_tokens=10, output_tokens=1) is None


def test_models_inside_the_package_cost_nothing_and_are_not_warned_about() -> None:
    with log_lines() as lines:
        cost = shipped().cost_usd(
            provider="embedded", model="extractive", usage=TokenUsage(input_tokens=5, output_tokens=5), at=TODAY
        )
    assert (cost, lines) == (Decimal(0), [])


def test_an_answer_with_more_cached_than_input_tokens_never_costs_less_than_nothing() -> None:
    assert gemini("gemini-3.8-flash", TODAY, cached_input_tokens=MILLION) == Decimal("0.075")


counts = st.integers(min_value=0, max_value=10**9)
amounts = st.decimals(min_value=0, max_value=1000, places=9)


@given(counts, counts, counts, counts, counts, amounts, amounts, amounts)
def test_a_cost_is_exact(
    uncached: int,
    cached: int,
    output: int,
    thinking: int,
    tool: int,
    input_price: Decimal,
    cached_price: Decimal,
    output_price: Decimal,
) -> None:
    usage = TokenUsage(
        input_tokens=uncached + cached,
        cached_input_tokens=cached,
        output_tokens=output,
        thinking_tokens=thinking,
        tool_tokens=tool,
    )
    rates = Rates(input=input_price, cached_input=cached_price, output=output_price)
    cost = usage_cost_usd(usage, rates)
    assert cost is not None
    exact = (
        (uncached + tool) * Fraction(input_price)
        + cached * Fraction(cached_price)
        + (output + thinking) * Fraction(output_price)
    )
    assert Fraction(cost) == exact / MILLION


def test_own_prices_go_before_the_librarys_from_their_day_on() -> None:
    table = own(
        "gemini-3.8-flash",
        {"valid_from": "2026-12-15", "input": "0.50", "output": "2"},
        {"valid_from": "2026-11-01", "input": 0.6, "cached_input": "0.06", "output": "3", "note": "contract"},
    )
    prices = Prices([table, load_price_table(BUILT_IN)])

    def cost(month: int, day: int) -> Decimal | None:
        usage = TokenUsage(input_tokens=MILLION, cached_input_tokens=500_000)
        at = datetime(2026, month, day, tzinfo=UTC)
        return prices.cost_usd(provider="gcp.gemini", model="gemini-3.8-flash", usage=usage, at=at)

    assert cost(10, 31) == Decimal("0.4125")  # the library's: 0.5 M at 0.75 + 0.5 M at 0.075
    assert cost(11, 1) == Decimal("0.33")  # 0.5 M at 0.6 + 0.5 M at 0.06
    assert cost(12, 15) == Decimal("0.5")  # no cached price: as input


def test_an_own_price_may_rise_for_long_prompts() -> None:
    table = own(
        "ours",
        {
            "valid_from": "2026-01-01",
            "input": "1",
            "output": "2",
            "long_prompt": {"above_prompt_tokens": 1_000, "input": "3", "output": "4"},
        },
    )
    prices = Prices([table])

    def cost(prompt: int) -> Decimal | None:
        usage = TokenUsage(input_tokens=prompt, output_tokens=10)
        return prices.cost_usd(provider="ours", model="ours", usage=usage, at=TODAY)

    assert cost(1_000) == Decimal("0.00102")
    assert cost(1_001) == Decimal("0.003043")


@pytest.fixture
def fresh_caches() -> Iterator[None]:
    settings.cache_clear()
    module.prices.cache_clear()
    yield
    settings.cache_clear()
    module.prices.cache_clear()


@pytest.mark.usefixtures("fresh_caches")
@pytest.mark.parametrize(("has_file", "usd"), [(True, "0.5"), (False, "0.75")])
def test_this_instances_prices_are_those_of_its_price_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_file: bool, usd: str
) -> None:
    path = tmp_path / "own.json"
    path.write_text('{"usd_per_million_tokens": {"gemini-3.8-flash": [{"valid_from": "2026-01-01", "input": "0.5"}]}}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRICE_FILE", str(path) if has_file else "")
    usage = TokenUsage(input_tokens=MILLION)
    assert cost_usd(usage, provider="gcp.gemini", model="gemini-3.8-flash", at=TODAY) == Decimal(usd)


@pytest.mark.usefixtures("fresh_caches")
def test_bounds_searches_and_coming_changes_use_this_instances_prices_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "own.json"
    path.write_text(
        '{"usd_per_million_tokens": {"ours": [{"valid_from": "2026-01-01", "input": "1", "output": "2"},'
        '                                     {"valid_from": "2026-12-24", "input": "3", "output": "2"}]},'
        ' "usd_per_thousand_searches": {"serper": [{"valid_from": "2026-01-01", "usd": "0.75"}]}}'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRICE_FILE", str(path))
    assert upper_bound_usd("ours", "ours", TODAY, 1_000, 100) == Decimal("0.0012")
    assert search_cost_usd(provider="serper", at=TODAY) == Decimal("0.00075")
    (change,) = coming_changes([("ours", "ours")], TODAY, 60)
    assert (change.on, change.before.input, change.after.input) == (date(2026, 12, 24), Decimal(1), Decimal(3))


@pytest.mark.parametrize(
    ("model", "tier", "rates"),
    [
        ("gemini-3.8-flash", "standard", ("0.75", "0.075", "3.75")),
        ("gemini-3.8-flash", "batch", ("0.375", "0.0375", "1.875")),
        ("gemini-3.8-flash", "flex", ("0.375", "0.0375", "1.875")),
        ("gemini-3.8-flash", "priority", ("1.35", "0.135", "6.75")),
        ("gemini-3.5-flash", "batch", ("0.75", "0.075", "4.5")),  # by the factor: the library has no variant
        ("gemini-3.5-flash-lite", "batch", ("0.15", "0.02", "1.25")),  # cached tokens are not halved exactly
        ("gemini-2.5-pro", "batch", ("0.625", "0.125", "5")),  # cached tokens are not halved at all
    ],
)
def test_a_service_tier_has_its_own_prices(model: str, tier: ServiceTier, rates: tuple[str, str, str]) -> None:
    found = shipped().rates_for(provider="gcp.gemini", model=model, at=TODAY, prompt_tokens=1_000, service_tier=tier)
    given, cached, output = map(Decimal, rates)
    assert found == Rates(input=given, cached_input=cached, output=output)


@pytest.mark.parametrize(("model", "usd"), [("gemini-embedding-001", "0.075"), ("gemini-embedding-2", "0.10")])
def test_embeddings_in_a_batch_cost_half(model: str, usd: str) -> None:
    usage = TokenUsage(input_tokens=MILLION)
    cost = shipped().cost_usd(provider="gcp.gemini", model=model, usage=usage, at=TODAY, service_tier="batch")
    assert cost == Decimal(usd)


def test_a_long_prompt_is_long_in_every_tier() -> None:
    usage = TokenUsage(input_tokens=MILLION)
    cost = shipped().cost_usd(
        provider="gcp.gemini", model="gemini-3.1-pro-preview", usage=usage, at=TODAY, service_tier="priority"
    )
    assert cost == Decimal("7.2")  # 4 x 1.8


@pytest.mark.parametrize(
    ("provider", "model", "tier"),
    [
        ("gcp.gemini", "gemini-2.5-pro", "priority"),
        ("gcp.gemini", "gemini-embedding-2", "priority"),
        ("ours", "ours", "batch"),
    ],
)
def test_a_tier_whose_price_nobody_has_told_has_none(provider: str, model: str, tier: ServiceTier) -> None:
    prices = Prices([own("ours", {"valid_from": "2026-01-01", "input": "1"})])
    assert prices.rates_for(provider=provider, model=model, at=TODAY, prompt_tokens=0, service_tier=tier) is None


def test_own_prices_of_a_gemini_model_follow_the_factor() -> None:
    prices = Prices([own("gemini-3.8-flash", {"valid_from": "2026-01-01", "input": "0.5", "output": "2"})])
    rates = prices.rates_for(
        provider="gcp.vertex_ai", model="gemini-3.8-flash", at=TODAY, prompt_tokens=0, service_tier="flex"
    )
    assert rates == Rates(input=Decimal("0.25"), cached_input=Decimal("0.25"), output=Decimal(1))


def test_searches_cost_what_a_file_says() -> None:
    table = PriceTable.model_validate(
        {
            "usd_per_thousand_searches": {
                "serper": [{"valid_from": "2026-11-01", "usd": "1.00", "note": "50,000 credits"}]
            }
        }
    )
    prices = Prices([table, load_price_table(BUILT_IN)])
    assert prices.search_cost_usd(provider="serper", at=TODAY, searches=3) == Decimal("0.003")
    assert prices.search_cost_usd(provider="gcp.gemini", at=TODAY) == Decimal("0.014")


def test_a_search_without_a_price_is_not_free_and_is_warned_about_once() -> None:
    prices = shipped()
    with log_lines() as lines:
        assert [prices.search_cost_usd(provider="serper", at=TODAY) for _ in range(2)] == [None, None]
    assert [(line["event"], line["provider"], line["model"]) for line in lines] == [
        ("price.unknown", "serper", "search")
    ]


def bound(model: str, at: datetime, max_input: int, max_output: int, provider: str = "gcp.gemini") -> Decimal | None:
    return shipped().upper_bound_usd(
        provider=provider, model=model, at=at, max_input_tokens=max_input, max_output_tokens=max_output
    )


def test_a_bound_is_the_whole_prompt_and_the_longest_answer() -> None:
    assert bound("gemini-3.8-flash", TODAY, 5_000, 1_024) == Decimal("0.00759")  # 5,000 at 0.75 + 1,024 at 3.75
    assert bound("gemini-embedding-2", TODAY, 1_000, 0) == Decimal("0.0002")


def test_a_bound_reaches_the_long_prompts_price_where_the_prompt_may() -> None:
    assert bound("gemini-3.1-pro-preview", TODAY, 200_000, 1_000) == Decimal("0.412")
    assert bound("gemini-3.1-pro-preview", TODAY, 200_001, 1_000) == Decimal("0.818004")


def test_a_bound_of_a_call_over_new_year_is_at_the_new_price() -> None:
    assert (
        bound("gemini-3.8-flash", BEFORE, MILLION, 0) == bound("gemini-3.8-flash", AFTER, MILLION, 0) == Decimal("1.5")
    )


@pytest.mark.parametrize(
    ("provider", "model"), [("gcp.gemini", "gemini-99"), ("nobody", "x"), ("gcp.gemini", "gemini-embedding-001")]
)
def test_a_bound_that_nobody_knows_is_none(provider: str, model: str) -> None:
    assert bound(model, TODAY, 1_000, 1_000, provider) is None  # an embedding model has no price of output


def test_models_inside_the_package_have_a_bound_of_nothing() -> None:
    assert bound("extractive", TODAY, 1_000, 1_000, "embedded") == 0


tokens = st.integers(min_value=0, max_value=400_000)
price_texts = st.decimals(min_value=0, max_value=100, places=3)


@given(st.data(), tokens, tokens)
def test_no_usage_within_its_bounds_costs_more_than_the_upper_bound(
    data: st.DataObject, max_input: int, max_output: int
) -> None:
    rates = {name: data.draw(price_texts) for name in ("input", "cached_input", "output")}
    long = {name: data.draw(price_texts) for name in rates} | {
        "above_prompt_tokens": data.draw(st.integers(1, 300_000))
    }
    ours = own("ours", {"valid_from": "2026-01-01", **rates, "long_prompt": long})
    prices = Prices([ours, load_price_table(BUILT_IN)])
    models = ("ours", "gemini-3.1-pro-preview", "gemini-2.5-pro", "gemini-3.8-flash", "gemini-2.5-flash")
    model = data.draw(st.sampled_from(models))
    begun = datetime(2026, 11, 30, tzinfo=UTC) + timedelta(minutes=data.draw(st.integers(0, 33 * 24 * 60)))
    ended = begun + timedelta(seconds=data.draw(st.integers(0, 3_600)))
    tool = data.draw(st.integers(0, max_input))
    given_tokens = data.draw(st.integers(0, max_input - tool))
    output = data.draw(st.integers(0, max_output))
    usage = TokenUsage(
        input_tokens=given_tokens,
        cached_input_tokens=data.draw(st.integers(0, given_tokens)),
        tool_tokens=tool,
        output_tokens=output,
        thinking_tokens=data.draw(st.integers(0, max_output - output)),
    )
    most = prices.upper_bound_usd(
        provider="gcp.gemini", model=model, at=begun, max_input_tokens=max_input, max_output_tokens=max_output
    )
    cost = prices.cost_usd(provider="gcp.gemini", model=model, usage=usage, at=ended)
    assert most is not None
    assert cost is not None
    assert cost <= most


def flash(input_price: str, cached: str, output: str) -> Rates:
    return Rates(input=Decimal(input_price), cached_input=Decimal(cached), output=Decimal(output))


def test_the_changes_that_are_near_are_told_by_day() -> None:
    models = ("gemini-3.8-flash", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-3.5-flash-lite", "gemini-99")
    changes = shipped().coming_changes([("gcp.gemini", model) for model in models], TODAY, 60)
    assert [(change.on.isoformat(), change.model) for change in changes] == [
        ("2026-12-01", "gemini-2.5-pro"),
        ("2027-01-01", "gemini-2.5-pro"),
        ("2027-01-01", "gemini-3.8-flash"),
    ]
    assert changes[-1] == PriceChange(
        provider="gcp.gemini",
        model="gemini-3.8-flash",
        on=date(2027, 1, 1),
        before=flash("0.75", "0.075", "3.75"),
        after=flash("1.5", "0.15", "7.5"),
    )


@pytest.mark.parametrize(
    ("after", "within_days", "found"),
    [
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), 1, 1),
        (datetime(2026, 12, 30, 23, 59, tzinfo=UTC), 1, 0),
        (datetime(2027, 1, 1, tzinfo=UTC), 60, 0),
        (datetime(2027, 1, 1, 4, tzinfo=timezone(timedelta(hours=5))), 1, 1),  # still December in UTC
        (TODAY, 0, 0),
    ],
)
def test_a_change_is_coming_until_its_day_has_begun(after: datetime, within_days: int, found: int) -> None:
    assert len(shipped().coming_changes([("gcp.gemini", "gemini-3.6-flash")], after, within_days)) == found


def test_a_change_of_long_prompts_alone_is_told_with_their_rates() -> None:
    def dated(day: str, long: str) -> dict[str, object]:
        return {"valid_from": day, "input": "1", "long_prompt": {"above_prompt_tokens": 1_000, "input": long}}

    prices = Prices([own("ours", dated("2026-01-01", "2"), dated("2026-12-01", "3"))])
    (change,) = prices.coming_changes([("ours", "ours"), ("ours", "ours")], TODAY, 30)
    assert (change.before.input, change.after.input) == (Decimal(2), Decimal(3))


def test_a_price_written_down_again_is_no_change() -> None:
    table = own("ours", {"valid_from": "2026-01-01", "input": "1"}, {"valid_from": "2026-12-01", "input": "1.00"})
    assert Prices([table]).coming_changes([("ours", "ours")], TODAY, 30) == []
