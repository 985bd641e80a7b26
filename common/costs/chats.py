"""What chat models spend: held of the budgets before each attempt at a call, and brought into the ledger after it."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common.costs.governor import CallToMake, open_call
from common.costs.ledger import CANCELLED, LEFT_IN_THE_MIDDLE, LedgerEntry, measure
from common.costs.prices import cost_usd, upper_bound_usd
from common.llm.chat import Attempt, ChatAnswer, ChatRequest, ModelError, TokenUsage
from common.llm.prompt import most_tokens
from common.llm.spent import Opened
from common.security.principal import Principal

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from common.request_head import Correlation
    from common.security.keyring import KeyRing


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatBill:
    """For whom a chat model is asked, by what (`route`, a route or a command) and for what (`step`), and how long one
    attempt may be under way. It is the `Meter` of these calls. `ring` is asked outside transactions.

    `entries` grows by one with each attempt that is over, the failed ones too, measured. They close the attempts' open
    calls once they are added to the ledger, which is for the caller to do, whatever went wrong after them.
    """

    engine: "Callable[[], Engine]"
    ring: "Callable[[], KeyRing]"
    correlation: "Correlation"
    principal: Principal
    route: str
    step: str
    clock: Callable[[], datetime]
    lapses_after: timedelta
    session_id: str | None = None
    agent: str | None = None
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
        now = self.clock()
        answered = answer.model if answer else None
        counted = usage or TokenUsage()
        entry = LedgerEntry(
            created_at=now,
            request_id=self.correlation.request_id,
            trace_id=self.correlation.trace_id,
            tenant=self.principal.tenant,
            principal=self.principal.id,
            session_id=self.session_id,
            agent=self.agent,
            step=self.step,
            route=self.route,
            lane=request.lane,
            provider=provider,
            model_asked=answer.asked if answer else model,
            model_answered=answered,
            input_tokens=counted.input_tokens,
            cached_input_tokens=counted.cached_input_tokens,
            output_tokens=counted.output_tokens,
            thinking_tokens=counted.thinking_tokens,
            tool_tokens=counted.tool_tokens,
            cost_usd=None if usage is None else cost_usd(usage, provider=provider, model=answered or model, at=now),
            bound_usd=opened.bound_usd if opened else None,
            content_mark=opened.content_mark if opened else None,
            open_call=opened.open_call if opened else None,
            duration_ms=round(seconds * 1000, 1),
            outcome=outcome,
        )
        self.entries.append(entry)
        measure(entry)

    def _open(self, request: ChatRequest, provider: str, model: str) -> Opened:
        now = self.clock()
        opened = Opened(
            open_call=secrets.token_hex(16),
            bound_usd=upper_bound_usd(provider, model, now, most_tokens(request), request.max_output_tokens),
            content_mark=self.ring().mac("mark", _content(request, self.principal.tenant, model)),
        )
        call = CallToMake(
            id=opened.open_call,
            request_id=self.correlation.request_id,
            trace_id=self.correlation.trace_id,
            tenant=self.principal.tenant,
            principal=self.principal.id,
            session_id=self.session_id,
            agent=self.agent,
            step=self.step,
            route=self.route,
            lane=request.lane,
            provider=provider,
            model_asked=model,
            bound_usd=opened.bound_usd,
        )
        open_call(self.engine(), call, now, now + self.lapses_after)
        return opened


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
