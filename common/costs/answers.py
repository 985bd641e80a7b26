"""What answered queries were like, without their words: cost per answer and savings are worked out from it."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, update

from common.database.tables import answer_days, answer_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.security.keyring import KeyRing


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFacts:
    """One query that was answered, or not. Its model calls are the ledger's entries of the same `request_id`.

    `lane` is "" where no model was asked, `accepted` tells whether its critique's score reached the threshold.
    `question_mark` is as `mark_of_question` gives it, None within a session, where the question alone says too little.
    `evidence_tokens` are those of all passages that the model was given, `cited_tokens` of those that it cited,
    `history_tokens` of the earlier turns that it was given; `is_follow_up` tells whether the message reads as if it
    needs them. All three are estimates.
    """

    created_at: datetime
    request_id: str
    tenant: str
    principal: str
    session_id: str
    agent: str
    intent: str | None
    lane: str
    model: str | None
    answered: bool
    accepted: bool
    critique_score: float | None
    critique_rounds: int
    question_mark: str | None
    knowledge_generation: int
    evidence_tokens: int
    cited_tokens: int
    history_tokens: int
    is_follow_up: bool
    degraded: list[str]


def add_answer(connection: Connection, facts: AnswerFacts) -> None:
    """In the transaction that records the turn. The day's counts grow with it."""
    connection.execute(insert(answer_facts).values(**asdict(facts)))
    from sqlalchemy.dialects import postgresql, sqlite

    inserting = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {
        "day": facts.created_at.astimezone(UTC).date(),
        "tenant": facts.tenant,
        "principal": facts.principal,
        "agent": facts.agent,
    }
    upsert = inserting(answer_days).values(**row, answers=1, answered=int(facts.answered))
    grown = {name: answer_days.c[name] + upsert.excluded[name] for name in ("answers", "answered")}
    connection.execute(upsert.on_conflict_do_update(index_elements=list(row), set_=grown))


def mark_of_question(ring: "KeyRing", tenant: str, message: str) -> str:
    """A keyed hash of the question within its tenant: the same for the same words, whatever their case and spacing."""
    words = " ".join(message.casefold().split()).rstrip("?!. ")
    return ring.mac("mark", f"question\x00{tenant}\x00{words}".encode())


def forget_questions(connection: Connection, session_ids: "Sequence[str]", request_ids: "Sequence[str]") -> None:
    """Take the marks off what was asked in turns that are deleted: what they cost stays, what they said does not.

    A caller may choose the request's id, so the session's is compared too.
    """
    named = answer_facts.c.request_id.in_(request_ids) & answer_facts.c.session_id.in_(session_ids)
    connection.execute(update(answer_facts).where(named).values(question_mark=None))
