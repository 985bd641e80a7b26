"""Retrieved text that the model is given, and paid for, and that no answer cites."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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


@dataclass(kw_only=True)
class _Sent:
    """What an agent's accepted answers were sent, and cited of it: tokens, and answers by the tokens that they cite."""

    given: int = 0
    answers_citing: dict[int, int] = field(default_factory=dict)

    @property
    def answers(self) -> int:
        return sum(self.answers_citing.values())

    @property
    def cited(self) -> int:
        return sum(tokens * answers for tokens, answers in self.answers_citing.items())

    @property
    def enough(self) -> int:
        """`SPARED` times what at least nine answers in ten cite no more than."""
        so_far = 0
        for tokens, answers in sorted(self.answers_citing.items()):
            so_far += answers
            if 10 * so_far >= 9 * self.answers:
                return SPARED * tokens
        raise ValueError("there are no answers")


def find(traffic: Traffic) -> Iterator[Found]:
    """By agent: what it would save to send twice as much text as nine of ten accepted answers cite, and no more.

    An answer that cites more than that counts with what it cites.
    """
    sent = {agent: one for agent, one in _sent(traffic).items() if one.answers >= LEAST_ANSWERS}
    if not sent:
        return
    enough = case(*((facts.agent == agent, one.enough) for agent, one in sent.items()))
    left_over = facts.evidence_tokens - case((facts.cited_tokens > enough, facts.cited_tokens), else_=enough)
    needless = case((left_over < uncached, left_over), else_=uncached)
    where = and_(_accepted(traffic, found_by_call=True), facts.agent.in_(sent), entry.step.in_((DRAFT, CRITIQUE)))
    by_agent = tokens_saved(traffic, where, needless, lambda rates: rates.input, (facts.agent,))
    for (agent,), saved in sorted(by_agent.items(), key=lambda pair: pair[0]):
        yield _found(traffic, agent, sent[agent], saved)


def _found(traffic: Traffic, agent: str, sent: _Sent, saved: TokensSaved) -> Found:
    cited, given, enough = sent.cited, sent.given, f"{sent.enough:,}"
    return found(
        traffic,
        kind="uncited-passages",
        subject=agent,
        title=f"Agent {agent} is sent text that its answers do not cite",
        advice=f"Lower EVIDENCE_TOKENS to about {enough}, and see that the share of accepted answers stays.",
        saving_usd=saved.usd,
        how_certain="estimated",
        evidence={
            "agent": agent,
            "accepted answers": f"{sent.answers:,}",
            "cited": f"{cited:,} of {given:,} tokens of passages ({in_percent(cited, given)})",
            "tokens that could be left out": f"{saved.tokens:,}, in drafts and reviews",
            "assumption": f"{enough} tokens are enough, {SPARED} times what nine in ten of these answers cite; "
            "tokens of passages are estimates, and none that came from the provider's cache is counted",
        },
        calls=saved.calls,
    )


def _accepted(traffic: Traffic, *, found_by_call: bool = False) -> ColumnElement[bool]:
    return and_(traffic.answers(found_by_call=found_by_call), facts.answered, facts.accepted, facts.evidence_tokens > 0)


def _sent(traffic: Traffic) -> Mapping[str, _Sent]:
    """By agent."""
    query = select(facts.agent, facts.cited_tokens, func.count(), func.sum(facts.evidence_tokens))
    grouped = query.where(_accepted(traffic)).group_by(facts.agent, facts.cited_tokens)
    by_agent: defaultdict[str, _Sent] = defaultdict(_Sent)
    for agent, tokens, answers, given in traffic.connection.execute(grouped):
        by_agent[agent].answers_citing[tokens] = answers
        by_agent[agent].given += int(given)
    return by_agent
