"""Questions that were asked again while the documents were the same: an answer was there already."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Subquery, func, select

from common.database.tables import ledger_entries
from functions.cost_report.savings.found import Found, found
from functions.cost_report.savings.traffic import Traffic, counted, entry, facts, took


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repeats:
    questions: int
    answers: int
    most_often: int


def find(traffic: Traffic) -> Iterator[Found]:
    """All calls of accepted answers to a question that had an accepted answer from the same state of the documents."""
    ranked = _ranked(traffic)
    again = _counted(traffic, ranked)
    if not again.answers:
        return
    calls = traffic.read_calls(
        select(entry.id, entry.cost_usd)
        .select_from(ranked.join(ledger_entries, took(ranked)))
        .where(ranked.c.number > 1, traffic.calls(found_by_answer=True))
    )
    if not traffic.matters(calls.cost_usd):
        return
    yield found(
        traffic,
        kind="repeated-questions",
        subject="",
        title=f"{counted(again.answers, 'answer')} to questions that had been answered already",
        advice="Keep accepted answers and give them again while the documents are unchanged: ask in the same words "
        "with the same Idempotency-Key, or put a cache of answers before POST /api/query.",
        saving_usd=calls.cost_usd,
        how_certain="computed",
        evidence={
            "questions asked more than once": f"{again.questions:,}",
            "answers that were there already": f"{again.answers:,}",
            "most often asked": counted(again.most_often, "time"),
            "counted as the same": "the same words, agent and state of the documents; only accepted answers; the "
            "first of each is not counted",
        },
        calls=calls,
    )


def _ranked(traffic: Traffic) -> Subquery:
    """Accepted answers to questions asked at the begin of a session, numbered within those that are the same."""
    number = func.row_number().over(
        partition_by=(facts.question_mark, facts.knowledge_generation, facts.agent),
        order_by=(facts.created_at, facts.id),
    )
    return (
        select(facts.request_id, facts.session_id, facts.question_mark, number.label("number"))
        .where(traffic.answers(), facts.question_mark.is_not(None), facts.answered, facts.accepted)
        .subquery("ranked")
    )


def _counted(traffic: Traffic, ranked: Subquery) -> _Repeats:
    query = select(func.count(ranked.c.question_mark.distinct()), func.count(), func.max(ranked.c.number))
    questions, answers, most = traffic.connection.execute(query.where(ranked.c.number > 1)).one()
    return _Repeats(questions=questions, answers=answers, most_often=most or 0)
