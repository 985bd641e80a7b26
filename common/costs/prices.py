"""What a model call or a paid search costs in USD: exact, by the model that answered and the time of the call.

Prices are looked for in three places, and the first that has one for the model on that day counts:

1. `Settings.price_file`, for contracts of one's own; its format is in `price_table`;
2. `prices.json` beside this module: what genai-prices does not know. It leaves out that Google answers calls for
   gemini-2.5-pro and gemini-2.5-flash with newer models from 1 December 2026 on, at the newer models' prices;
3. the `genai-prices` library, from the data inside the installed package; nothing is fetched.

Prices of searches are in the two files only. What a provider gives free each month is not taken off: nobody can tell
from one call whether others of the account have used it up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

from common.costs.library_prices import GOOGLE, library_price
from common.costs.price_table import ModelPrice, PriceTable, Rates, load_price_table
from common.llm.chat import TokenUsage
from common.logging import component_logger
from common.once import once
from common.settings import settings

log = component_logger("cost")

ServiceTier = Literal["standard", "batch", "flex", "priority"]

BUILT_IN = Path(__file__).with_name("prices.json")
EMBEDDED = "embedded"  # the provider that is this process itself: paid by nobody
# A call is reserved for when it begins and priced when it has ended: no function runs longer than this.
LONGEST_CALL = timedelta(hours=1)

# Which of the library's variants stand for a tier; batch and flex have one price list.
_VARIANTS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex", "processing": "batch"},
    "priority": {"service_tier": "priority"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """From midnight UTC of `on`, `model` costs `after` instead of `before`.

    The rates are those of a short prompt, unless only those of longer ones change.
    """

    provider: str
    model: str
    on: date
    before: Rates
    after: Rates


class Prices:
    """Prices out of `tables`, in this order, then out of genai-prices. Safe to share between threads."""

    def __init__(self, tables: Sequence[PriceTable]) -> None:
        self._tables = tuple(tables)
        self._unknown: set[tuple[str, str]] = set()

    def price_of(
        self, *, provider: str, model: str, at: datetime, service_tier: ServiceTier = "standard"
    ) -> ModelPrice | None:
        """What `model` (Gemini's `modelVersion`) costs at `at`; None: not known.

        The files hold standard prices. Those of another tier are the library's, where it has them for the model, else
        the standard ones times `tier_factor`.
        """
        name = model.rpartition("/")[2].lower()  # models/NAME, publishers/google/models/NAME
        day = at.astimezone(UTC).date()
        for table in self._tables:
            price = table.price_of(name, day)
            if price is not None:
                return _in_tier(price, provider, name, service_tier)
        standard = library_price(provider, name, at)
        if standard is None or service_tier == "standard":
            return standard
        variant = library_price(provider, name, at, _VARIANTS[service_tier])
        return variant if variant != standard else _in_tier(standard, provider, name, service_tier)

    def rates_for(
        self, *, provider: str, model: str, at: datetime, prompt_tokens: int, service_tier: ServiceTier = "standard"
    ) -> Rates | None:
        """What a call that `model` answered at `at` costs; None: not known.

        `prompt_tokens` matters where long prompts cost more: for all tokens of the request, not only for those above.
        """
        price = self.price_of(provider=provider, model=model, at=at, service_tier=service_tier)
        return None if price is None else price.rates_for(prompt_tokens)

    def cost_usd(
        self, *, provider: str, model: str, usage: TokenUsage, at: datetime, service_tier: ServiceTier = "standard"
    ) -> Decimal | None:
        """Cost of one call in USD, unrounded. None when the price is not known, which a warning says once a model.

        Models inside the package are paid by nobody: exactly 0.
        """
        if provider == EMBEDDED:
            return Decimal(0)
        rates = self.rates_for(
            provider=provider, model=model, at=at, prompt_tokens=usage.input_tokens, service_tier=service_tier
        )
        cost = None if rates is None else usage_cost_usd(usage, rates)
        if cost is None:
            self._warn_once(provider, model)
        return cost

    def upper_bound_usd(
        self,
        *,
        provider: str,
        model: str,
        at: datetime,
        max_input_tokens: int,
        max_output_tokens: int,
        service_tier: ServiceTier = "standard",
    ) -> Decimal | None:
        """The most that a call begun at `at` can cost in USD; None when the price is not known.

        `max_input_tokens` bounds input and tool tokens together, `max_output_tokens` output and thinking. The dearest
        price that such a prompt can reach counts, nothing comes from a cache, and a price that rises while the call
        runs has risen.
        """
        if provider == EMBEDDED:
            return Decimal(0)
        most = Decimal(0)
        for moment in (at, at + LONGEST_CALL):
            price = self.price_of(provider=provider, model=model, at=moment, service_tier=service_tier)
            if price is None:
                return None
            for step in price.reached(max_input_tokens):
                if max_output_tokens and step.rates.output is None:
                    return None
                dearest_input = max(step.rates.input, step.rates.cached_input)
                output = max_output_tokens * (step.rates.output or Decimal(0))
                most = max(most, (max_input_tokens * dearest_input + output).scaleb(-6))
        return most

    def search_cost_usd(self, *, provider: str, at: datetime, searches: int = 1) -> Decimal | None:
        """What so many paid searches cost in USD; None when the price is not known, which a warning says once."""
        day = at.astimezone(UTC).date()
        found = (table.search_usd(provider, day) for table in self._tables)
        one = next((usd for usd in found if usd is not None), None)
        if one is None:
            self._warn_once(provider, "search")
            return None
        return searches * one

    def coming_changes(self, models: Iterable[tuple[str, str]], after: datetime, within_days: int) -> list[PriceChange]:
        """The price changes of `models` (provider and name) on the `within_days` days after `after`, by day and name.

        Only what the two files and the library know already; a model without a price has no changes.
        """
        changes = []
        for provider, model in sorted(set(models)):
            before = self.price_of(provider=provider, model=model, at=after)
            for days in range(1, within_days + 1):
                moment = after + timedelta(days=days)
                now = self.price_of(provider=provider, model=model, at=moment)
                pair = _first_difference(before, now)
                if pair is not None:
                    on = moment.astimezone(UTC).date()
                    changes.append(PriceChange(provider=provider, model=model, on=on, before=pair[0], after=pair[1]))
                before = now
        return sorted(changes, key=lambda change: (change.on, change.provider, change.model))

    def _warn_once(self, provider: str, model: str) -> None:
        if (provider, model) not in self._unknown:
            self._unknown.add((provider, model))
            log.warning("price.unknown", provider=provider, model=model)


def tier_factor(provider: str, model: str, service_tier: ServiceTier) -> Decimal | None:
    """What a tier's price is to the standard one; None where nobody has said.

    Source: https://ai.google.dev/gemini-api/docs/pricing
    """
    if service_tier == "standard":
        return Decimal(1)
    if provider not in GOOGLE:
        return None
    if service_tier == "priority":
        return Decimal("1.8") if model.startswith("gemini-3") else None
    return Decimal("0.5")


def usage_cost_usd(usage: TokenUsage, rates: Rates) -> Decimal | None:
    """Cost of one call in USD: exact, unrounded, never negative; None for output of a model without an output price.

    Source: https://ai.google.dev/gemini-api/docs/pricing
    """
    # Gemini counts thinking apart from the answer and bills it as output.
    output_tokens = usage.output_tokens + usage.thinking_tokens
    if output_tokens and rates.output is None:
        return None
    # The prompt's count includes what came from the cache; an answer may leave out the one and hold the other.
    uncached_tokens = max(usage.input_tokens - usage.cached_input_tokens, 0)
    per_million = (
        (uncached_tokens + usage.tool_tokens) * rates.input
        + usage.cached_input_tokens * rates.cached_input
        + output_tokens * (rates.output or Decimal(0))
    )
    return per_million.scaleb(-6)


@once
def prices() -> Prices:
    """This instance's prices, read once."""
    own = settings().price_file
    return Prices([load_price_table(path) for path in (own, BUILT_IN) if path is not None])


def cost_usd(
    usage: TokenUsage, *, provider: str, model: str, at: datetime, service_tier: ServiceTier = "standard"
) -> Decimal | None:
    """`Prices.cost_usd` with this instance's prices."""
    return prices().cost_usd(provider=provider, model=model, usage=usage, at=at, service_tier=service_tier)


def search_cost_usd(*, provider: str, at: datetime, searches: int = 1) -> Decimal | None:
    """`Prices.search_cost_usd` with this instance's prices."""
    return prices().search_cost_usd(provider=provider, at=at, searches=searches)


def upper_bound_usd(
    provider: str, model: str, at: datetime, max_input_tokens: int, max_output_tokens: int
) -> Decimal | None:
    """`Prices.upper_bound_usd` with this instance's prices."""
    return prices().upper_bound_usd(
        provider=provider,
        model=model,
        at=at,
        max_input_tokens=max_input_tokens,
        max_output_tokens=max_output_tokens,
    )


def coming_changes(models: Iterable[tuple[str, str]], after: datetime, within_days: int) -> list[PriceChange]:
    """`Prices.coming_changes` with this instance's prices."""
    return prices().coming_changes(models, after, within_days)


def _in_tier(price: ModelPrice, provider: str, model: str, service_tier: ServiceTier) -> ModelPrice | None:
    factor = tier_factor(provider, model, service_tier)
    return None if factor is None else price.times(factor)


def _first_difference(before: ModelPrice | None, now: ModelPrice | None) -> tuple[Rates, Rates] | None:
    """The rates that differ first as prompts grow longer; None where all are alike, or one price is not known."""
    if before is None or now is None or before == now:
        return None
    lengths = sorted({step.above_prompt_tokens + 1 for step in (*before.steps, *now.steps)})
    pairs = ((before.rates_for(length), now.rates_for(length)) for length in lengths)
    return next((pair for pair in pairs if pair[0] != pair[1]), None)
