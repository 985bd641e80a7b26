"""Sessions: the turns of a conversation, kept with what they cost, and given back as context.

A session belongs to a tenant. What was said in it is sealed, whole and unmasked, so that a follow-up can build on it.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Engine, insert, select, update

from common.costs import ledger
from common.costs.answers import AnswerFacts, add_answer
from common.costs.budget_notices import tell_of_budgets
from common.costs.ledger import LedgerEntry
from common.database.engine import read, write
from common.database.tables import sessions, turns
from common.llm.chat import CHARACTERS_A_TOKEN, estimated_tokens
from common.problems import FieldError, NotFound
from common.security.encryption import TURN_CONTENT, Sealer, row_of
from common.security.marks import Marks, texts_in
from common.security.principal import Principal
from functions.query.agent import Turn

if TYPE_CHECKING:
    from common.security.keyring import KeyRing

MAX_TURNS = 50  # of history, however short they are
ANSWER_TOKENS = 60  # of each earlier answer; what a conversation builds on is said in its first sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRecord:
    """One question with its answer, as they were. `confidence` and `critique_score` are 0 to 1.

    `citations` is as in the answer, `signals` names signs of prompt injection. `intent` is None where the router was
    unsure, `critique_score` where nothing was criticised.
    """

    session_id: str
    request_id: str
    trace_id: str
    message: str
    answer: str
    answered: bool
    agent: str
    intent: str | None
    confidence: float
    citations: list[dict[str, Any]]  # goes into JSON as it is
    critique_score: float | None
    critique_rounds: int
    degraded: list[str]
    signals: list[str]
    created_at: datetime


class SessionStore:
    """Sessions in the database. Safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        ring: "Callable[[], KeyRing]",
    ) -> None:
        """`new_id` gives up to 32 characters that were never given before; `ring` is asked outside transactions."""
        self._engine = engine
        self._ring = ring
        self._clock = clock
        self._new_id = new_id

    def open(self, session_id: str | None, principal: Principal) -> str:
        """The session to go on with; a new one for None, which is stored with its first turn.

        Raises:
            NotFound: the principal's tenant has no such session.
        """
        if session_id is None:
            return self._new_id()
        with read(self._engine) as connection:
            known = connection.scalar(select(sessions.c.id).where(_is_session(session_id, principal)))
        if known is None:
            reason = "There is no such session. Leave it out to begin a new one."
            raise NotFound(reason, errors=[FieldError(pointer="/session_id", detail=reason)])
        return session_id

    def history(self, session_id: str, principal: Principal, max_tokens: int) -> tuple[Turn, ...]:
        """The session's newest turns that fit into `max_tokens` together, oldest first.

        Messages are whole. An answer of more than `ANSWER_TOKENS` is cut to them and ends in an ellipsis. The first
        one from the end that does not fit ends the history, so that it has no gaps.
        """
        query = (
            select(turns.c.uid, turns.c.content, turns.c.agent)
            .where(turns.c.tenant == principal.tenant, turns.c.session_id == session_id)
            .order_by(turns.c.id.desc())
            .limit(MAX_TURNS)
        )
        with read(self._engine) as connection:
            newest_first = connection.execute(query).all()
        sealer = Sealer(self._ring())
        kept: list[Turn] = []
        tokens = 0
        for uid, sealed, agent in newest_first:
            content = json.loads(sealer.open(sealed, TURN_CONTENT, row_of(principal.tenant, uid)))
            message, answer = content["message"], _cut(content["answer"])
            tokens += estimated_tokens(message) + estimated_tokens(answer)
            if tokens > max_tokens:
                break
            kept.append(Turn(message=message, answer=answer, agent=agent))
        return tuple(reversed(kept))

    def record(
        self,
        turn: TurnRecord | None,
        entries: Iterable[LedgerEntry],
        principal: Principal,
        facts: AnswerFacts | None = None,
    ) -> None:
        """Store a turn, what is told of it and the model calls that it took in one transaction; None: the calls of a
        query cut short."""
        row = None if turn is None else self._row(turn, principal)
        marks = Marks(self._ring())
        with write(self._engine) as connection:
            if turn is not None and row is not None:
                self._touch(connection, turn.session_id, principal)
                connection.execute(insert(turns), row)
                texts = (turn.message, turn.answer, *texts_in(turn.citations))
                marks.note(connection, principal.tenant, turns.name, row["uid"], texts)
            if facts is not None:
                add_answer(connection, facts)
            ledger.add(connection, entries)
        tell_of_budgets()

    def _row(self, turn: TurnRecord, principal: Principal) -> dict[str, Any]:
        uid = self._new_id()
        name = row_of(principal.tenant, uid)
        content = json.dumps({"message": turn.message, "answer": turn.answer, "citations": turn.citations})
        return {
            "uid": uid,
            "tenant": principal.tenant,
            "session_id": turn.session_id,
            "request_id": turn.request_id,
            "trace_id": turn.trace_id,
            "content": Sealer(self._ring()).seal(content.encode(), TURN_CONTENT, name),
            "answered": turn.answered,
            "agent": turn.agent,
            "intent": turn.intent,
            "confidence": turn.confidence,
            "critique_score": turn.critique_score,
            "critique_rounds": turn.critique_rounds,
            "degraded": turn.degraded,
            "signals": turn.signals,
            "created_at": turn.created_at,
        }

    def _touch(self, connection: Connection, session_id: str, principal: Principal) -> None:
        now = self._clock()
        touched = connection.execute(update(sessions).where(_is_session(session_id, principal)).values(updated_at=now))
        if touched.rowcount == 0:  # new: an id of another tenant's session fails here, for it is there already
            new = {"id": session_id, "tenant": principal.tenant, "principal": principal.id}
            connection.execute(insert(sessions).values(**new, created_at=now, updated_at=now))


def _is_session(session_id: str, principal: Principal) -> ColumnElement[bool]:
    return (sessions.c.tenant == principal.tenant) & (sessions.c.id == session_id)


def _cut(answer: str) -> str:
    most = ANSWER_TOKENS * CHARACTERS_A_TOKEN
    return answer if len(answer) <= most else f"{answer[: most - 1].rstrip()}…"
