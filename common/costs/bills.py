"""For whom paid calls are made: each held of its budgets before it is made, and an entry of the ledger after it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from common.costs.governor import CallToMake, open_call
from common.costs.ledger import Lane, LedgerEntry
from common.costs.prices import cost_usd
from common.llm.chat import TokenUsage
from common.llm.spent import Opened
from common.security.principal import Principal

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from common.request_head import Correlation
    from common.security.keyring import KeyRing


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Who asks, by what (`route`, a route or a command), and how long one call may be under way. `ring` is asked
    outside transactions."""

    engine: "Callable[[], Engine]"
    ring: "Callable[[], KeyRing]"
    correlation: "Correlation"
    principal: Principal
    route: str
    clock: Callable[[], datetime]
    lapses_after: timedelta
    session_id: str | None = None
    agent: str | None = None

    def open(
        self, now: datetime, *, provider: str, model: str, step: str, lane: Lane, bound_usd: Decimal | None, sent: bytes
    ) -> Opened:
        """Note that a call to `model` is about to be made, which can cost `bound_usd` at most; `sent` is what makes two
        calls the same.

        Raises:
            BudgetSpent, DatabaseUnavailable: it must not be made; as `open_call`.
        """
        opened = Opened(
            open_call=secrets.token_hex(16), bound_usd=bound_usd, content_mark=self.ring().mac("mark", sent)
        )
        call = CallToMake(
            id=opened.open_call,
            request_id=self.correlation.request_id,
            trace_id=self.correlation.trace_id,
            tenant=self.principal.tenant,
            principal=self.principal.id,
            session_id=self.session_id,
            agent=self.agent,
            step=step,
            route=self.route,
            lane=lane,
            provider=provider,
            model_asked=model,
            bound_usd=bound_usd,
        )
        open_call(self.engine(), call, now, now + self.lapses_after)
        return opened

    def entry(
        self,
        *,
        provider: str,
        asked: str,
        answered: str | None,
        priced: str,
        step: str,
        lane: Lane,
        usage: TokenUsage | None,
        duration_ms: float,
        outcome: str,
        opened: Opened | None,
    ) -> LedgerEntry:
        """The entry of a call that is over, at the price of the model `priced`; `usage` is None where nobody knows what
        was used, and then nor is the cost."""
        now = self.clock()
        counted = usage or TokenUsage()
        return LedgerEntry(
            created_at=now,
            request_id=self.correlation.request_id,
            trace_id=self.correlation.trace_id,
            tenant=self.principal.tenant,
            principal=self.principal.id,
            session_id=self.session_id,
            agent=self.agent,
            step=step,
            route=self.route,
            lane=lane,
            provider=provider,
            model_asked=asked,
            model_answered=answered,
            input_tokens=counted.input_tokens,
            cached_input_tokens=counted.cached_input_tokens,
            output_tokens=counted.output_tokens,
            thinking_tokens=counted.thinking_tokens,
            tool_tokens=counted.tool_tokens,
            cost_usd=None if usage is None else cost_usd(usage, provider=provider, model=priced, at=now),
            bound_usd=opened.bound_usd if opened else None,
            content_mark=opened.content_mark if opened else None,
            open_call=opened.open_call if opened else None,
            duration_ms=duration_ms,
            outcome=outcome,
        )
