"""Who embeds does not know whom to bill: `recording` collects the calls that embedders make inside its block.

Its `gate` is asked before each of them, and may refuse it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal

from common.llm.chat import TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A call that a gate let through: its `open_call`, what it can cost at most, a keyed hash of what is sent."""

    open_call: str
    bound_usd: Decimal | None
    content_mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingCall:
    """One call over the network, the failed ones too. `usage` is None where nobody said what it used; `outcome` is
    "ok" or the error's class name; `opened` is what the gate gave, where there was one."""

    provider: str
    model: str
    usage: TokenUsage | None
    duration_ms: float
    outcome: str
    opened: Opened | None = None


Gate = Callable[[str, str, Sequence[str]], Opened]
"""Asked with provider, model and the texts that are to be sent; raises where the call must not be made."""


@dataclass(frozen=True, slots=True)
class _Recording:
    calls: list[EmbeddingCall]
    gate: Gate | None


_recording: ContextVar[_Recording | None] = ContextVar("embedding_calls", default=None)


@contextmanager
def recording(gate: Gate | None = None) -> Iterator[list[EmbeddingCall]]:
    """The list of the calls made inside, as they come; it may be read when the block has failed, too.

    It holds for this context alone: a thread that is started inside must run in a copy of it.
    """
    calls: list[EmbeddingCall] = []
    token = _recording.set(_Recording(calls, gate))
    try:
        yield calls
    finally:
        _recording.reset(token)


def ask_gate(provider: str, model: str, texts: Sequence[str]) -> Opened | None:
    """Before a call: what the innermost recording's gate gives; None without one."""
    inside = _recording.get()
    return inside.gate(provider, model, texts) if inside is not None and inside.gate is not None else None


def note(call: EmbeddingCall) -> None:
    """Add `call` to the innermost recording; without one nothing happens."""
    inside = _recording.get()
    if inside is not None:
        inside.calls.append(call)
