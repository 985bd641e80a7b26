"""The library's prices beside a reference of two other sources; every difference that is known stands here.

The reference (`gemini_prices_reference.json`) holds an older state of genai-prices, LiteLLM's table, and vectors of
usage with their exact cost. Where it is missing these tests are skipped.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.costs.price_table import Rates, load_price_table
from common.costs.prices import BUILT_IN, Prices, ServiceTier
from common.llm.chat import TokenUsage

REFERENCE = Path(
    os.environ.get("PRICES_REFERENCE", Path(__file__).parents[5] / "shared" / "data" / "gemini_prices_reference.json")
)
FIELDS = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cached_input",
    "output_cost_per_token": "output",
}
LONG = {"": 1_000, "_above_128k_tokens": 150_000, "_above_200k_tokens": 250_000}
TIERS: dict[str, ServiceTier] = {"": "standard", "_batches": "batch", "_flex": "flex", "_priority": "priority"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Fields of LiteLLM's table that say something else than the library, and which of the two is right."""

    models: tuple[str, ...]  # without LiteLLM's path
    fields: tuple[str, ...]
    why: str


INPUT, CACHED, OUTPUT = FIELDS
OF_LONG_PROMPTS = tuple(f"{field}_above_200k_tokens" for field in FIELDS)
ALIAS = "an alias that means a newer model with each release; calls are priced by the model that answered"
UNKNOWN = "the library does not know the model: a call would count as unpriced"
KNOWN = (
    Known(
        models=("gemini-3.6-flash",),
        fields=(
            *(f"{field}{tier}" for field in FIELDS for tier in ("", "_flex", "_priority")),
            f"{INPUT}_batches",
            f"{OUTPUT}_batches",
        ),
        why="LiteLLM holds the price from 1 January 2027 on already; until then it is half of that",
    ),
    Known(
        models=("gemini-flash-latest", "gemini-flash-lite-latest"),
        fields=(INPUT, CACHED, OUTPUT),
        why=ALIAS,
    ),
    Known(models=("gemini-pro-latest",), fields=(INPUT, CACHED, OUTPUT, *OF_LONG_PROMPTS), why=ALIAS),
    Known(
        models=("gemini-1.5-flash",),
        fields=(OUTPUT,),
        why="LiteLLM's row is broken (an embedding model without output); shut down on 29 September 2025",
    ),
    Known(
        models=("gemini-2.0-flash-001",),
        fields=(INPUT, CACHED, OUTPUT),
        why="LiteLLM holds Vertex AI's own price; shut down on 1 June 2026",
    ),
    Known(
        models=("gemini-2.0-flash-lite", "gemini-2.0-flash-lite-001"),
        fields=(CACHED,),
        why="the library has no price of cached tokens, so that they count as others; shut down on 1 June 2026",
    ),
    Known(
        models=("gemini-2.5-flash-lite-preview-06-17", "gemini-2.5-flash-preview-09-2025"),
        fields=(CACHED,),
        why="LiteLLM holds the previews' first price of cached tokens, a quarter; it is a tenth since",
    ),
    Known(
        models=("gemini-3.5-flash-lite",),
        fields=(f"{CACHED}_priority",),
        why="the price list rounds 0.03 x 1.8 = 0.054 to 0.05; the factor alone is 8 % above it, on cached tokens",
    ),
    Known(
        models=("gemini-2.5-pro",),
        fields=tuple(f"{field}{long}_priority" for field in (INPUT, OUTPUT) for long in ("", "_above_200k_tokens")),
        why="LiteLLM repeats the standard price; the factor of 2.5 models is not known to us, so there is no price",
    ),
    Known(
        models=("gemini-2.5-computer-use-preview-10-2025",),
        fields=(INPUT, OUTPUT, f"{INPUT}_above_200k_tokens", f"{OUTPUT}_above_200k_tokens"),
        why=UNKNOWN,
    ),
    Known(
        models=(
            "text-embedding-004",
            "text-embedding-005",
            "text-embedding-large-exp-03-07",
            "text-embedding-preview-0409",
            "text-multilingual-embedding-002",
        ),
        fields=(INPUT,),
        why=UNKNOWN,
    ),
)


def reference() -> dict[str, Any]:  # Any: the JSON's values
    if not REFERENCE.exists():
        pytest.skip(f"the price reference is missing: {REFERENCE.name}; PRICES_REFERENCE names its place")
    content: dict[str, Any] = json.loads(REFERENCE.read_text(), parse_float=Decimal)
    return content


def in_tier(price: Any, prompt_tokens: int) -> Any:
    """The reference's price: a number, or one with tiers."""
    if not isinstance(price, dict):
        return price
    return next((tier["price"] for tier in price["tiers"] if prompt_tokens > tier["start"]), price["base"])


def older_rates(model: str, day: str, prompt_tokens: int) -> Rates:
    """What genai-prices said when the reference was made."""
    begun = [one for one in reference()["genai_prices"][model]["prices"] if (one["start_date"] or "") <= day]
    named = begun[-1]["usd_per_million_tokens"]
    return Rates(
        input=in_tier(named["input_mtok"], prompt_tokens),
        cached_input=in_tier(named.get("cache_read_mtok", named["input_mtok"]), prompt_tokens),
        output=in_tier(named.get("output_mtok"), prompt_tokens),
    )


