"""When a candidate is worse than what it replaces."""

import pytest

from infra.deploy.watching import Limits, Reading, faults

TIME_LIMIT_MS = 60_000.0
NOBODY_ASKED = Reading(requests=0, server_errors=0)


def reading(requests: int = 1000, server_errors: int = 0, p95_ms: float = 100, p99_ms: float = 200) -> Reading:
    return Reading(requests=requests, server_errors=server_errors, p95_ms=p95_ms, p99_ms=p99_ms)


def found(candidate: Reading, former: Reading) -> list[str]:
    return list(faults(candidate, former, Limits(), TIME_LIMIT_MS))


@pytest.mark.parametrize(
    ("candidate", "former"),
    [
        (reading(), reading()),
        (reading(server_errors=20), reading()),  # 2.0 %
        (reading(server_errors=50), reading(server_errors=40)),
        (reading(p95_ms=650, p99_ms=800), reading()),
        (reading(requests=49, server_errors=49), reading()),  # too few to say so
        (reading(requests=50, server_errors=1), reading()),  # 2.0 % of them, but one alone
        (reading(requests=249, p99_ms=5_000), reading()),  # two or three requests lie above its 99th percentile
        (reading(p95_ms=50_000, p99_ms=60_000), NOBODY_ASKED),
        (NOBODY_ASKED, reading()),
    ],
)
def test_as_good_as_before_is_good_enough(candidate: Reading, former: Reading) -> None:
    assert found(candidate, former) == []


@pytest.mark.parametrize(
    ("candidate", "former", "said"),
    [
        (reading(server_errors=21), reading(), "2.1 % of 1000 requests failed, 2.0 % are allowed"),
        (reading(server_errors=51), reading(server_errors=500), "5.1 % of 1000 requests failed, 5.0 % are allowed"),
        (reading(server_errors=51), NOBODY_ASKED, "5.1 % of 1000 requests failed, 5.0 % are allowed"),
        (reading(p95_ms=651), reading(), "p95 of 1000 requests was 651 ms, 650 ms are allowed"),
        (reading(p99_ms=801), reading(), "p99 of 1000 requests was 801 ms, 800 ms are allowed"),
        (reading(p99_ms=60_001), NOBODY_ASKED, "p99 of 1000 requests was 60001 ms, 60000 ms are allowed"),
    ],
)
def test_worse_than_allowed_is_said_in_figures(candidate: Reading, former: Reading, said: str) -> None:
    assert found(candidate, former) == [said]


def test_a_reading_says_what_was_measured() -> None:
    assert str(reading(server_errors=15)) == "1000 requests, 1.5 % failed, p95 100 ms, p99 200 ms"
    assert str(Reading(requests=4, server_errors=0)) == "4 requests, 0.0 % failed"
    assert str(NOBODY_ASKED) == "no requests"
