"""Earlier answers: what a question was answered before, given again where the budget allows no model.

Only the same question, word for word, of the same tenant, on the same content of the knowledge base; only an answer
that a model gave and its review accepted; and only from an agent that the principal may use. What was deleted is not
found any more. The answer has to pass the checks in code again, against the documents as they are.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, select

from common.costs.answers import mark_of_question
from common.database.engine import read
from common.database.tables import answer_facts, documents, turns
from common.knowledge.store import generation
from common.llm.chat import Passage
from common.security.encryption import TURN_CONTENT, CannotOpen, Sealer, row_of
from functions.query.agent import Citation, Reply
from functions.query.grounding import hold

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from common.security.keyring import KeyRing


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierAnswer:
    """What `agent` replied, with the documents that it cites, whole, and the knowledge base's `generation`."""

    agent: str
    reply: Reply
    passages: tuple[Passage, ...]
    generation: int


def earlier_answer(
    engine: "Engine", ring: "KeyRing", *, tenant: str, message: str, agents: Collection[str]
) -> EarlierAnswer | None:
    """The newest answer to `message` that one of `agents` gave and that still holds; None where there is none."""
    mark = mark_of_question(ring, tenant, message)
    with read(engine) as connection:
        now = generation(connection)
        row = _newest(connection, tenant, mark, now, agents)
        if row is None:
            return None
        try:
            content = json.loads(Sealer(ring).open(row.content, TURN_CONTENT, row_of(tenant, row.uid)))
        except CannotOpen:  # its key is gone, and with it what was said
            return None
        citations = tuple(Citation(**one) for one in content["citations"])
        passages = _documents(connection, tenant, [one.document_id for one in citations])
    reply = Reply(
        answer=content["answer"],
        answered=True,
        confidence=row.confidence,
        citations=citations,
        critique_score=row.critique_score,
        critique_rounds=row.critique_rounds,
        degraded=("budget",),
    )
    if hold(reply, message, passages) != reply:
        return None
    return EarlierAnswer(agent=row.agent, reply=reply, passages=passages, generation=now)


def _newest(
    connection: Connection, tenant: str, mark: str, generation: int, agents: Collection[str]
) -> "Row[Any, Any, Any, Any, Any, Any] | None":
    facts = answer_facts.c
    # A request's id may be the caller's own: a turn is that of its facts where session and time are the same, too.
    is_its_turn = (
        (turns.c.tenant == facts.tenant)
        & (turns.c.request_id == facts.request_id)
        & (turns.c.session_id == facts.session_id)
        & (turns.c.created_at == facts.created_at)
    )
    columns = (turns.c.uid, turns.c.content, turns.c.agent, turns.c.confidence)
    query = (
        select(*columns, turns.c.critique_score, turns.c.critique_rounds)
        .join(answer_facts, is_its_turn)
        .where(
            facts.tenant == tenant,
            facts.question_mark == mark,
            facts.knowledge_generation == generation,
            facts.agent.in_(agents),
            facts.answered,
            facts.accepted,
            facts.lane != "",
            turns.c.answered,
        )
        .order_by(facts.id.desc())
        .limit(1)
    )
    return connection.execute(query).first()


def _documents(connection: Connection, tenant: str, ids: Sequence[str]) -> tuple[Passage, ...]:
    is_cited = (documents.c.tenant == tenant) & documents.c.id.in_(ids)
    return tuple(
        Passage(
            number=number,
            document_id=row.id,
            title=row.title,
            source=row.source,
            heading="",
            text=row.text,
            score=0.0,
        )
        for number, row in enumerate(connection.execute(select(documents).where(is_cited)), start=1)
    )
