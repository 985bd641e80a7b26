"""Who embeds does not know whom to bill: `recording` collects the calls that embedders make inside its block."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from common.llm.chat import TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingCall:
    """One call over the network, the failed ones too. `usage` is None where nobody said what it used; `outcome` is
    "ok" or the error's class name."""

    provider: str
    model: str
    usage: TokenUsage | None
    duration_ms: float
    outcome: str


_calls: ContextVar[list[EmbeddingCall] | None] = ContextVar("embedding_calls", default=None)


@contextmanager
def recording() -> Iterator[list[EmbeddingCall]]:
    """The list of the calls made inside, as they come; it may be read when the block has failed, too.

    It holds for this context alone: a thread that is started inside must run in a copy of it.
    """
    calls: list[EmbeddingCall] = []
    token = _calls.set(calls)
    try:
        yield calls
    finally:
        _calls.reset(token)


def note(call: EmbeddingCall) -> None:
    """Add `call` to the innermost recording; without one nothing happens."""
    calls = _calls.get()
    if calls is not None:
        calls.append(call)
