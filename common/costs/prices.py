"""What a model call costs in USD: exact, by the model that answered and the time of the call.

Prices are looked for in three places, and the first that has one for the model on that day counts:

1. `Settings.price_file`, for contracts of one's own;
2. `prices.json` beside this module: what genai-prices does not know. It leaves out that Google answers calls for
   gemini-2.5-pro and gemini-2.5-flash with newer models from 1 December 2026 on, at the newer models' prices;
3. the `genai-prices` library, from the data inside the installed package; nothing is fetched.

The two files have one format, prices in USD per million tokens, as text so that they stay exact:

    {"usd_per_million_tokens": {
        "gemini-3.1-pro-preview": [
            {"valid_from": "2026-10-01", "input": "1.80", "cached_input": "0.18", "output": "10.80",
             "long_prompt": {"above_prompt_tokens": 200000,
                             "input": "3.60", "cached_input": "0.36", "output": "16.20"}}]}}

A price holds from its day on (UTC) until the model's next one. `cached_input` left out is as `input`; `output` left
out suits embeddings. `note` is for people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from common.llm.chat import TokenUsage
from common.logging import component_logger
from common.once import once
from common.settings import InvalidSettings, settings
from common.telemetry import semconv

if TYPE_CHECKING:
    from genai_prices.types import TieredPrices

log = component_logger("cost")

BUILT_IN = Path(__file__).with_name("prices.json")
LIBRARY_PROVIDERS = dict.fromkeys(
    (semconv.PROVIDER_GEMINI, semconv.PROVIDER_VERTEX_AI, semconv.PROVIDER_GOOGLE), "google"
)

# Nine places a million tokens are fifteen a token: what the ledger's column holds exactly.
UsdPerMillion = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=9, allow_inf_nan=False)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]+$")]  # as the provider answers, without a path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """USD per million tokens. `output` is None where the model has no output that is billed, as for embeddings."""

    input: Decimal
    cached_input: Decimal
    output: Decimal | None


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    input: UsdPerMillion
    cached_input: UsdPerMillion | None = None
    output: UsdPerMillion | None = None

    def rates(self) -> Rates:
        cached = self.input if self.cached_input is None else self.cached_input
        return Rates(input=self.input, cached_input=cached, output=self.output)


class _LongPrompt(_Entry):
    above_prompt_tokens: int = Field(gt=0)


class _DatedPrice(_Entry):
    valid_from: date
    long_prompt: _LongPrompt | None = None
    note: str | None = None

    def rates_for(self, prompt_tokens: int) -> Rates:
        long = self.long_prompt
        return long.rates() if long is not None and prompt_tokens > long.above_prompt_tokens else self.rates()


class PriceTable(BaseModel):
    """A price file's content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    usd_per_million_tokens: Mapping[ModelName, Annotated[list[_DatedPrice], Field(min_length=1)]]

    def rates_for(self, model: str, *, day: date, prompt_tokens: int) -> Rates | None:
        """What `model` costs on `day`; None before its first price, or when it has none."""
        begun = [entry for entry in self.usd_per_million_tokens.get(model, ()) if entry.valid_from <= day]
        return max(begun, key=lambda entry: entry.valid_from).rates_for(prompt_tokens) if begun else None


def load_price_table(path: Path) -> PriceTable:
    """The prices in the file at `path`.

    Raises:
        InvalidSettings: the file cannot be read, or is not of the format above; names each field.
    """
    try:
        return PriceTable.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidSettings(f"PRICE_FILE: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise InvalidSettings(f"PRICE_FILE: {reasons}") from None


class Prices:
    """Prices out of `tables`, in this order, then out of genai-prices. Safe to share between threads."""

    def __init__(self, tables: Sequence[PriceTable]) -> None:
        self._tables = tuple(tables)
        self._unknown: set[tuple[str, str]] = set()

    def rates_for(self, *, provider: str, model: str, at: datetime, prompt_tokens: int) -> Rates | None:
        """What a call that `model` (Gemini's `modelVersion`) answered at `at` costs; None: not known.

        `prompt_tokens` matters where long prompts cost more: for all tokens of the request, not only for those above.
        """
        name = model.rpartition("/")[2].lower()  # models/NAME, publishers/google/models/NAME
        day = at.astimezone(UTC).date()
        for table in self._tables:
            rates = table.rates_for(name, day=day, prompt_tokens=prompt_tokens)
            if rates is not None:
                return rates
        return _library_rates(LIBRARY_PROVIDERS.get(provider, provider), name, at, prompt_tokens)

    def cost_usd(self, *, provider: str, model: str, usage: TokenUsage, at: datetime) -> Decimal | None:
        """Cost of one call in USD, unrounded. None when the price is not known, which a warning says once a model.

        Models inside the package (`provider` is "embedded") are paid by nobody: exactly 0.
        """
        if provider == "embedded":
            return Decimal(0)
        rates = self.rates_for(provider=provider, model=model, at=at, prompt_tokens=usage.input_tokens)
        cost = None if rates is None else usage_cost_usd(usage, rates)
        if cost is None and (provider, model) not in self._unknown:
            self._unknown.add((provider, model))
            log.warning("price.unknown", provider=provider, model=model)
        return cost


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


def cost_usd(usage: TokenUsage, *, provider: str, model: str, at: datetime) -> Decimal | None:
    """`Prices.cost_usd` with this instance's prices."""
    return prices().cost_usd(provider=provider, model=model, usage=usage, at=at)


def _library_rates(provider: str, model: str, at: datetime, prompt_tokens: int) -> Rates | None:
    from genai_prices import Usage, calc_price  # 0.3 s, and only needed where something is paid

    try:
        found = calc_price(Usage(), model, provider_id=provider, genai_request_timestamp=at).model_price
    except LookupError:
        return None
    given = _in_tier(found.input_mtok, prompt_tokens)
    if given is None:  # a model that the library knows by name only
        return None
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
