"""Thinking that is paid for and does not get more answers accepted."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Subquery, and_, case, func, select

from functions.cost_report.savings.found import Found, found
from functions.cost_report.savings.pricing import tokens_saved
from functions.cost_report.savings.proportions import CONFIDENCE_PERCENT, MARGIN, Share, is_not_lower
from functions.cost_report.savings.traffic import ANSWERED_BY, DRAFT, LEAST_ANSWERS, Traffic, entry, facts, model_used


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """Accepted answers whose drafts took up to `tokens` of thinking, and those whose took more."""

    agent: str
    model: str
    tokens: int
    less: Share
    more: Share


def find(traffic: Traffic) -> Iterator[Found]:
    """By agent and model: the thinking of drafts beyond what as many answers are accepted with.

    That is none where there are enough answers without any, or else the median of an answer's.
    """
    drafts = _drafts(traffic)
    query = select(drafts.c.agent, drafts.c.model, func.count()).group_by(drafts.c.agent, drafts.c.model)
    for agent, model, answers in traffic.connection.execute(query.order_by(drafts.c.agent, drafts.c.model)).all():
        if answers < 2 * LEAST_ANSWERS:
            continue
        compared = _compared(traffic, drafts, agent, model, 0) or _compared(
            traffic, drafts, agent, model, _median(traffic, drafts, agent, model, answers)
        )
        if compared is not None and is_not_lower(compared.less, than=compared.more):
            yield from _needless(traffic, compared)


def _needless(traffic: Traffic, compared: _Compared) -> Iterator[Found]:
    where = and_(traffic.answers(), facts.agent == compared.agent, model_used == compared.model, entry.step == DRAFT)
    beyond = entry.thinking_tokens - compared.tokens
    saved = tokens_saved(traffic, ANSWERED_BY, where, beyond, lambda rates: rates.output)
    if saved is None:
        return
    less = "without thinking" if compared.tokens == 0 else f"with up to {compared.tokens:,} tokens of thinking"
    yield found(
        traffic,
        kind="thinking",
        subject=f"{compared.agent}\x00{compared.model}",
        title=f"Thinking of {compared.model} gets agent {compared.agent} no more accepted answers",
        advice=f"Ask {compared.model} with less thinking for drafts of agent {compared.agent}, and see that the share "
        "of accepted answers stays.",
        saving_usd=saved.usd,
        how_certain="estimated",
        evidence={
            f"accepted {less}": str(compared.less),
            "accepted with more": str(compared.more),
            "test": f"with {CONFIDENCE_PERCENT} % confidence the first share is not lower than the second by more "
            f"than {100 * MARGIN:.0f} points (Newcombe's interval of Wilson's scores)",
            "tokens of thinking beyond that": f"{saved.tokens:,}",
            "assumption": "questions that took more thinking were no harder than the others",
        },
        calls=saved.calls,
    )


def _drafts(traffic: Traffic) -> Subquery:
    """Answers with the thinking that one model spent on their drafts."""
    return (
        select(
            facts.id,
            facts.agent,
            facts.accepted,
            model_used.label("model"),
            func.sum(entry.thinking_tokens).label("thinking"),
        )
        .select_from(ANSWERED_BY)
        .where(traffic.answers(), traffic.calls(), entry.step == DRAFT, entry.outcome == "ok")
        .group_by(facts.id, facts.agent, facts.accepted, model_used)
        .subquery("drafts")
    )


def _median(traffic: Traffic, drafts: Subquery, agent: str, model: str, answers: int) -> int:
    """The lower one, so that no more than half of the answers are above it."""
    query = select(drafts.c.thinking).where(drafts.c.agent == agent, drafts.c.model == model)
    ordered = query.order_by(drafts.c.thinking).offset((answers - 1) // 2).limit(1)
    return int(traffic.connection.execute(ordered).scalar_one())


def _compared(traffic: Traffic, drafts: Subquery, agent: str, model: str, tokens: int) -> _Compared | None:
    """None: there are too few on one of the two sides."""
    is_more = case((drafts.c.thinking > tokens, 1), else_=0)
    query = (
        select(is_more, func.sum(case((drafts.c.accepted, 1), else_=0)), func.count())
        .where(drafts.c.agent == agent, drafts.c.model == model)
        .group_by(is_more)
    )
    shares = {
        side: Share(accepted=int(accepted), answers=answers)
        for side, accepted, answers in traffic.connection.execute(query)
    }
    if any(side not in shares or shares[side].answers < LEAST_ANSWERS for side in (0, 1)):
        return None
    return _Compared(agent=agent, model=model, tokens=tokens, less=shares[0], more=shares[1])
