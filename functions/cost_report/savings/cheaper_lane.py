"""Calls of the default lane whose like was accepted as often on the cheap lane, or may be: a replay tells."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from common.costs.price_table import Rates
from common.costs.prices import usage_cost_usd
from common.settings import settings
from functions.cost_report.amounts import in_usd
from functions.cost_report.savings.found import Found, found
from functions.cost_report.savings.pricing import spans, usage_by
from functions.cost_report.savings.proportions import (
    CONFIDENCE_PERCENT,
    MARGIN,
    Share,
    difference_at_least,
    is_not_lower,
)
from functions.cost_report.savings.traffic import (
    ANSWERED_BY,
    FREE_OF_LANES,
    LEAST_ANSWERS,
    Calls,
    Traffic,
    entry,
    facts,
    model_used,
)

REAL_MONEY = 10  # times the least amount, from which on what nobody has scored yet is worth a replay

Group = tuple[str, str | None]  # agent and intent


def find(traffic: Traffic) -> Iterator[Found]:
    """By agent and intent: the default lane's calls, priced as if the cheap lane's model had answered them."""
    cheap = settings().cheap_chat_model
    shares = _shares(traffic, cheap)
    priced = _priced(traffic, cheap)
    at_cheap = _cost_at_cheap(traffic, priced)
    wanted = {group for group in at_cheap if _may_be_as_good(shares.get(group, {}))}
    if not wanted:
        return
    for group, calls in sorted(_calls(traffic, priced, wanted).items(), key=lambda pair: _name(pair[0])):
        saving = calls.cost_usd - at_cheap[group]
        scored = shares.get(group, {})
        if _is_enough(scored):
            if traffic.matters(saving):
                yield _scored(traffic, group, calls, saving, scored, cheap)
        elif traffic.matters(saving, REAL_MONEY):
            yield _not_scored(traffic, group, calls, saving, scored, cheap)


def _scored(
    traffic: Traffic, group: Group, calls: Calls, saving: Decimal, shares: Mapping[str, Share], cheap: str
) -> Found:
    default, other = shares["default"], shares["cheap"]
    least = difference_at_least(other, default)
    return found(
        traffic,
        kind="cheaper-lane",
        subject=_subject(group, cheap),
        title=f"The cheap lane answers {_name(group)} as well",
        advice=f"Answer {_name(group)} by {cheap}; replay a sample first where much depends on it.",
        saving_usd=saving,
        how_certain="computed",
        evidence={
            **_priced_at(calls, saving, cheap),
            "accepted on the default lane": str(default),
            "accepted on the cheap lane": str(other),
            "test": f"with {CONFIDENCE_PERCENT} % confidence the cheap lane's share is at least "
            f"{100 * (default.value + least):.1f} %, and may be {100 * MARGIN:.0f} points lower than the other "
            "(Newcombe's interval of Wilson's scores)",
            "assumption": "the same tokens, questions of the same kind on both lanes, and reviews that are as "
            "strict: each lane's model reviews its own answers, while a replay has both reviewed by the default lane's",
        },
        calls=calls,
        can_be_replayed=True,
    )


def _not_scored(
    traffic: Traffic, group: Group, calls: Calls, saving: Decimal, shares: Mapping[str, Share], cheap: str
) -> Found:
    on_cheap = shares.get("cheap")
    return found(
        traffic,
        kind="cheaper-lane",
        subject=_subject(group, cheap),
        title=f"The cheap lane may do for {_name(group)}: not measured yet",
        advice="Measure it first: loancheck cost savings --replay with this finding's id asks a sample of the "
        "questions on the cheap lane, and compares scores and costs.",
        saving_usd=saving,
        how_certain="estimated",
        evidence={
            **_priced_at(calls, saving, cheap),
            "accepted on the cheap lane": f"{on_cheap}: too few to tell" if on_cheap else "nothing was asked there",
            "assumption": "the same tokens, and answers that are accepted as often, which nobody has measured",
        },
        calls=calls,
        can_be_replayed=True,
    )


def _priced_at(calls: Calls, saving: Decimal, cheap: str) -> dict[str, str]:
    return {"the same calls": f"{in_usd(calls.cost_usd)} as they were, {in_usd(calls.cost_usd - saving)} by {cheap}"}


def _shares(traffic: Traffic, cheap: str) -> Mapping[Group, Mapping[str, Share]]:
    """Accepted answers by agent, intent and lane. On the cheap lane only those by the model that it has now count."""
    is_cheap = or_(facts.model == cheap, facts.model.startswith(f"{cheap}-", autoescape=True))
    query = (
        select(
            facts.agent,
            facts.intent,
            facts.lane,
            func.sum(case((and_(facts.answered, facts.accepted), 1), else_=0)),
            func.count(),
        )
        .where(traffic.answers(), or_(facts.lane == "default", and_(facts.lane == "cheap", is_cheap)))
        .group_by(facts.agent, facts.intent, facts.lane)
    )
    shares: defaultdict[Group, dict[str, Share]] = defaultdict(dict)
    for agent, intent, lane, accepted, answers in traffic.connection.execute(query):
        shares[agent, intent][lane] = Share(accepted=int(accepted), answers=answers)
    return shares


def _is_enough(shares: Mapping[str, Share]) -> bool:
    return all(lane in shares and shares[lane].answers >= LEAST_ANSWERS for lane in ("default", "cheap"))


def _may_be_as_good(shares: Mapping[str, Share]) -> bool:
    return not _is_enough(shares) or is_not_lower(shares["cheap"], than=shares["default"])


def _priced(traffic: Traffic, cheap: str) -> Sequence[tuple[ColumnElement[bool], Rates]]:
    """The default lane's calls in parts, each with the cheap model's rates for it; what has none is in no part."""
    where = and_(
        traffic.answers(found_by_call=True),
        traffic.calls(),
        facts.lane == "default",
        entry.lane == "default",
        entry.step.not_in(FREE_OF_LANES),
        model_used != cheap,
    )
    return [
        (and_(where, entry.provider == provider, span.holds()), span.rates)
        for provider in sorted({provider for provider, _ in traffic.models()})
        for span in spans(provider, cheap, traffic.start, traffic.end)
        if span.rates.output is not None
    ]


def _cost_at_cheap(traffic: Traffic, priced: Sequence[tuple[ColumnElement[bool], Rates]]) -> Mapping[Group, Decimal]:
    costs: defaultdict[Group, Decimal] = defaultdict(Decimal)
    for where, rates in priced:
        for (agent, intent), usage in usage_by(traffic, ANSWERED_BY, where, (facts.agent, facts.intent)).items():
            costs[agent, intent] += usage_cost_usd(usage, rates) or Decimal(0)
    return costs


def _calls(
    traffic: Traffic, priced: Sequence[tuple[ColumnElement[bool], Rates]], wanted: Collection[Group]
) -> Mapping[Group, Calls]:
    calls: defaultdict[Group, Calls] = defaultdict(Calls)
    columns = (facts.agent, facts.intent, entry.id, entry.cost_usd)
    for where, _ in priced:
        for agent, intent, entry_id, cost_usd in traffic.rows(select(*columns).select_from(ANSWERED_BY).where(where)):
            if (agent, intent) in wanted:
                calls[agent, intent].add(entry_id, cost_usd)
    return calls


def _name(group: Group) -> str:
    agent, intent = group
    if intent is None:
        return f"agent {agent} without a clear intent"
    return f"agent {agent}" if intent == agent else f"agent {agent}, intent {intent}"


def _subject(group: Group, cheap: str) -> str:
    return "\x00".join((group[0], group[1] or "", cheap))
