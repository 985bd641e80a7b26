"""Sessions: the turns of a conversation, kept with what they cost, and given back as context."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from common.costs import ledger
from common.costs.ledger import LedgerEntry
from common.database.engine import read, write
from common.database.tables import sessions, turns
from common.problems import FieldError, NotFound
from functions.query.agent import Turn

MAX_TURNS = 50  # of history, however short they are
CHARACTERS_A_TOKEN = 4  # English prose; close enough for a budget, and no tokenizer is loaded for it
ANSWER_TOKENS = 60  # of each earlier answer; what a conversation builds on is said in its first sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRecord:
    """One question with its answer, as stored. `confidence` and `critique_score` are 0 to 1.

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
    citations: list[dict[str, Any]]  # goes into a JSON column as it is
    critique_score: float | None
    critique_rounds: int
    degraded: list[str]
    signals: list[str]
    created_at: datetime


class SessionStore:
    """Sessions in the database. Safe to share between threads."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._engine = engine
        self._clock = clock
        self._new_id = new_id

    def open(self, session_id: str | None) -> str:
        """The session to go on with; a new one for None, which is stored with its first turn.

        Raises:
            NotFound: there is no such session.
        """
        if session_id is None:
            return self._new_id()
        with read(self._engine) as connection:
            known = connection.scalar(select(sessions.c.id).where(sessions.c.id == session_id))
        if known is None:
            reason = "There is no such session. Leave it out to begin a new one."
            raise NotFound(reason, errors=[FieldError(pointer="/session_id", detail=reason)])
        return session_id

    def history(self, session_id: str, max_tokens: int) -> tuple[Turn, ...]:
        """The session's newest turns that fit into `max_tokens` together, oldest first.

        Messages are whole. An answer of more than `ANSWER_TOKENS` is cut to them and ends in an ellipsis. The first
        one from the end that does not fit ends the history, so that it has no gaps.
        """
        query = (
            select(turns.c.message, turns.c.answer, turns.c.agent)
            .where(turns.c.session_id == session_id)
            .order_by(turns.c.id.desc())
            .limit(MAX_TURNS)
        )
        with read(self._engine) as connection:
            newest_first = connection.execute(query).all()
        kept: list[Turn] = []
        tokens = 0
        for message, whole_answer, agent in newest_first:
            answer = _cut(whole_answer)
            tokens += estimated_tokens(message) + estimated_tokens(answer)
            if tokens > max_tokens:
                break
            kept.append(Turn(message=message, answer=answer, agent=agent))
        return tuple(reversed(kept))

    def record(self, turn: TurnRecord | None, entries: Iterable[LedgerEntry]) -> None:
        """Store a turn and the model calls that it took in one transaction; None: the calls of a query cut short."""
        with write(self._engine) as connection:
            if turn is not None:
                self._touch(connection, turn.session_id)
                connection.execute(insert(turns), asdict(turn))
            ledger.add(connection, entries)

    def _touch(self, connection: Connection, session_id: str) -> None:
        now = self._clock()
        touched = connection.execute(update(sessions).where(sessions.c.id == session_id).values(updated_at=now))
        if touched.rowcount == 0:
            connection.execute(insert(sessions).values(id=session_id, created_at=now, updated_at=now))


def estimated_tokens(text: str) -> int:
    """About how many tokens `text` has; the one place where history is measured."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


def _cut(answer: str) -> str:
    most = ANSWER_TOKENS * CHARACTERS_A_TOKEN
    return answer if len(answer) <= most else f"{answer[: most - 1].rstrip()}…"
