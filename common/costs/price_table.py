"""What a price file says: prices of models by day, and of paid searches by provider.

Prices of models are in USD per million tokens, those of searches in USD per thousand searches; as text, so that they
stay exact:

    {"usd_per_million_tokens": {
        "gemini-3.1-pro-preview": [
            {"valid_from": "2026-10-01", "input": "1.80", "cached_input": "0.18", "output": "10.80",
             "long_prompt": {"above_prompt_tokens": 200000,
                             "input": "3.60", "cached_input": "0.36", "output": "16.20"}}]},
     "usd_per_thousand_searches": {
        "serper": [{"valid_from": "2026-10-01", "usd": "1.00"}]}}

A price holds from its day on (UTC) until the next one of the same model or provider. `cached_input` left out is as
`input`; `output` left out suits embeddings. `note` is for people. Either part may be left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from common.setting_files import load_file

# Nine places a million tokens are fifteen a token: what the ledger's column holds exactly.
Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=9, allow_inf_nan=False)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]+$")]  # as the provider answers, without a path
ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]+$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """USD per million tokens. `output` is None where the model has no output that is billed, as for embeddings."""

    input: Decimal
    cached_input: Decimal
    output: Decimal | None

    def times(self, factor: Decimal) -> "Rates":
        return Rates(
            input=self.input * factor,
            cached_input=self.cached_input * factor,
            output=None if self.output is None else self.output * factor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`rates` hold for prompts of more than `above_prompt_tokens`; -1 for the first step, which holds for all."""

    above_prompt_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What a model costs at one time, by the length of the prompt: one step, or several in rising order.

    The step that a prompt reaches sets the price of the whole request, not only of the tokens above it.
    """

    steps: tuple[Step, ...]

    def rates_for(self, prompt_tokens: int) -> Rates:
        return self.reached(prompt_tokens)[-1].rates

    def reached(self, max_prompt_tokens: int) -> tuple[Step, ...]:
        """The steps that prompts of up to so many tokens can reach."""
        return tuple(step for step in self.steps if step.above_prompt_tokens < max(max_prompt_tokens, 0))

    def times(self, factor: Decimal) -> "ModelPrice":
        return ModelPrice(
            tuple(
                Step(above_prompt_tokens=step.above_prompt_tokens, rates=step.rates.times(factor))
                for step in self.steps
            )
        )


class _Dated(Protocol):
    @property
    def valid_from(self) -> date: ...


D = TypeVar("D", bound=_Dated)


def _one_a_day(dated: Sequence[D]) -> Sequence[D]:
    days = [entry.valid_from for entry in dated]
    twice = next((day for day in days if days.count(day) > 1), None)
    if twice is not None:
        raise ValueError(f"valid_from {twice} is there more than once")
    return dated


def _begun(dated: Sequence[D], day: date) -> D | None:
    return max((one for one in dated if one.valid_from <= day), key=lambda one: one.valid_from, default=None)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Entry(_Strict):
    input: Usd
    cached_input: Usd | None = None
    output: Usd | None = None

    def rates(self) -> Rates:
        cached = self.input if self.cached_input is None else self.cached_input
        return Rates(input=self.input, cached_input=cached, output=self.output)


class _LongPrompt(_Entry):
    above_prompt_tokens: int = Field(gt=0)


class _DatedPrice(_Entry):
    valid_from: date
    long_prompt: _LongPrompt | None = None
    note: str | None = None

    def price(self) -> ModelPrice:
        first = Step(above_prompt_tokens=-1, rates=self.rates())
        long = self.long_prompt
        if long is None:
            return ModelPrice((first,))
        return ModelPrice((first, Step(above_prompt_tokens=long.above_prompt_tokens, rates=long.rates())))


class _DatedSearchPrice(_Strict):
    valid_from: date
    usd: Usd
    note: str | None = None


class PriceTable(_Strict):
    """A price file's content."""

    usd_per_million_tokens: Mapping[
        ModelName, Annotated[list[_DatedPrice], Field(min_length=1), AfterValidator(_one_a_day)]
    ] = {}
    usd_per_thousand_searches: Mapping[
        ProviderName, Annotated[list[_DatedSearchPrice], Field(min_length=1), AfterValidator(_one_a_day)]
    ] = {}

    def price_of(self, model: str, day: date) -> ModelPrice | None:
        """What `model` costs on `day`; None before its first price, or when it has none."""
        found = _begun(self.usd_per_million_tokens.get(model, ()), day)
        return found.price() if found else None

    def search_usd(self, provider: str, day: date) -> Decimal | None:
        """What one search by `provider` costs on `day` in USD; None before its first price, or when it has none."""
        found = _begun(self.usd_per_thousand_searches.get(provider, ()), day)
        return found.usd.scaleb(-3) if found else None


def load_price_table(path: Path) -> PriceTable:
    """The prices in the file at `path`.

    Raises:
        InvalidSettings: the file cannot be read, or is not of the format above; names each field.
    """
    return load_file(path, PriceTable, "PRICE_FILE")
