"""One health check: run in a thread of its own, waited for until a deadline, its last outcome kept."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from common.logging import component_logger, frames_of

Status = Literal["healthy", "degraded", "unhealthy"]
Fact = str | int | float | bool | None

TIMED_OUT = "timed out"
FAILED = "the check failed"
HANGING_SECONDS = 10.0  # what has not answered for so long is as good as gone
_MOMENT_SECONDS = 0.02  # an instance that stood still between two requests has runs that end as soon as it goes on
_REFRESH_SHARE = 0.5  # of the time that an outcome is kept: from then on it is asked for again, without waiting

log = component_logger("health")


class Fault(Exception):
    """A component does not work as it should; `detail` is in our own words, with nothing of its address or data."""

    def __init__(self, detail: str, *, status: Status = "unhealthy", facts: Mapping[str, Fact] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.facts = facts or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found out about a component that works; `facts` are for operators alone."""

    detail: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)


Check = Callable[[], Finding | str | None]
"""Returns a detail, or nothing, about what works; raises `Fault` about what does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentHealth:
    """One component at one time. `seconds` is how long the check took or was waited for; None: nothing was checked."""

    status: Status
    detail: str | None
    seconds: float | None
    at: datetime
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def duration_ms(self) -> float | None:
        return round(self.seconds * 1000, 1) if self.seconds is not None else None


class CheckedComponent:
    """One check, the outcome of its last run, and the run that is under way."""

    def __init__(
        self, name: str, check: Check, keep_seconds: float, facts: Mapping[str, Fact], clock: Callable[[], float]
    ) -> None:
        self._name = name
        self._check = check
        self._keep_seconds = keep_seconds
        self._facts = facts
        self._clock = clock
        self._run: _Run | None = None
        self._last: tuple[ComponentHealth, float] | None = None  # and when it was there

    def begin(self) -> None:
        """Start a run where one is due and none is under way."""
        if self._run is not None and self._run.ended.is_set():
            self._collect(self._run)
        if self._run is None and not self._is_younger_than(self._keep_seconds * _REFRESH_SHARE):
            self._run = _Run(self._name, self._check, self._facts, self._clock)

    def health(self, asked: float, timeout_seconds: float) -> ComponentHealth:
        """What is the matter, after waiting for the run where nothing is kept that can be told.

        A run has `timeout_seconds` from its own start, and what is overdue already a moment from when it was `asked`.
        """
        run, last = self._run, self._last
        if last is not None and (run is None or self._is_younger_than(self._keep_seconds)):
            return last[0]
        assert run is not None
        deadline = max(run.began + timeout_seconds, asked + _MOMENT_SECONDS)
        if run.ended.wait(max(0.0, deadline - self._clock())):
            return self._collect(run)
        if last is not None and last[0].status == "unhealthy":
            return last[0]
        waited = self._clock() - run.began
        status: Status = "unhealthy" if waited > HANGING_SECONDS else "degraded"
        return ComponentHealth(status=status, detail=TIMED_OUT, seconds=waited, at=datetime.now(UTC), facts=self._facts)

    def forget_run(self) -> None:
        """The run's thread is gone: the next report starts another one."""
        self._run = None

    def _collect(self, run: "_Run") -> ComponentHealth:
        self._last = run.outcome, self._clock()
        self._run = None
        return run.outcome

    def _is_younger_than(self, seconds: float) -> bool:
        return self._last is not None and self._clock() - self._last[1] < seconds


class _Run:
    """One run of a check in a thread of its own. `outcome` is that of a broken check until the run has `ended`."""

    def __init__(self, name: str, check: Check, facts: Mapping[str, Fact], clock: Callable[[], float]) -> None:
        self._name = name
        self._check = check
        self._facts = facts
        self._clock = clock
        self.began = clock()
        self.ended = threading.Event()
        self.outcome = self._outcome("unhealthy", FAILED)
        try:
            threading.Thread(target=self._work, name=f"health-{name}", daemon=True).start()
        except RuntimeError as error:  # no thread to be had: that says nothing about the component
            self._log(error)
            self.outcome = replace(self.outcome, status="degraded")
            self.ended.set()

    def _work(self) -> None:
        try:
            found = self._check()
            finding = found if isinstance(found, Finding) else Finding(detail=found)
            self.outcome = self._outcome("healthy", finding.detail, finding.facts)
        except Fault as fault:
            self.outcome = self._outcome(fault.status, fault.detail, fault.facts)
        except Exception as error:  # noqa: BLE001  # a check that cannot be run is a fault of ours: told, and logged
            self._log(error)
            self.outcome = self._outcome("unhealthy", FAILED)
        finally:
            self.ended.set()

    def _outcome(self, status: Status, detail: str | None, facts: Mapping[str, Fact] | None = None) -> ComponentHealth:
        return ComponentHealth(
            status=status,
            detail=detail,
            seconds=self._clock() - self.began,
            at=datetime.now(UTC),
            facts={**self._facts, **(facts or {})},
        )

    def _log(self, error: Exception) -> None:
        log.error("health.check_failed", step=self._name, error_type=type(error).__name__, frames=frames_of(error))
