"""How far the budgets of a principal's questions are spent, before anything is asked."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from common.costs.budgets import Spender, budget_file
from common.costs.governor import BudgetSpent, Stance, stance
from common.security.principal import Principal
from common.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine


def question_stance(
    principal: Principal, agent: str | None, settings: Settings, engine: "Callable[[], Engine]", now: datetime
) -> Stance:
    """The stance for a question of `principal`, to `agent` where it is known already.

    A budget of the default lane's model alone leaves the cheap lane, as long as that one's budgets do. Where no model
    and no embedder is paid, it is open, and no database is asked.
    """
    if not settings.has_gemini:
        return Stance()
    from common.database.engine import read

    def of(model: str) -> Spender:
        return Spender(tenant=principal.tenant, principal=principal.id, agent=agent, model=model)

    with read(engine()) as connection:
        found = stance(connection, of(settings.chat_model), now)
        if found.state == "open":
            return found
        cheap = stance(connection, of(settings.cheap_chat_model), now)
    return replace(found, state="soft") if cheap.state in {"open", "soft"} else cheap


def has_agent_budgets() -> bool:
    """Whether a stance may be another one once the agent is known."""
    return any(budget.scope == "agent" for budget in budget_file().budgets)


def refuse_spent(found: Stance, now: datetime) -> None:
    """
    Raises:
        BudgetSpent: where a budget that is spent leaves no answer either.
    """
    if found.state == "refused" and found.budget is not None and found.resets_at is not None:
        raise BudgetSpent(budget=found.budget, over="refuse", resets_at=found.resets_at, now=now)
