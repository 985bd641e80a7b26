"""Calls what functions.json has on a schedule, where no Cloud Scheduler does: a service of compose.yaml.

    python schedule.py [--url 'http://{service}:8080']

It needs API_KEY, a key with the scope events:receive. Times are UTC. What was due while this did not run is not made up
for: the functions do that themselves at the next call. A call that fails is tried again, as Cloud Scheduler does.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heapify, heapreplace
from http import HTTPStatus
from pathlib import Path

import httpx
from cronsim import CronSim, CronSimError
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_chain, wait_fixed

from common.logging import component_logger, setup_logging
from common.settings import InvalidSettings, settings

LIST = Path("functions") / "functions.json"
AWAKE = Path("/tmp/awake")  # noqa: S108  # a container's own; its health check looks at when it was touched
AWAKE_SECONDS = 60.0  # at most between two touches, but for a call
WAITS_SECONDS = (5.0, 30.0, 120.0)  # before a second, third and fourth attempt
ANSWER_SECONDS = 10.0  # beyond the function's own time limit
NO_ANSWER = 0

log = component_logger("function")


class BadCron(ValueError):
    """A schedule that cannot be read; the message names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A function that is called on a schedule: where, when, and how long it may take."""

    function: str
    path: str
    cron: str
    timeout_seconds: int

    def url(self, form: str) -> str:
        return form.format(service=self.function.replace("_", "-")) + self.path


def scheduled(text: str) -> Sequence[Scheduled]:
    """What `text`, which is functions.json, has on a schedule.

    Raises:
        BadCron: names the function.
    """
    found = []
    for one in json.loads(text)["functions"]:
        if schedule := one.get("schedule"):
            cron, seconds = schedule["cron"], one["timeout_seconds"]
            try:
                CronSim(cron, datetime.now(UTC))
            except CronSimError as error:
                raise BadCron(f"functions.json: {one['name']}: schedule.cron: {cron!r}: {error}") from None
            found.append(Scheduled(function=one["name"], path=schedule["path"], cron=cron, timeout_seconds=seconds))
    return found


def due(
    listed: Sequence[Scheduled], now: Callable[[], datetime], sleep: Callable[[float], None]
) -> Iterator[tuple[datetime, Scheduled]]:
    """What is due from now on, as soon as it is; nothing is left out where a call took longer."""
    times = [CronSim(one.cron, now()) for one in listed]
    waiting = [(next(times[number]), number) for number in range(len(listed))]
    heapify(waiting)
    while waiting:
        moment, number = waiting[0]
        while (rest := (moment - now()).total_seconds()) > 0:
            AWAKE.touch()
            sleep(min(rest, AWAKE_SECONDS))
        AWAKE.touch()
        yield moment, listed[number]
        heapreplace(waiting, (next(times[number]), number))


def call(one: Scheduled, form: str, key: str, sleep: Callable[[float], None]) -> bool:
    """Whether the call was taken, at the latest after the last attempt. What is refused as wrong is not tried again."""
    attempts = Retrying(
        retry=retry_if_result(_may_pass),
        wait=wait_chain(*map(wait_fixed, WAITS_SECONDS)),
        stop=stop_after_attempt(1 + len(WAITS_SECONDS)),
        sleep=sleep,
        retry_error_callback=_last_status,
    )
    status = attempts(_status, one, form, key)
    if not _is_taken(status):
        log.error("schedule.given_up", function=one.function, status=status)
        return False
    log.info("schedule.called", function=one.function, status=status)
    return True


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://{service}:8080", help="where a function is, but for its path")
    form: str = parser.parse_args(arguments).url
    try:
        key, listed = settings().api_key, scheduled(LIST.read_text(encoding="utf-8"))
        if key is None:
            raise InvalidSettings("API_KEY: must be a key with the scope events:receive")
    except (InvalidSettings, BadCron) as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command for people
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # a container's first process dies of no signal by itself
    setup_logging()
    log.info("schedule.started", count=len(listed))
    for _, one in due(listed, lambda: datetime.now(UTC), time.sleep):
        call(one, form, key.get_secret_value(), time.sleep)
    return 0


def _status(one: Scheduled, form: str, key: str) -> int:
    """Of the answer; `NO_ANSWER` where there was none. A redirect is not followed: the key stays here."""
    AWAKE.touch()
    error_type = None
    try:
        timeout = one.timeout_seconds + ANSWER_SECONDS
        status = httpx.post(one.url(form), headers={"X-API-Key": key}, timeout=timeout).status_code
    except httpx.HTTPError as error:
        status, error_type = NO_ANSWER, type(error).__name__
    if not _is_taken(status):
        log.warning("schedule.failed", function=one.function, status=status, error_type=error_type)
    return status


def _is_taken(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _may_pass(status: int) -> bool:
    passing = {NO_ANSWER, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
    return status in passing or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _last_status(state: RetryCallState) -> int:
    status: int = state.outcome.result() if state.outcome is not None else NO_ANSWER
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