def compared_with_litellm() -> Iterator[tuple[str, str, Decimal, Decimal | None]]:
    """Each price of LiteLLM's table: model, field, its USD per million tokens, and the library's."""
    content = reference()
    at = datetime.fromisoformat(content["retrieved"]).replace(tzinfo=UTC)
    for path, entry in content["litellm"].items():
        model = path.rpartition("/")[2]
        for field, name in FIELDS.items():
            for long, prompt_tokens in LONG.items():
                for suffix, tier in TIERS.items():
                    theirs = entry.get(field + long + suffix)
                    if theirs is None:
                        continue
                    rates = Prices([]).rates_for(
                        provider="gcp.gemini", model=model, at=at, prompt_tokens=prompt_tokens, service_tier=tier
                    )
                    ours = getattr(rates, name) if rates else None
                    if theirs or ours is not None:  # embeddings have no output: 0 there, None here
                        yield model, field + long + suffix, Decimal(theirs) * 1_000_000, ours


def test_the_reference_vectors_come_out_exactly() -> None:
    prices = Prices([load_price_table(BUILT_IN)])
    vectors = reference()["test_vectors"]
    for vector in vectors:
        counts = vector["usage"]
        cost = prices.cost_usd(
            provider="gcp.gemini",
            model=vector["model"],
            at=datetime.fromisoformat(vector["date"]).replace(tzinfo=UTC),
            usage=TokenUsage(
                input_tokens=counts.get("promptTokenCount", 0),
                cached_input_tokens=counts.get("cachedContentTokenCount", 0),
                output_tokens=counts.get("candidatesTokenCount", 0),
                thinking_tokens=counts.get("thoughtsTokenCount", 0),
            ),
        )
        assert cost == Decimal(vector["usd"]), vector["name"]
    assert len(vectors) >= 6


@pytest.mark.parametrize("prompt_tokens", [1_000, 150_000, 250_000])
@pytest.mark.parametrize("day", ["2026-11-23", "2027-01-01"])
def test_the_library_still_says_what_it_said(prompt_tokens: int, day: str) -> None:
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    for model in reference()["genai_prices"]:
        found = Prices([]).rates_for(provider="gcp.gemini", model=model, at=at, prompt_tokens=prompt_tokens)
        assert found == older_rates(model, day, prompt_tokens), model


counts = st.integers(min_value=0, max_value=500_000)


@given(st.data(), counts, counts, counts, counts, st.sampled_from(["2026-11-23", "2027-01-01"]))
def test_any_usage_of_any_model_costs_what_the_reference_says(
    data: st.DataObject, uncached: int, cached: int, output: int, thinking: int, day: str
) -> None:
    model = data.draw(st.sampled_from(sorted(reference()["genai_prices"])))
    rates = older_rates(model, day, uncached + cached)
    written = 0 if rates.output is None else output + thinking
    usage = TokenUsage(
        input_tokens=uncached + cached,
        cached_input_tokens=cached,
        output_tokens=min(output, written),
        thinking_tokens=max(written - output, 0),
    )
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    cost = Prices([]).cost_usd(provider="gcp.gemini", model=model, usage=usage, at=at)
    assert cost is not None
    each = ((uncached, rates.input), (cached, rates.cached_input), (written, rates.output or Decimal(0)))
    assert Fraction(cost) * 1_000_000 == sum(count * Fraction(price) for count, price in each)


def page_price(price: Any, day: str, prompt_tokens: int) -> Any:
    """The price list's price: a number, by date, or by length of the prompt."""
    if isinstance(price, list):
        return next(one["price"] for one in price if one.get("from", "") <= day <= one.get("until", "9999"))
    if isinstance(price, dict):
        return price["gt_200k" if prompt_tokens > 200_000 else "le_200k"]
    return price


@pytest.mark.parametrize("prompt_tokens", [200_000, 200_001])
@pytest.mark.parametrize("day", ["2026-11-23", "2026-12-31", "2027-01-01"])
def test_the_library_says_what_the_price_list_says(day: str, prompt_tokens: int) -> None:
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    names = {"input": "input", "input_text": "input", "output": "output"}  # the rest is of audio
    for model, listed in reference()["official_page"]["usd_per_million_tokens"].items():
        rates = Prices([]).rates_for(provider="gcp.gemini", model=model, at=at, prompt_tokens=prompt_tokens)
        for field in listed.keys() & names.keys():
            assert getattr(rates, names[field]) == page_price(listed[field], day, prompt_tokens), (model, field)


def test_the_library_differs_from_litellm_where_it_is_known_to_and_nowhere_else() -> None:
    compared = list(compared_with_litellm())
    differing = {
        (model, field): f"{theirs} there, {ours} here" for model, field, theirs, ours in compared if theirs != ours
    }
    known = {(model, field): one.why for one in KNOWN for model in one.models for field in one.fields}
    new = {key: found for key, found in differing.items() if key not in known}
    gone = {key: why for key, why in known.items() if key not in differing}
    assert (new, gone) == ({}, {})
    assert len({model for model, _, _, _ in compared}) > 30
