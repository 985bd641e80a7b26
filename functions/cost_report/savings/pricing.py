"""What many calls would cost at other rates, by sums of their tokens: exact, for costs rise evenly with tokens.

A price holds for a time and for prompts of some length. So tokens are added up by the database for each of these
(`PriceSpan`), and priced here.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, case, func, select

from common.costs.price_table import ModelPrice, Rates
from common.costs.prices import prices, usage_cost_usd
from common.llm.chat import TokenUsage
from functions.cost_report.savings.traffic import ANSWERED_BY, Calls, Traffic, entry, model_used

_ONE_DAY = timedelta(days=1)

# Those of the prompt that are charged in full; some answers tell of more cached tokens than tokens.
uncached: ColumnElement[int] = case(
    (entry.input_tokens > entry.cached_input_tokens, entry.input_tokens - entry.cached_input_tokens), else_=0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSpan:
    """`rates` hold from `start` to before `end` for prompts of more than `above` tokens and up to `up_to`."""

    start: datetime
    end: datetime
    above: int
    up_to: int | None
    rates: Rates

    def holds(self) -> ColumnElement[bool]:
        conditions = [entry.created_at >= self.start, entry.created_at < self.end, entry.input_tokens > self.above]
        if self.up_to is not None:
            conditions.append(entry.input_tokens <= self.up_to)
        return and_(*conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensSaved:
    """What leaving out tokens of calls would save: `tokens` of them, worth `usd` at the calls' own rates."""

    tokens: int
    usd: Decimal
    calls: Calls


def spans(provider: str, model: str, start: datetime, end: datetime) -> Iterator[PriceSpan]:
    """The prices of `model` from `start` to before `end`; days without a known price are left out.

    Prices begin at midnights UTC.
    """
    since, before = start, prices().price_of(provider=provider, model=model, at=start)
    day = start
    while day < end:
        day = min(day + _ONE_DAY, end)
        price = prices().price_of(provider=provider, model=model, at=day) if day < end else None
        if price != before or day == end:
            if before is not None:
                yield from spans_of(before, since, day)
            since, before = day, price


def spans_of(price: ModelPrice, start: datetime, end: datetime) -> Iterator[PriceSpan]:
    """`price`, by the lengths of prompts that it tells apart."""
    following = [step.above_prompt_tokens for step in price.steps[1:]]
    for step, up_to in zip(price.steps, [*following, None], strict=True):
        yield PriceSpan(start=start, end=end, above=step.above_prompt_tokens, up_to=up_to, rates=step.rates)


def usage_by(
    traffic: Traffic,
    source: FromClause,
    where: ColumnElement[bool],
    group_by: tuple[ColumnElement[Any], ...] = (),  # Any: columns of any type
) -> dict[tuple[Any, ...], TokenUsage]:
    """Tokens of the priced calls that `where` names, added up by `group_by`."""
    query = select(
        *group_by,
        func.sum(uncached + entry.cached_input_tokens),
        func.sum(entry.cached_input_tokens),
        func.sum(entry.output_tokens),
        func.sum(entry.thinking_tokens),
        func.sum(entry.tool_tokens),
    )
    query = query.select_from(source).where(where, entry.cost_usd.is_not(None)).group_by(*group_by)
    usages = {}
    for row in traffic.connection.execute(query):
        tokens = [int(total or 0) for total in row[len(group_by) :]]
        usages[tuple(row[: len(group_by)])] = TokenUsage(
            input_tokens=tokens[0],
            cached_input_tokens=tokens[1],
            output_tokens=tokens[2],
            thinking_tokens=tokens[3],
            tool_tokens=tokens[4],
        )
    return usages


def cost_at(traffic: Traffic, where: ColumnElement[bool], price: ModelPrice) -> Decimal | None:
    """What the calls of the period that `where` names would cost at `price`; None: it has none for output."""
    from common.database.tables import ledger_entries

    total = Decimal(0)
    for span in spans_of(price, traffic.start, traffic.end):
        for usage in usage_by(traffic, ledger_entries, and_(where, span.holds())).values():
            cost = usage_cost_usd(usage, span.rates)
            if cost is None:
                return None
            total += cost
    return total


def tokens_saved(
    traffic: Traffic,
    where: ColumnElement[bool],
    tokens: ColumnElement[int],
    rate: Callable[[Rates], Decimal | None],
    by: Sequence[ColumnElement[Any]],  # Any: columns of any type
) -> Mapping[tuple[Any, ...], TokensSaved]:
    """What it would save to leave `tokens` out of each answer's call that `where` names, at `rate` of the call's own
    rates, by the columns `by`; what saves too little to tell is left out.

    Calls without tokens to leave out, or at a time without a known price, are not in it.
    """
    usd_of_part: list[Decimal] = []
    parts: list[tuple[ColumnElement[bool], int]] = []
    for provider, model in traffic.models():
        for span in spans(provider, model, traffic.start, traffic.end):
            usd = rate(span.rates)
            if usd:
                condition = and_(entry.provider == provider, model_used == model, span.holds())
                parts.append((condition, len(usd_of_part)))
                usd_of_part.append(usd)
    if not parts:
        return {}
    part = case(*parts)
    priced = and_(where, traffic.calls(), tokens > 0, part.is_not(None))
    query = select(*by, part, func.sum(tokens)).select_from(ANSWERED_BY)
    sums = traffic.connection.execute(query.where(priced, entry.cost_usd.is_not(None)).group_by(*by, part))
    counts: Counter[tuple[Any, ...]] = Counter()
    usds: defaultdict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for *key, number, count in sums:
        counts[tuple(key)] += int(count)
        usds[tuple(key)] += (int(count) * usd_of_part[number]).scaleb(-6)
    calls = {key: Calls() for key, usd in usds.items() if traffic.matters(usd)}
    if calls:
        for *key, entry_id, cost_usd in traffic.rows(
            select(*by, entry.id, entry.cost_usd).select_from(ANSWERED_BY).where(priced)
        ):
            if tuple(key) in calls:
                calls[tuple(key)].add(entry_id, cost_usd)
    return {
        key: TokensSaved(tokens=counts[key], usd=min(usds[key], of_key.cost_usd), calls=of_key)
        for key, of_key in calls.items()
    }
