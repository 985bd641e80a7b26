"""What embedders spend: held of the budgets before each call, and brought into the ledger with its principal."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common.costs.governor import CallToMake, open_call
from common.costs.ledger import LedgerEntry, measure
from common.costs.prices import cost_usd, upper_bound_usd
from common.llm.chat import TokenUsage
from common.llm.spent import EmbeddingCall, Opened, recording
from common.security.principal import Principal

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from common.request_head import Correlation
    from common.security.keyring import KeyRing

STEP = "embed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingBill:
    """For whom embeddings are made, by what (`route`, a route or a command), and how long a call of theirs may be
    under way. `ring` is asked outside transactions."""

    engine: "Callable[[], Engine]"
    ring: "Callable[[], KeyRing]"
    correlation: "Correlation"
    principal: Principal
    route: str
    clock: Callable[[], datetime]
    lapses_after: timedelta
    session_id: str | None = None
    agent: str | None = None
    _calls: list[EmbeddingCall] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Calls inside are held of their budgets, and are in `entries` afterwards, those before an error too.

        A call that a budget does not allow raises `BudgetSpent` inside.
        """
        with recording(self._open) as calls:
            try:
                yield
            finally:
                self._calls.extend(calls)

    def entries(self) -> list[LedgerEntry]:
        """One entry of step "embed" for each call since the last time, measured; its cost is None where its tokens or
        their price are not known."""
        entries = [self._entry(call) for call in self._calls]
        self._calls.clear()
        for entry in entries:
            measure(entry)
        return entries

    def _open(self, provider: str, model: str, texts: Sequence[str]) -> Opened:
        now = self.clock()
        sent = "\x00".join(texts).encode()
        opened = Opened(
            open_call=secrets.token_hex(16),
            # A token has at least one byte.
            bound_usd=upper_bound_usd(provider, model, now, max_input_tokens=len(sent) + 1, max_output_tokens=0),
            content_mark=self.ring().mac("mark", f"embed\x00{self.principal.tenant}\x00{model}\x00".encode() + sent),
        )
        call = CallToMake(
            id=opened.open_call,
            request_id=self.correlation.request_id,
            trace_id=self.correlation.trace_id,
            tenant=self.principal.tenant,
            principal=self.principal.id,
            session_id=self.session_id,
            agent=self.agent,
            step=STEP,
            route=self.route,
            lane="default",
            provider=provider,
            model_asked=model,
            bound_usd=opened.bound_usd,
        )
        open_call(self.engine(), call, now, now + self.lapses_after)
        return opened

    def _entry(self, call: EmbeddingCall) -> LedgerEntry:
        now = self.clock()
        counted = call.usage or TokenUsage()
        is_known = call.usage is not None
        opened = call.opened
        return LedgerEntry(
            created_at=now,
            request_id=self.correlation.request_id,
            trace_id=self.correlation.trace_id,
            tenant=self.principal.tenant,
            principal=self.principal.id,
            session_id=self.session_id,
            agent=self.agent,
            step=STEP,
            route=self.route,
            provider=call.provider,
            model_asked=call.model,
            model_answered=call.model if call.outcome == "ok" else None,
            input_tokens=counted.input_tokens,
            cost_usd=cost_usd(counted, provider=call.provider, model=call.model, at=now) if is_known else None,
            bound_usd=opened.bound_usd if opened else None,
            content_mark=opened.content_mark if opened else None,
            open_call=opened.open_call if opened else None,
            duration_ms=call.duration_ms,
            outcome=call.outcome,
        )
