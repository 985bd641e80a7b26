"""Asking a remote model again, and leaving it alone: retries by tenacity, a circuit breaker by pybreaker.

Only outages count (`ModelError.is_outage`): a time-out, 429, 5xx, a broken connection. Refused credentials, blocked
prompts and unusable answers come back at once, and tell the breaker that the provider is there.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pybreaker import STATE_CLOSED, CircuitBreaker, CircuitBreakerError, CircuitBreakerListener, CircuitMemoryStorage
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from common.llm.chat import ChatAnswer, ChatChunk, ChatModel, ChatRequest, Lane, ModelError
from common.logging import get_logger
from common.metrics import metrics_collector

log = get_logger(__name__)

_JITTER = wait_random_exponential(multiplier=0.25, max=5)  # seconds: 0 to 0.25, 0 to 0.5, 0 to 1, ...

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How often and how long. `sleep` and `clock` (monotonic seconds) are there for tests."""

    attempts: int = 3
    breaker_failures: int = 5  # failed calls in a row, each after all its attempts
    breaker_seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


class Breaker:
    """A circuit breaker whose calls run side by side; safe to share between threads.

    pybreaker holds its lock while a call runs, which would put all model calls in a row. So it only keeps the
    score here: it is asked before a call and told after it. When its rest is over, one call at a time tries.
    """

    def __init__(self, name: str, *, failures: int, seconds: float) -> None:
        self._rest = timedelta(seconds=seconds)
        self._storage = CircuitMemoryStorage(STATE_CLOSED)
        self._breaker = CircuitBreaker(
            fail_max=failures, reset_timeout=seconds, state_storage=self._storage, name=name, listeners=[_LogChanges()]
        )
        self._lock = threading.Lock()
        self._is_trying = False
        metrics_collector.set_breaker_state(name, STATE_CLOSED)

    @property
    def is_open(self) -> bool:
        return self._storage.state != STATE_CLOSED

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around one call. A call that is given up (a closed stream) tells nothing.

        Raises:
            ModelError: at once, while the breaker is open.
        """
        is_trial = self._admit()
        try:
            yield
        except ModelError as error:
            self._tell(error if error.is_outage else None)
            raise
        else:
            self._tell(None)
        finally:
            if is_trial:
                self._is_trying = False

    def _admit(self) -> bool:
        """Whether the call is the trial after a rest."""
        with self._lock:
            if not self.is_open:
                return False
            opened = self._storage.opened_at
            if self._is_trying or (opened is not None and datetime.now(UTC) < opened + self._rest):
                raise ModelError("The model is left alone for a while after repeated failures.", is_unbilled=True)
            self._is_trying = True
            return True

    def _tell(self, failure: ModelError | None) -> None:
        # CircuitBreakerError: this failure opened it, or another call did meanwhile. The caller has its own error.
        with suppress(CircuitBreakerError, ModelError):
            self._breaker.call(_happened, failure)


def _happened(failure: ModelError | None) -> None:
    if failure is not None:
        raise failure


class _LogChanges(CircuitBreakerListener):
    # Any: pybreaker types the states as private classes
    def state_change(self, cb: CircuitBreaker, old_state: Any, new_state: Any) -> None:  # noqa: ARG002  # its signature
        log.warning("model.breaker_changed", breaker=cb.name, outcome=new_state.name)
        metrics_collector.set_breaker_state(cb.name or "", new_state.name.replace("-", "_"))


class _StopBefore(stop_base):
    """No further attempt that would begin at `deadline` or later."""

    def __init__(self, deadline: float, clock: Callable[[], float]) -> None:
        self._deadline = deadline
        self._clock = clock

    def __call__(self, retry_state: RetryCallState) -> bool:
        return self._clock() + retry_state.upcoming_sleep >= self._deadline


class Resilience:
    """Attempts at one remote thing, under one breaker."""

    def __init__(self, name: str, policy: Policy) -> None:
        self._name = name
        self._policy = policy
        self.breaker = Breaker(name, failures=policy.breaker_failures, seconds=policy.breaker_seconds)

    def attempt(self, call: Callable[[float], T], *, timeout_seconds: float) -> T:
        """`call(seconds left)` until it works, at most `Policy.attempts` times and within `timeout_seconds`.

        No wait is begun that would end after the deadline, so a long `retry_after_seconds` gives up at once.
        Use inside `breaker.watching()`.

        Raises:
            ModelError: the last attempt's.
        """
        clock = self._policy.clock
        deadline = clock() + timeout_seconds
        retrying = Retrying(
            retry=retry_if_exception(_is_outage),
            wait=_wait_seconds,
            stop=stop_after_attempt(self._policy.attempts) | _StopBefore(deadline, clock),
            sleep=self._policy.sleep,
            before_sleep=self._log_retry,
            reraise=True,
        )
        return retrying(lambda: call(deadline - clock()))

    def _log_retry(self, state: RetryCallState) -> None:
        log.warning(
            "model.retried",
            model=self._name,
            attempt=state.attempt_number,
            error_type=type(_error(state)).__name__,
            wait_seconds=round(state.upcoming_sleep, 3),
        )


def _is_outage(error: BaseException) -> bool:
    return isinstance(error, ModelError) and error.is_outage


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _wait_seconds(state: RetryCallState) -> float:
    """What the provider asked for, and jitter on top, so that many callers do not come back at one moment."""
    error = _error(state)
    asked = error.retry_after_seconds if isinstance(error, ModelError) else None
    return (asked or 0.0) + _JITTER(state)


class ResilientModel:
    """A `ChatModel` that asks `model` again after an outage and leaves it alone after several, a lane at a time."""

    def __init__(self, model: ChatModel, policy: Policy) -> None:
        self._model = model
        self._lanes = {lane: Resilience(f"{model.provider}/{lane}", policy) for lane in ("default", "cheap")}

    @property
    def provider(self) -> str:
        return self._model.provider

    @property
    def model(self) -> str:
        return self._model.model

    def model_on(self, lane: Lane) -> str:
        return self._model.model_on(lane)

    def generate(self, request: ChatRequest) -> ChatAnswer:
        lane = self._lanes[request.lane]
        with lane.breaker.watching():
            return lane.attempt(
                lambda seconds: self._model.generate(replace(request, timeout_seconds=seconds)),
                timeout_seconds=request.timeout_seconds,
            )

    def stream(self, request: ChatRequest) -> Generator[ChatChunk, None, None]:
        """Asks again only before the first chunk: what has been shown cannot be taken back."""
        lane = self._lanes[request.lane]
        with lane.breaker.watching():
            chunk, rest = lane.attempt(
                lambda seconds: _begun(self._model.stream(replace(request, timeout_seconds=seconds))),
                timeout_seconds=request.timeout_seconds,
            )
            try:
                while chunk.answer is None:
                    yield chunk
                    chunk = next(rest)
            finally:
                rest.close()
        yield chunk  # a caller that has the answer may close the stream: the call has worked all the same


def _begun(chunks: Generator[ChatChunk, None, None]) -> tuple[ChatChunk, Generator[ChatChunk, None, None]]:
    return next(chunks), chunks
