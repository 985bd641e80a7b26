"""`/health/detailed`: what an operator wants to know first, without addresses, paths, users or errors' words."""

import time
from collections.abc import Mapping
from pathlib import Path

from common.function import Call, Reply
from common.health import HealthChecker, HealthReport, new_checker
from common.health_checks import add_knowledge, configured_stores
from common.metrics import REGISTRY
from common.once import once
from common.settings import settings
from common.telemetry.metric_catalogue import BREAKER_STATE, CACHE_ENTRIES, Metric
from common.telemetry.system_metrics import memory_in_use, started_at
from functions.health.answers import checker, reply

_MB = 1_000_000
_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def detailed(call: Call[None]) -> Reply:
    """All components with their facts, the knowledge base's size, and this process; status code as `/health`."""
    report = checker().report()
    shown = HealthReport(components={**report.components, **knowledge().report().components}, needed=report.needed)
    return reply(call, report.status, shown, process=_process())


@once
def knowledge() -> HealthChecker:
    """Apart from the others: nobody's questions depend on a count, and counting a large knowledge base takes time."""
    made = new_checker(settings())
    add_knowledge(made, configured_stores(settings()))
    return made


def _process() -> Mapping[str, object]:
    """As `functions.health.models.ProcessAnswer`."""
    memory = memory_in_use(_PROC, _CGROUPS)
    return {
        "environment": settings().environment,
        "uptime_seconds": round(time.time() - started_at(_PROC), 1),
        "memory_mb": memory.used // _MB if memory is not None else None,
        "memory_limit_mb": memory.limit // _MB if memory is not None else None,
        "breakers": {labels["breaker"]: labels["state"] for labels, value in _samples(BREAKER_STATE) if value},
        "cache_entries": {labels["cache"]: int(value) for labels, value in _samples(CACHE_ENTRIES)},
    }


def _samples(metric: Metric) -> list[tuple[Mapping[str, str], float]]:
    """Labels and values that this process has for `metric`: whoever has a breaker or a cache keeps them up to date."""
    found = REGISTRY.restricted_registry([metric.name]).collect()
    return [(sample.labels, sample.value) for family in found for sample in family.samples]
