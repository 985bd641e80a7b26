"""Whether a candidate does as well as what it replaces: its share of failed requests, and how long they take."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

_RARER = 5  # times, is what lies above the 99th percentile than what lies above the 95th


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Requests that a revision answered within a time; latencies in milliseconds, None where nothing was measured."""

    requests: int
    server_errors: int
    p95_ms: float | None = None
    p99_ms: float | None = None

    @property
    def error_percent(self) -> float:
        """Only of a reading with requests."""
        return 100 * self.server_errors / self.requests

    def __str__(self) -> str:
        if not self.requests:
            return "no requests"
        latency = (
            ""
            if self.p95_ms is None or self.p99_ms is None
            else f", p95 {self.p95_ms:.0f} ms, p99 {self.p99_ms:.0f} ms"
        )
        return f"{self.requests} requests, {self.error_percent:.1f} % failed{latency}"


class Measurements(Protocol):
    """What was measured of the revisions. Figures may come some minutes late."""

    def reading(self, service: str, revision: str, since: datetime.datetime, until: datetime.datetime) -> Reading:
        """The figures of one revision within that time.

        Raises:
            CloudFailed: they cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a candidate is allowed.

    `error_percent` of its requests may fail, whatever the former revision did, and `error_points` percent more than of
    the former's; one failed request alone is no reason. The 95th and 99th percentile of latency may be `latency_factor`
    times the former's and `latency_slack_ms` more; where the former was not asked, they are held to the function's own
    time limit alone. A reading with less than `min_requests` says nothing, and nothing about the 99th percentile, which
    is five times as rare as the 95th, with less than five times as many.
    """

    error_percent: float = 5.0
    error_points: float = 2.0
    latency_factor: float = 1.5
    latency_slack_ms: float = 500.0
    min_requests: int = 50

    def is_enough(self, reading: Reading) -> bool:
        """Whether there were enough requests to judge by."""
        return reading.requests >= max(1, self.min_requests)


def faults(candidate: Reading, former: Reading, limits: Limits, time_limit_ms: float) -> Iterator[str]:
    """In what the candidate is worse than it may be; nothing, too, where there were too few requests to say so."""
    if not limits.is_enough(candidate):
        return
    allowed = limits.error_percent
    if limits.is_enough(former):
        allowed = min(allowed, former.error_percent + limits.error_points)
    if candidate.server_errors > 1 and candidate.error_percent > allowed:
        yield f"{candidate.error_percent:.1f} % of {candidate.requests} requests failed, {allowed:.1f} % are allowed"
    for name, took, took_before, times in (
        ("p95", candidate.p95_ms, former.p95_ms, 1),
        ("p99", candidate.p99_ms, former.p99_ms, _RARER),
    ):
        most = time_limit_ms
        if took_before is not None and former.requests >= times * limits.min_requests:
            most = min(most, took_before * limits.latency_factor + limits.latency_slack_ms)
        if took is not None and took > most and candidate.requests >= times * limits.min_requests:
            yield f"{name} of {candidate.requests} requests was {took:.0f} ms, {most:.0f} ms are allowed"
