"""What is deleted when its time is over: conversations, and answers kept for an Idempotency-Key.

The ledger and the audit stay: they hold no personal data, and books have periods of their own.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, Engine

from common.database.engine import engine, write
from common.logging import component_logger
from common.personal_data import delete_sessions_before
from common.request_head import Correlation
from common.security import audit
from common.security.idempotency import delete_expired
from common.security.principal import Principal
from common.settings import settings

Deleted = TypeVar("Deleted")

log = component_logger("retention")


def apply_retention(principal: Principal, correlation: Correlation, now: datetime | None = None) -> None:
    """Delete all that is over at `now`, in small transactions, so that nobody waits long for a lock. Calling it again
    goes on where a call was cut short.

    Raises:
        DatabaseUnavailable: what is deleted by then stays deleted.
    """
    at = now or datetime.now(UTC)
    days = settings().conversation_days
    sessions = turns = 0
    if days:
        before = at - timedelta(days=days)
        while (some := _in_one_transaction(engine(), lambda to: delete_sessions_before(to, before))).sessions:
            sessions += some.sessions
            turns += some.turns
    answers = 0
    while count := _in_one_transaction(engine(), lambda to: delete_expired(to, at)):
        answers += count
    facts = {"sessions": sessions, "turns": turns, "answers": answers, "conversation_days": days}
    event = audit.Event(
        tenant=principal.tenant,
        actor=principal.id,
        action="retention.applied",
        target="conversations",
        outcome="done",
        request_id=correlation.request_id,
        facts=facts,
    )
    audit.record_alone(event)
    log.info("retention.applied", sessions=sessions, turns=turns, answers=answers)


def _in_one_transaction(engine: Engine, delete: Callable[[Connection], Deleted]) -> Deleted:
    with write(engine) as connection:
        return delete(connection)
