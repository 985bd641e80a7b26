"""Calls what functions.json has on a schedule, where no Cloud Scheduler does: a service of compose.yaml.

    python schedule.py [--url 'http://{service}:8080']

It needs API_KEY, a key with the scope events:receive. Times are UTC. What was due while this did not run is not made up
for: the functions do that themselves at the next call. A call that fails is tried again, as Cloud Scheduler does.
"""

import argparse
import http.client
import json
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.logging import component_logger, setup_logging
from common.settings import InvalidSettings, settings

LIST = Path("functions") / "functions.json"
AWAKE = Path("/tmp/awake")  # noqa: S108  # a container's own; its health check looks at when it was touched
WAITS_SECONDS = (5.0, 30.0, 120.0)  # before a second, third and fourth attempt
MINUTE = timedelta(minutes=1)
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))  # of minute, hour, day, month, weekday; 0 and 7 are Sunday

log = component_logger("function")


class BadCron(ValueError):
    """A schedule that cannot be read; the message names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """When something is due: the values that each of the five fields takes."""

    fields: tuple[frozenset[int], ...]
    days_are_either: bool
    """Where both day and weekday are restricted, one of them is enough."""

    @classmethod
    def of(cls, text: str) -> "Cron":
        """`text` as in `30 6 * * 1-5`: numbers, ranges, lists and steps.

        Raises:
            BadCron: anything else.
        """
        parts = text.split()
        if len(parts) != len(_RANGES):
            raise BadCron(f"schedule.cron: {text!r} must have five fields")
        fields = tuple(_values(part, *bounds) for part, bounds in zip(parts, _RANGES, strict=True))
        return cls(fields=fields, days_are_either=parts[2] != "*" and parts[4] != "*")

    def is_due(self, moment: datetime) -> bool:
        minutes, hours, days, months, weekdays = self.fields
        day, weekday = moment.day in days, bool({moment.isoweekday(), moment.isoweekday() % 7} & weekdays)
        is_the_day = day or weekday if self.days_are_either else day and weekday
        return moment.minute in minutes and moment.hour in hours and moment.month in months and is_the_day


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A function that is called on a schedule: where, when, and how long it may take."""

    function: str
    path: str
    cron: Cron
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
            try:
                cron = Cron.of(schedule["cron"])
            except BadCron as error:
                raise BadCron(f"functions.json: {one['name']}: {error}") from None
            seconds = one["timeout_seconds"]
            found.append(Scheduled(function=one["name"], path=schedule["path"], cron=cron, timeout_seconds=seconds))
    return found


def call(one: Scheduled, form: str, key: str, sleep: Callable[[float], None]) -> bool:
    """Whether the call was taken, at the latest after the last attempt. What is refused as wrong is not tried again."""
    for attempt, wait in enumerate((*WAITS_SECONDS, None), start=1):
        AWAKE.touch()
        status, error_type = _post(one.url(form), key, one.timeout_seconds + 10)
        if status and status < http.client.BAD_REQUEST:
            log.info("schedule.called", function=one.function, status=status, attempt=attempt)
            return True
        may_pass = not status or status >= http.client.INTERNAL_SERVER_ERROR or status == http.client.TOO_MANY_REQUESTS
        tell = log.warning if may_pass and wait else log.error
        tell("schedule.failed", function=one.function, status=status, error_type=error_type, attempt=attempt)
        if not may_pass or wait is None:
            break
        sleep(wait)
    return False


def minutes(now: Callable[[], datetime], sleep: Callable[[float], None]) -> Iterator[datetime]:
    """Every minute from the next one on as soon as it has begun, none left out when a call took longer."""
    minute = now().replace(second=0, microsecond=0) + MINUTE
    while True:
        while (rest := (minute - now()).total_seconds()) > 0:
            sleep(rest)
        AWAKE.touch()
        yield minute
        minute += MINUTE


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://{service}:8080", help="where a function is, but for its path")
    form: str = parser.parse_args(arguments).url
    try:
        key, due = settings().api_key, scheduled(LIST.read_text(encoding="utf-8"))
        if key is None:
            raise InvalidSettings("API_KEY: must be a key with the scope events:receive")
    except (InvalidSettings, BadCron) as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command for people
        return 2
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(0)
    )  # the first process of a container dies of no signal by itself
    setup_logging()
    AWAKE.touch()
    log.info("schedule.started", count=len(due))
    for minute in minutes(lambda: datetime.now(UTC), time.sleep):
        for one in due:
            if one.cron.is_due(minute):
                call(one, form, key.get_secret_value(), time.sleep)
    return 0


def _post(url: str, key: str, timeout_seconds: float) -> tuple[int, str]:
    """The status, 0 where there was no answer; and what went wrong then."""
    request = urllib.request.Request(url, method="POST", headers={"X-API-Key": key})  # noqa: S310  # ours
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310
            return response.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except (OSError, http.client.HTTPException) as error:
        return 0, type(error).__name__


def _values(field: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        try:
            begin, end, every = int(first), int(last or (high if step else first)), int(step or 1)
        except ValueError:
            raise BadCron(f"schedule.cron: {field!r} is not of numbers, *, -, / and commas") from None
        if not low <= begin <= end <= high or every < 1:
            raise BadCron(f"schedule.cron: {field!r} must be within {low} and {high}")
        found.update(range(begin, end + 1, every))
    return frozenset(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
