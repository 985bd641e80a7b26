"""What is done about a notification: the state is kept, people are told of each threshold once, notices go out.

Pub/Sub delivers again, for days, whatever is not answered with a 2xx. So what can work in a moment ends in an error
(the database is away), and what never can is taken and dropped, with a line and a count. A caller who is not Pub/Sub,
and so sends no messageId, is told what is wrong.
"""

import time
from datetime import UTC, datetime

from common.costs import cloud_budgets
from common.costs.cloud_budgets import BudgetMessage, Changes
from common.database.engine import engine, write
from common.logging import component_logger
from common.metrics import metrics_collector
from common.notices.outbox import deliver_due, put
from common.problems import FieldError, Forbidden, InvalidRequest
from common.request_head import Correlation
from common.security import audit
from common.security.keyring import key_ring
from common.security.principal import ALL_TENANTS, Principal
from functions.budget_alert.models import PubSubCloudEvent, PubSubPush
from functions.budget_alert.notification import read_message
from functions.budget_alert.wording import notice_of

log = component_logger("cost")


def receive(
    body: PubSubPush | PubSubCloudEvent,
    principal: Principal,
    correlation: Correlation,
    deadline: float,
    now: datetime | None = None,
) -> None:
    """Do what `body` asks for, once. After `deadline` (a reading of `time.monotonic()`) no notice is begun: what is
    left then goes out at the next message.

    Raises:
        Forbidden: the principal is one tenant's, and the state holds all of them.
        InvalidRequest: it holds no notification of a budget, and did not come through Pub/Sub.
        DatabaseUnavailable, KeysUnavailable: nothing is changed.
    """
    if not principal.may(ALL_TENANTS):
        raise Forbidden(f"What the cloud's budgets say holds all tenants: it takes the scope {ALL_TENANTS}.")
    at = now or datetime.now(UTC)
    message = _read(body, at)
    if message is not None:
        _keep(message, principal, correlation, at)
    deliver_due(deadline - time.monotonic())


def _read(body: PubSubPush | PubSubCloudEvent, at: datetime) -> BudgetMessage | None:
    """None: it can never be used, and Pub/Sub must not bring it again."""
    push, place = (body.data, "/data") if isinstance(body, PubSubCloudEvent) else (body, "")
    try:
        return read_message(push.message, at)
    except InvalidRequest as error:
        errors = [FieldError(pointer=f"{place}{one.pointer}", detail=one.detail) for one in error.errors]
        if push.message.message_id is None:
            raise InvalidRequest(error.detail, errors=errors) from None
        metrics_collector.record_error("budget_alert", "UnusableMessage")
        log.warning("budget.unusable", reason="; ".join(f"{one.pointer}: {one.detail}" for one in errors))
        return None


def _keep(message: BudgetMessage, principal: Principal, correlation: Correlation, at: datetime) -> None:
    ring = key_ring()  # before the transaction: what is not made yet is made in one of its own
    with write(engine()) as connection:
        changes = cloud_budgets.receive(connection, message, at)
        notices = [notice_of(message, crossing) for crossing in changes.crossings]
        told = sum(put(connection, notice, at) for notice in notices)
        if changes.is_news:
            audit.record(connection, _event(message, changes, principal, correlation), at=at, ring=ring)
    log.info("budget.received", outcome="changed" if changes.is_news else "unchanged", count=told)


def _event(message: BudgetMessage, changes: Changes, principal: Principal, correlation: Correlation) -> audit.Event:
    passed = {f"{one.basis}_threshold": str(one.threshold) for one in changes.crossings}
    return audit.Event(
        tenant=principal.tenant,
        actor=principal.id,
        action="budget.state",
        target=f"cloud-budget:{message.budget_id}",
        outcome="done",
        request_id=correlation.request_id,
        facts={
            "interval_start": message.interval_start.isoformat(),
            "cost_amount": f"{message.cost_amount:f}",
            "budget_amount": f"{message.budget_amount:f}",
            "currency": message.currency,
            **passed,
        },
    )
