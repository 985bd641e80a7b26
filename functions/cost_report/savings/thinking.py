"""Thinking that is paid for and does not get more answers accepted."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import and_, case, func, or_, select

from functions.cost_report.savings.found import Found, found
from functions.cost_report.savings.pricing import TokensSaved, tokens_saved
from functions.cost_report.savings.proportions import CONFIDENCE_PERCENT, MARGIN, Share, is_not_lower
from functions.cost_report.savings.traffic import ANSWERED_BY, DRAFT, LEAST_ANSWERS, Traffic, entry, facts, model_used

Group = tuple[str, str]  # agent and model
Answers = Mapping[tuple[int, bool], int]  # how many, by the tokens of thinking in their drafts and whether accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """Answers whose drafts took up to `tokens` of thinking, and those whose took more."""

    tokens: int
    less: Share
    more: Share


def find(traffic: Traffic) -> Iterator[Found]:
    """By agent and model: the thinking of drafts beyond what as many answers are accepted with.

    That is none where there are enough answers without any, or else the median of an answer's.
    """
    compared = {group: _compared(answers) for group, answers in _drafts(traffic).items()}
    needless = {
        group: one for group, one in compared.items() if one is not None and is_not_lower(one.less, than=one.more)
    }
    if not needless:
        return
    of_group = {group: and_(facts.agent == group[0], model_used == group[1]) for group in needless}
    beyond = entry.thinking_tokens - case(*((of_group[group], one.tokens) for group, one in needless.items()))
    where = and_(traffic.answers(found_by_call=True), entry.step == DRAFT, or_(*of_group.values()))
    saved = tokens_saved(traffic, where, beyond, lambda rates: rates.output, (facts.agent, model_used))
    for (agent, model), of_it in sorted(saved.items(), key=lambda pair: pair[0]):
        yield _found(traffic, agent, model, needless[agent, model], of_it)


def _found(traffic: Traffic, agent: str, model: str, compared: _Compared, saved: TokensSaved) -> Found:
    less = "without thinking" if compared.tokens == 0 else f"with up to {compared.tokens:,} tokens of thinking"
    return found(
        traffic,
        kind="thinking",
        subject=f"{agent}\x00{model}",
        title=f"Thinking of {model} gets agent {agent} no more accepted answers",
        advice=f"Ask {model} with less thinking for drafts of agent {agent}, and see that the share of accepted "
        "answers stays.",
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


def _drafts(traffic: Traffic) -> Mapping[Group, Answers]:
    """By agent and model, the answers by what that model thought for their drafts."""
    is_accepted = and_(facts.answered, facts.accepted)
    of_answer = (
        select(
            facts.agent,
            model_used.label("model"),
            is_accepted.label("accepted"),
            func.sum(entry.thinking_tokens).label("thinking"),
        )
        .select_from(ANSWERED_BY)
        .where(traffic.answers(found_by_call=True), traffic.calls(), entry.step == DRAFT, entry.outcome == "ok")
        .group_by(facts.id, facts.agent, is_accepted, model_used)
        .subquery("of_answer")
    )
    columns = (of_answer.c.agent, of_answer.c.model, of_answer.c.thinking, of_answer.c.accepted)
    groups: defaultdict[Group, Counter[tuple[int, bool]]] = defaultdict(Counter)
    for agent, model, thinking, accepted, answers in traffic.rows(select(*columns, func.count()).group_by(*columns)):
        groups[agent, model][int(thinking), accepted] += answers
    return groups


def _compared(answers: Answers) -> _Compared | None:
    """None: there are too few on one of the two sides."""
    for tokens in (0, _median(answers)):
        less = _share({key: count for key, count in answers.items() if key[0] <= tokens})
        more = _share({key: count for key, count in answers.items() if key[0] > tokens})
        if min(less.answers, more.answers) >= LEAST_ANSWERS:
            return _Compared(tokens=tokens, less=less, more=more)
    return None


def _share(answers: Answers) -> Share:
    accepted = sum(count for (_, is_accepted), count in answers.items() if is_accepted)
    return Share(accepted=accepted, answers=sum(answers.values()))


def _median(answers: Answers) -> int:
    """Of the tokens of thinking; the lower one, so that no more than half of the answers are above it."""
    half, so_far = (sum(answers.values()) + 1) // 2, 0
    for (thinking, _), count in sorted(answers.items()):
        so_far += count
        if so_far >= half:
            return thinking
    raise ValueError("there are no answers")
