"""Retrieved text that the model is given, and paid for, and that no answer cites."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from sqlalchemy import ColumnElement, and_, case, func, select

from functions.cost_report.savings.found import Found, found
from functions.cost_report.savings.pricing import TokensSaved, tokens_saved, uncached
from functions.cost_report.savings.traffic import (
    CRITIQUE,
    DRAFT,
    LEAST_ANSWERS,
    Traffic,
    entry,
    facts,
    in_percent,
)

SPARED = 2  # times what nine answers in ten cite: the passages that are cited need not be the first ones


def find(traffic: Traffic) -> Iterator[Found]:
    """By agent: what it would save to send twice as much text as nine of ten accepted answers cite, and no more.

    An answer that cites more than that counts with what it cites.
    """
    enough = {
        agent: SPARED * _ninth_decile(cited)
        for agent, cited in _cited(traffic).items()
        if sum(cited.values()) >= LEAST_ANSWERS
    }
    if not enough:
        return
    of_agent = case(*((facts.agent == agent, tokens) for agent, tokens in enough.items()))
    left_over = facts.evidence_tokens - case((facts.cited_tokens > of_agent, facts.cited_tokens), else_=of_agent)
    needless = case((left_over < uncached, left_over), else_=uncached)
    where = and_(_accepted(traffic), facts.agent.in_(enough), entry.step.in_((DRAFT, CRITIQUE)))
    by_agent = tokens_saved(traffic, where, needless, lambda rates: rates.input, (facts.agent,))
    for (agent,), saved in sorted(by_agent.items(), key=lambda pair: pair[0]):
        yield _of_agent(traffic, agent, enough[agent], saved)


def _of_agent(traffic: Traffic, agent: str, enough: int, saved: TokensSaved) -> Found:
    theirs = and_(_accepted(traffic), facts.agent == agent)
    query = select(func.count(), func.sum(facts.evidence_tokens), func.sum(facts.cited_tokens)).where(theirs)
    answers, given, cited = (int(total) for total in traffic.connection.execute(query).one())
    return found(
        traffic,
        kind="uncited-passages",
        subject=agent,
        title=f"Agent {agent} is sent text that its answers do not cite",
        advice=f"Lower EVIDENCE_TOKENS to about {enough:,}, and see that the share of accepted answers stays.",
        saving_usd=saved.usd,
        how_certain="estimated",
        evidence={
            "agent": agent,
            "accepted answers": f"{answers:,}",
            "cited": f"{cited:,} of {given:,} tokens of passages ({in_percent(cited, given)})",
            "tokens that could be left out": f"{saved.tokens:,}, in drafts and reviews",
            "assumption": f"{enough:,} tokens are enough, {SPARED} times what nine in ten of these answers cite; "
            "tokens of passages are estimates, and none that came from the provider's cache is counted",
        },
        calls=saved.calls,
    )


def _accepted(traffic: Traffic) -> ColumnElement[bool]:
    return and_(traffic.answers(), facts.answered, facts.accepted, facts.evidence_tokens > 0)


def _cited(traffic: Traffic) -> Mapping[str, Mapping[int, int]]:
    """By agent, how many answers cite so many tokens."""
    query = select(facts.agent, facts.cited_tokens, func.count()).where(_accepted(traffic))
    by_agent: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for agent, tokens, answers in traffic.connection.execute(query.group_by(facts.agent, facts.cited_tokens)):
        by_agent[agent][tokens] = answers
    return by_agent


def _ninth_decile(cited: Mapping[int, int]) -> int:
    """What at least nine answers in ten cite no more than."""
    answers, so_far = sum(cited.values()), 0
    for tokens, count in sorted(cited.items()):
        so_far += count
        if 10 * so_far >= 9 * answers:
            return tokens
    raise ValueError("there are no answers")
