"""Models whose price is about to rise: what the same usage will cost more, and what can be done about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, select

from common.costs.price_table import Rates
from common.costs.prices import PriceChange, coming_changes, prices
from common.settings import settings
from functions.cost_report.amounts import in_usd
from functions.cost_report.savings.found import Found, found
from functions.cost_report.savings.pricing import cost_at
from functions.cost_report.savings.traffic import FREE_OF_LANES, Traffic, entry, model_used

WITHIN_DAYS = 120
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rise:
    """What the period's calls of a model cost at its price before a day, and at the one from then on."""

    change: PriceChange
    before_usd: Decimal
    after_usd: Decimal

    @property
    def more_usd(self) -> Decimal:
        return self.after_usd - self.before_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instead:
    model: str
    usd: Decimal


def find(traffic: Traffic) -> Iterator[Found]:
    """One finding for each rise that matters. It saves what of the rise a change to another model would avoid, which is
    nothing where none is cheaper: then it is a warning."""
    for change in coming_changes(traffic.models(), traffic.now, WITHIN_DAYS):
        rise = _rise(traffic, change)
        if rise is not None and traffic.matters(rise.more_usd):
            yield _found(traffic, rise, _cheapest_instead(traffic, rise))


def _found(traffic: Traffic, rise: _Rise, instead: _Instead | None) -> Found:
    change = rise.change
    more = traffic.per_month(rise.more_usd)
    avoided = Decimal(0) if instead is None else min(rise.more_usd, rise.after_usd - instead.usd)
    calls = traffic.read_calls(select(entry.id, entry.cost_usd).where(_by_model(traffic, change)))
    evidence = {
        "model": change.model,
        "price rises on": f"{change.on:%Y-%m-%d}",
        "USD per million tokens, input and output": f"{_rates(change.before)} until then, {_rates(change.after)} after",
        "the same usage in 30 days": f"{in_usd(traffic.per_month(rise.before_usd))} until then, "
        f"{in_usd(traffic.per_month(rise.after_usd))} after: {in_usd(more)} more",
    }
    if instead is None:
        evidence["instead"] = "no model of the settings is cheaper from then on, so nothing is counted as saved"
        advice = (
            f"Plan for {in_usd(more)} a month more from {change.on:%Y-%m-%d} on: no model of the settings is cheaper."
        )
    else:
        evidence["instead"] = (
            f"{instead.model}: {in_usd(traffic.per_month(instead.usd))} in 30 days for the same tokens; of the rise "
            f"{in_usd(traffic.per_month(avoided))} would be avoided, which is what this finding counts"
        )
        advice = (
            f"Before {change.on:%Y-%m-%d}, measure whether {instead.model} does as well, and change to it; "
            "else plan for the rise."
        )
    return found(
        traffic,
        kind="price-change",
        subject=f"{change.provider}\x00{change.model}\x00{change.on}",
        title=f"{change.model} costs {in_usd(more)} a month more from {change.on:%Y-%m-%d} on",
        advice=advice,
        saving_usd=avoided,
        how_certain="computed",
        evidence={**evidence, "assumption": "the same usage as in the period"},
        calls=calls,
    )


def _rise(traffic: Traffic, change: PriceChange) -> _Rise | None:
    """None: one of the two prices is not known for all of the usage."""
    begins = _midnight(change)
    before = _cost(traffic, change, change.model, begins - _ONE_DAY)
    after = _cost(traffic, change, change.model, begins)
    if before is None or after is None:
        return None
    return _Rise(change=change, before_usd=before, after_usd=after)


def _cheapest_instead(traffic: Traffic, rise: _Rise) -> _Instead | None:
    """The one of the settings' models that does the same usage for least from then on; None: none for less."""
    if not _is_chat(traffic, rise.change):
        return None  # vectors of two embedders do not meet in one index
    models = {settings().chat_model, settings().cheap_chat_model} - {rise.change.model}
    costs = {model: _cost(traffic, rise.change, model, _midnight(rise.change)) for model in sorted(models)}
    known = [_Instead(model=model, usd=usd) for model, usd in costs.items() if usd is not None]
    best = min(known, key=lambda one: one.usd, default=None)
    return best if best is not None and best.usd < rise.after_usd else None


def _cost(traffic: Traffic, change: PriceChange, model: str, at: datetime) -> Decimal | None:
    price = prices().price_of(provider=change.provider, model=model, at=at)
    return None if price is None else cost_at(traffic, _by_model(traffic, change), price)


def _by_model(traffic: Traffic, change: PriceChange) -> ColumnElement[bool]:
    return and_(traffic.calls(), entry.provider == change.provider, model_used == change.model)


def _is_chat(traffic: Traffic, change: PriceChange) -> bool:
    chats = select(entry.id).where(_by_model(traffic, change), entry.step.not_in(FREE_OF_LANES)).limit(1)
    return traffic.connection.execute(chats).first() is not None


def _midnight(change: PriceChange) -> datetime:
    return datetime.combine(change.on, time(), UTC)


def _rates(rates: Rates) -> str:
    output = "nothing" if rates.output is None else f"{rates.output.normalize():f}"
    return f"{rates.input.normalize():f} and {output}"
