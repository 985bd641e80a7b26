"""Prices of model calls. Figures are from https://ai.google.dev/gemini-api/docs/pricing, read on 20 September 2026."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.costs import prices as module
from common.costs.prices import BUILT_IN, Prices, PriceTable, Rates, cost_usd, load_price_table, usage_cost_usd
from common.llm.chat import TokenUsage
from common.settings import InvalidSettings, settings
from tests.log_lines import log_lines

REFERENCE = Path(
    os.environ.get("PRICES_REFERENCE", Path(__file__).parents[5] / "shared" / "data" / "gemini_prices_reference.json")
)
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


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "Invalid JSON"),
        ('{"usd_per_million_tokens": {"m": []}}', "usd_per_million_tokens.m"),
        ('{"usd_per_million_tokens": {"m": [{"input": "1"}]}}', "m.0.valid_from: Field required"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "soon", "input": "1"}]}}', "m.0.valid_from"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": "-1"}]}}', "m.0.input"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": "1E-10"}]}}', "m.0.input"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": "1", "x": 1}]}}', "m.0.x"),
        ('{"usd_per_million_tokens": {"models/m": [{"valid_from": "2026-01-01", "input": "1"}]}}', "models/m"),
    ],
)
def test_a_price_file_that_cannot_be_used_is_refused_with_the_field_named(
    tmp_path: Path, content: str, named: str
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(InvalidSettings, match=r"^PRICE_FILE: ") as refused:
        load_price_table(path)
    assert named in str(refused.value)


def test_a_price_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"PRICE_FILE: cannot be read \(No such file or directory\)"):
        load_price_table(tmp_path / "prices.json")


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


def reference() -> dict[str, Any]:
    if not REFERENCE.exists():
        pytest.skip(f"the price reference is missing: {REFERENCE.name}; PRICES_REFERENCE names its place")
    content: dict[str, Any] = json.loads(REFERENCE.read_text(), parse_float=Decimal)
    return content


def test_the_reference_vectors_come_out_exactly() -> None:
    vectors = reference()["test_vectors"]
    for vector in vectors:
        counts = vector["usage"]
        cost = gemini(
            vector["model"],
            datetime.fromisoformat(vector["date"]).replace(tzinfo=UTC),
            input_tokens=counts.get("promptTokenCount", 0),
            cached_input_tokens=counts.get("cachedContentTokenCount", 0),
            output_tokens=counts.get("candidatesTokenCount", 0),
            thinking_tokens=counts.get("thoughtsTokenCount", 0),
        )
        assert cost == Decimal(vector["usd"]), vector["name"]
    assert len(vectors) >= 6


@pytest.mark.parametrize("prompt_tokens", [1_000, 150_000, 250_000])
@pytest.mark.parametrize("day", ["2026-11-23", "2027-01-01"])
def test_the_librarys_prices_for_text_are_those_of_the_reference(prompt_tokens: int, day: str) -> None:
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    library = Prices([])
    for model, entry in reference()["genai_prices"].items():
        begun = [one for one in entry["prices"] if (one["start_date"] or "") <= day]
        named = begun[-1]["usd_per_million_tokens"]
        expected = {key: in_tier(named.get(key), prompt_tokens) for key in ("input_mtok", "output_mtok")}
        expected["cache_read_mtok"] = in_tier(named.get("cache_read_mtok", named["input_mtok"]), prompt_tokens)
        found = library.rates_for(provider="gcp.gemini", model=model, at=at, prompt_tokens=prompt_tokens)
        assert found == Rates(
            input=expected["input_mtok"], cached_input=expected["cache_read_mtok"], output=expected["output_mtok"]
        ), model


def in_tier(price: Any, prompt_tokens: int) -> Any:
    """The reference's price: a number, or one with tiers."""
    if not isinstance(price, dict):
        return price
    return next((tier["price"] for tier in price["tiers"] if prompt_tokens > tier["start"]), price["base"])
