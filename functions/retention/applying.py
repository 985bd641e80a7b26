"""What is deleted when its time is over: conversations, answers kept for an Idempotency-Key, notices long delivered.

The ledger and the audit stay: they hold no personal data, and books have periods of their own.
"""

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, select

from common.database.engine import engine, write
from common.database.tables import notices
from common.logging import component_logger
from common.personal_data import delete_sessions_before
from common.request_head import Correlation
from common.security import audit
from common.security.idempotency import delete_expired
from common.security.keyring import key_ring
from common.security.principal import Principal
from common.settings import settings

# As long as its row is there, a notice is not given twice: for longer than the period of any budget that it tells of.
NOTICES_KEPT = timedelta(days=2 * 366)
_AT_ONCE = 500

log = component_logger("retention")


@dataclass(slots=True)
class _Gone:
    """What is deleted so far."""

    sessions: int = 0
    turns: int = 0
    answers: int = 0
    notices: int = 0


def apply_retention(
    principal: Principal, correlation: Correlation, deadline: float, now: datetime | None = None
) -> None:
    """Delete all that is over at `now`, in small transactions, so that nobody waits long for a lock. At `deadline` (a
    reading of `time.monotonic()`) it stops; the next call goes on.

    Raises:
        DatabaseUnavailable: what is deleted by then stays deleted, and is in the audit where that can be reached.
    """
    at = now or datetime.now(UTC)
    key_ring()  # before all else: what cannot be audited is not done
    gone = _Gone()
    outcome: audit.Outcome = "failed"
    try:
        is_complete = (
            _delete_sessions(gone, at, deadline)
            and _delete_answers(gone, at, deadline)
            and _delete_notices(gone, at, deadline)
        )
        outcome = "done" if is_complete else "failed"
    finally:
        facts = {**asdict(gone), "conversation_days": settings().conversation_days}
        event = audit.Event(
            tenant=principal.tenant,
            actor=principal.id,
            action="retention.applied",
            target="conversations",
            outcome=outcome,
            request_id=correlation.request_id,
            facts=facts,
        )
        audit.record_alone(event)
    log.info("retention.applied", outcome=outcome, sessions=gone.sessions, turns=gone.turns, answers=gone.answers)


def _delete_sessions(gone: _Gone, at: datetime, deadline: float) -> bool:
    """Whether none is left that is over."""
    days = settings().conversation_days
    before = at - timedelta(days=days)
    while days and time.monotonic() < deadline:
        with write(engine()) as connection:
            some = delete_sessions_before(connection, before)
        if not some.sessions:
            return True
        gone.sessions += some.sessions
        gone.turns += some.turns
    return not days


def _delete_answers(gone: _Gone, at: datetime, deadline: float) -> bool:
    """Whether none is left that is over."""
    while time.monotonic() < deadline:
        with write(engine()) as connection:
            count = delete_expired(connection, at)
        if not count:
            return True
        gone.answers += count
    return False


def _delete_notices(gone: _Gone, at: datetime, deadline: float) -> bool:
    """Whether none is left that is over."""
    while time.monotonic() < deadline:
        with write(engine()) as connection:
            count = _delete_some_notices(connection, at - NOTICES_KEPT)
        if not count:
            return True
        gone.notices += count
    return False


def _delete_some_notices(connection: Connection, before: datetime) -> int:
    """Of those delivered by then; what was never delivered stays, for it is still tried."""
    some = select(notices.c.key).where(notices.c.sent_at < before).limit(_AT_ONCE)
    return connection.execute(delete(notices).where(notices.c.key.in_(some))).rowcount
