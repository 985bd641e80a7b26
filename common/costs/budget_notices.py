"""Notices of budgets: one for each part of a budget that `Budget.notices_at` names, each time it is reached.

They are put with what reached it, in its transaction, and delivered after it by whoever calls `tell_of_budgets`.
"""

import threading
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from common.costs.budgets import Budget, State, state_at, whose
from common.logging import component_logger, frames_of

if TYPE_CHECKING:
    from collections.abc import Mapping

DELIVERY_SECONDS = 30.0

_CONSEQUENCES: "Mapping[State, str]" = {
    "open": "Nothing changes yet.",
    "soft": "The cheap lane answers now.",
    "hard": "Answers come from the documents alone now.",
    "refused": "Questions are refused now.",
}

log = component_logger("cost")
_has_news = threading.Event()


def announce(
    connection: Connection, budget: Budget, counter: str, starts_at: datetime, *, spent_usd: tuple[Decimal, Decimal]
) -> None:
    """Put a notice of the largest part of the budget that it was brought to or above; `spent_usd` is before and after.

    `counter` and `starts_at` tell whose it is and in which period.
    """
    before, after = spent_usd
    reached = [part for part in budget.notices_at if before < part * budget.amount_usd <= after]
    if not reached:
        return
    from common.notices.notice import Notice
    from common.notices.outbox import put

    part = max(reached)
    log.warning("budget.reached", budget=budget.id, threshold=float(part))
    scope = " ".join(filter(None, (budget.scope, whose(counter))))
    resets_at = budget.period_at(starts_at).resets_at
    # An amount that is changed within the period is another one to be told of.
    named = f"{counter}|{starts_at.isoformat()}|{budget.amount_usd.normalize():f}"
    place = sha256(named.encode()).hexdigest()[:32]
    notice = Notice(
        kind="budget",
        key=f"budget:{budget.id}:{place}:{part}",
        subject=f"Budget {budget.id}: {part * 100:.0f} % is spent",
        lines=(
            f"Of the budget {budget.id} ({scope}, by the {budget.period}) of {_usd(budget.amount_usd)} USD, "
            f"{_usd(after)} USD are spent.",
            f"{_CONSEQUENCES[state_at(after / budget.amount_usd, budget)]} "
            f"It begins anew at {resets_at:%Y-%m-%d %H:%M} UTC.",
        ),
    )
    if put(connection, notice):
        _has_news.set()


def tell_of_budgets() -> None:
    """Deliver what this process has put of budgets, in a thread of its own. To be called after the transaction's end.

    What does not get through, or is cut off with its instance, goes out with the next delivery, whoever makes it.
    """
    if _has_news.is_set():
        _has_news.clear()
        threading.Thread(target=_deliver, name="notices", daemon=True).start()


def _deliver() -> None:
    from common.notices.outbox import deliver_due

    try:
        deliver_due(DELIVERY_SECONDS)
    # A thread has nobody to tell but the log; the notices are kept.
    except Exception as error:  # noqa: BLE001
        log.warning("notices.failed", error_type=type(error).__name__, frames=frames_of(error))


def _usd(amount: Decimal) -> str:
    """To the cent, and small amounts with enough digits to tell them apart."""
    return f"{amount:,.2f}" if amount >= 1 else f"{amount.normalize():f}"
