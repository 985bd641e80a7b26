"""What chat models spend: held of the budgets before each attempt at a call, and brought into the ledger after it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from common.costs.bills import Bill
from common.costs.ledger import CANCELLED, LEFT_IN_THE_MIDDLE, LedgerEntry, measure
from common.costs.prices import upper_bound_usd
from common.llm.chat import Attempt, ChatAnswer, ChatRequest, ModelError, TokenUsage
from common.llm.prompt import most_tokens
from common.llm.spent import Opened


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatBill(Bill):
    """The bill of a chat model that is asked for `step`, and the `Meter` of these calls.

    `entries` grows by one with each attempt that is over, the failed ones too, measured. They close the attempts' open
    calls once they are added to the ledger, which is for the caller to do, whatever went wrong after them.
    """

    step: str
    entries: list[LedgerEntry] = field(default_factory=list)

    @contextmanager
    def attempt(self, request: ChatRequest, *, provider: str, model: str) -> Iterator[Attempt]:
        """See `Meter`.

        Raises:
            BudgetSpent, DatabaseUnavailable: the call must not be made; as `open_call`.
        """
        opened = self._open(request, provider, model)
        started = time.monotonic()
        under_way = Attempt()
        outcome, is_unbilled = CANCELLED, False  # what stands when the client goes away in the middle
        try:
            yield under_way
            outcome = "ok" if under_way.answer is not None else ModelError.__name__  # a stream that ended too early
        except ModelError as error:
            under_way.answer = error.answer  # billed all the same, where there is one
            outcome, is_unbilled = type(error).__name__, error.is_unbilled
            raise
        except GeneratorExit:  # of a stream that may have come to its end
            outcome = CANCELLED if under_way.answer is None else "ok"
            raise
        finally:
            usage = _usage(under_way.answer, outcome, is_unbilled=is_unbilled)
            seconds = time.monotonic() - started
            self.note(
                under_way.answer, usage, request, provider=provider, model=model, outcome=outcome, seconds=seconds,
                opened=opened,
            )  # fmt: skip

    def note(
        self,
        answer: ChatAnswer | None,
        usage: TokenUsage | None,
        request: ChatRequest,
        *,
        provider: str,
        model: str,
        outcome: str,
        seconds: float,
        opened: Opened | None = None,
    ) -> None:
        """Make the entry of a call to `model`; `usage` is None where nobody knows what was used."""
        answered = answer.model if answer else None
        entry = self.entry(
            provider=provider,
            asked=answer.asked if answer else model,
            answered=answered,
            priced=answered or model,
            step=self.step,
            lane=request.lane,
            usage=usage,
            duration_ms=round(seconds * 1000, 1),
            outcome=outcome,
            opened=opened,
        )
        self.entries.append(entry)
        measure(entry)

    def _open(self, request: ChatRequest, provider: str, model: str) -> Opened:
        now = self.clock()
        bound_usd = upper_bound_usd(provider, model, now, most_tokens(request), request.max_output_tokens)
        sent = _content(request, self.principal.tenant, model)
        return self.open(
            now, provider=provider, model=model, step=self.step, lane=request.lane, bound_usd=bound_usd, sent=sent
        )


def _usage(answer: ChatAnswer | None, outcome: str, *, is_unbilled: bool) -> TokenUsage | None:
    """What a call used; None where nobody knows: one that broke off may be billed all the same."""
    if answer is not None:
        return answer.usage
    return TokenUsage() if is_unbilled and outcome not in LEFT_IN_THE_MIDDLE else None


def _content(request: ChatRequest, tenant: str, model: str) -> bytes:
    """What makes two calls the same; the prompt's own codes differ from one to the next."""
    passages = [(one.title, one.source, one.heading, one.text) for one in request.passages]
    schema = None if request.json_schema is None else dict(request.json_schema)
    sent = (request.instruction, request.question, request.history, passages, schema, request.max_output_tokens)
    return f"chat\x00{tenant}\x00{model}\x00{json.dumps(sent)}".encode()
