"""Whether what a function needs is there: checks side by side, each with its own deadline.

A check runs in a daemon thread of its own and may take as long as it likes: a report waits for it until the deadline
and no longer. A check that still runs is not started again, so what hangs holds one thread. What it says late is kept:
a component that failed last and does not answer now is told as failed, one that worked last as `timed out`.
"""

import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.health_runs import Check, CheckedComponent, ComponentHealth, Fact, Fault, Finding, Status
from common.logging import component_logger
from common.settings import Settings, settings

__all__ = [
    "Check", "ComponentHealth", "Fact", "Fault", "Finding", "HealthChecker", "HealthReport", "Status",
    "init_health_checker", "is_draining", "last_checker", "new_checker",
]  # fmt: skip

Observer = Callable[[str, bool, float], None]
"""Told of each check: the component's name, whether it is healthy, and how many seconds the check took."""

log = component_logger("health")

_last: "HealthChecker | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """All components, in the order in which they were added.

    `unhealthy` where a component is without which nothing can be answered (`needed`), else `degraded` where any
    component is not healthy.
    """

    components: Mapping[str, ComponentHealth]
    needed: frozenset[str]

    @property
    def status(self) -> Status:
        found = {one.status for name, one in self.components.items() if name in self.needed}
        if "unhealthy" in found:
            return "unhealthy"
        return "healthy" if all(one.status == "healthy" for one in self.components.values()) else "degraded"

    def of_needed(self) -> "HealthReport":
        """The same of the needed components alone."""
        kept = {name: one for name, one in self.components.items() if name in self.needed}
        return HealthReport(components=kept, needed=self.needed)


class HealthChecker:
    """Components and their checks; safe to share between threads. Nothing runs until the first report."""

    def __init__(
        self,
        *,
        timeout_seconds: float = 0.08,
        cache_seconds: float = 5.0,
        observe: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._cache_seconds = cache_seconds
        self._observe = observe
        self._clock = clock
        self._components: dict[str, CheckedComponent | Finding] = {}
        self._needed: set[str] = set()
        self._lock = threading.Lock()
        self._report: tuple[HealthReport, float] | None = None
        _all.add(self)

    def add(
        self,
        name: str,
        check: Check,
        *,
        needed: bool,
        keep_seconds: float = 0.0,
        facts: Mapping[str, Fact] | None = None,
    ) -> None:
        """Check `name` by `check`. `facts` go before what the check finds.

        An outcome may be told again for `keep_seconds`, where asking is not free; from half of that on it is asked
        for again without waiting.
        """
        self._components[name] = CheckedComponent(name, check, keep_seconds, facts or {}, self._clock)
        if needed:
            self._needed.add(name)

    def note(self, name: str, detail: str, **facts: Fact) -> None:
        """Name a component that needs no check, such as one that is not configured."""
        self._components[name] = Finding(detail=detail, facts=facts)

    def report(self) -> HealthReport:
        """What is the matter now, or was `cache_seconds` ago; takes no longer than `timeout_seconds`."""
        asked = self._clock()
        with self._lock:
            # Whoever waited here for another one's report takes that one: it is younger than the question.
            if self._report is None or self._report[1] + self._cache_seconds < asked:
                self._report = self._check_all(), self._clock()
            return self._report[0]

    def _check_all(self) -> HealthReport:
        asked = self._clock()
        for component in self._components.values():
            if isinstance(component, CheckedComponent):
                component.begin()
        found = {name: self._health_of(one, asked) for name, one in self._components.items()}
        self._tell(found)
        return HealthReport(components=found, needed=frozenset(self._needed))

    def _reset(self) -> None:
        """In a forked child no thread of the parent's runs: none gives its lock back, none ends its check."""
        self._lock = threading.Lock()
        for component in self._components.values():
            if isinstance(component, CheckedComponent):
                component.forget_run()

    def _health_of(self, component: CheckedComponent | Finding, asked: float) -> ComponentHealth:
        if isinstance(component, CheckedComponent):
            return component.health(asked, self._timeout_seconds)
        return ComponentHealth(
            status="healthy", detail=component.detail, seconds=None, at=datetime.now(UTC), facts=component.facts
        )

    def _tell(self, found: Mapping[str, ComponentHealth]) -> None:
        """What was kept from the last report is no news, and what was not checked never is."""
        before = self._report[0].components if self._report is not None else {}
        for name, one in found.items():
            last = before.get(name)
            if one.seconds is None or one is last:
                continue
            if self._observe is not None:
                self._observe(name, one.status == "healthy", one.seconds)
            if one.status != (last.status if last is not None else "healthy"):
                write = log.info if one.status == "healthy" else log.warning
                write("health.changed", step=name, status=one.status, reason=one.detail)


_all: "weakref.WeakSet[HealthChecker]" = weakref.WeakSet()


def _reset_in_child() -> None:
    for checker in list(_all):
        checker._reset()


os.register_at_fork(after_in_child=_reset_in_child)


def is_draining() -> bool:
    """Whether this process was told to end and only finishes what it has begun. Under gunicorn and uvicorn only: no
    other server can be asked, and there it is never so.

    The functions' server installs its own SIGTERM handler after the functions are loaded, so ours would never run;
    but the one installed is a method of gunicorn's worker, whose `alive` says it (gunicorn/workers/base.py), or of
    uvicorn's server, whose `should_exit` does (uvicorn/server.py).
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return not getattr(server, "alive", True) or bool(getattr(server, "should_exit", False))


def init_health_checker(db_path: str | Path | None = None, chromadb_path: str | Path | None = None) -> HealthChecker:
    """A checker of what the settings name: database, vector index, Gemini, disk and cache.

    With `db_path` (an SQLite file) or `chromadb_path` (Chroma's folder): of databases and vector indexes these alone,
    and the disk that they are on. `last_checker` remembers it.

    Raises:
        InvalidSettings: a setting cannot be used.
    """
    global _last  # as with logging: the last call counts
    from common.health_checks import add_checks, configured_stores, given_stores

    here = settings()
    if db_path is None and chromadb_path is None:
        stores = configured_stores(here)
    else:
        stores = given_stores(_path(db_path), _path(chromadb_path))
    checker = new_checker(here)
    add_checks(checker, stores, here)
    _last = checker
    return checker


def last_checker() -> HealthChecker | None:
    """What `init_health_checker` gave last in this process; None where nobody has called it."""
    return _last


def new_checker(settings: Settings) -> HealthChecker:
    """A checker without components, bounded by the settings, that tells the metrics what it finds."""
    from common.metrics import metrics_collector

    return HealthChecker(
        timeout_seconds=settings.health_timeout_ms / 1000,
        cache_seconds=settings.health_cache_seconds,
        observe=metrics_collector.set_component,
    )


def _path(given: str | Path | None) -> Path | None:
    return Path(given) if given is not None else None
