"""What embedders spend: held of the budgets before each call, and brought into the ledger with its principal."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from common.costs.bills import Bill
from common.costs.ledger import LedgerEntry, measure
from common.costs.prices import upper_bound_usd
from common.llm.spent import EmbeddingCall, Opened, recording

STEP = "embed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingBill(Bill):
    """The bill of an embedder, whose calls may be several."""

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
        # A token has at least one byte.
        bound_usd = upper_bound_usd(provider, model, now, max_input_tokens=len(sent) + 1, max_output_tokens=0)
        what = f"embed\x00{self.principal.tenant}\x00{model}\x00".encode() + sent
        return self.open(now, provider=provider, model=model, step=STEP, lane="default", bound_usd=bound_usd, sent=what)

    def _entry(self, call: EmbeddingCall) -> LedgerEntry:
        return self.entry(
            provider=call.provider,
            asked=call.model,
            answered=call.model if call.outcome == "ok" else None,
            priced=call.model,
            step=STEP,
            lane="default",
            usage=call.usage,
            duration_ms=call.duration_ms,
            outcome=call.outcome,
            opened=call.opened,
        )
