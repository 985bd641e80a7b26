"""Prices out of the `genai-prices` library, from the data inside the installed package; nothing is fetched."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from common.costs.price_table import ModelPrice, Rates, Step
from common.telemetry import semconv

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice as LibraryPrice
    from genai_prices.types import TieredPrices

GOOGLE = frozenset({semconv.PROVIDER_GEMINI, semconv.PROVIDER_VERTEX_AI, semconv.PROVIDER_GOOGLE})


def library_price(
    provider: str, model: str, at: datetime, context: Mapping[str, str] | None = None
) -> ModelPrice | None:
    """What `model` costs at `at`; None where the library has no price. `context` chooses among its variants.

    A variant that the library does not know costs as without `context`.
    """
    from genai_prices import Usage, calc_price  # 0.3 s, and only needed where something is paid

    name = "google" if provider in GOOGLE else provider
    try:
        found = calc_price(
            Usage(), model, provider_id=name, genai_request_timestamp=at, price_context=context
        ).model_price
    except LookupError:
        return None
    if found.input_mtok is None:  # a model that the library knows by name only
        return None
    prices = (found.input_mtok, found.cache_read_mtok, found.output_mtok)
    above = {-1}.union(*(_thresholds(price) for price in prices))
    return ModelPrice(
        tuple(Step(above_prompt_tokens=one, rates=_rates(found, prompt_tokens=one + 1)) for one in sorted(above))
    )


def _thresholds(price: "Decimal | TieredPrices | None") -> set[int]:
    return set() if price is None or isinstance(price, Decimal) else {tier.start for tier in price.tiers}


def _rates(found: "LibraryPrice", prompt_tokens: int) -> Rates:
    given = _in_tier(found.input_mtok, prompt_tokens)
    assert given is not None
    cached = _in_tier(found.cache_read_mtok, prompt_tokens)
    return Rates(
        input=given,
        cached_input=given if cached is None else cached,
        output=_in_tier(found.output_mtok, prompt_tokens),
    )


def _in_tier(price: "Decimal | TieredPrices | None", prompt_tokens: int) -> Decimal | None:
    if price is None or isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if prompt_tokens > tier.start]  # lowest threshold first
    return reached[-1] if reached else price.base
