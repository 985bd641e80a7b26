"""The period of a report, as it is asked for in the address: `30d`, `2026-11`, `mtd`. Days are UTC."""

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta

from common.problems import FieldError, InvalidRequest
from functions.cost_report.models import Period

MAX_DAYS = 1_096  # three years, one of them a leap year
FORMS = "30d, mtd, ytd, last-month, 2026, 2026-11, 2026-11-05 or 2026-11-01..2026-11-29"

_ONE_DAY = timedelta(days=1)
_LAST_DAYS = re.compile(r"[0-9]{1,9}d")
_HOURS = re.compile(r"[0-9]{1,9}h")
_YEAR = re.compile(r"[0-9]{4}")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RANGE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.\.([0-9]{4}-[0-9]{2}-[0-9]{2})")

_Days = tuple[date, date]  # the first and the last, both in it


def period_of(text: str, now: datetime) -> Period:
    """The period that `text` asks for at `now`, which has a time zone: which one makes no difference.

    `30d` are the last 30 days, today among them; `mtd` and `ytd` the month and the year up to and with today;
    `last-month` the whole month before this one. A year, a month, a day and two days joined by `..`, both of them in
    it, are as the calendar has them, and may reach into the future as long as they have begun.

    Raises:
        InvalidRequest: it is none of these, ends before it begins, has no day, more than `MAX_DAYS` or only days that
            are still to come; the field is "/period".
    """
    today = now.astimezone(UTC).date()
    first, last = _days(text, today)
    if last < first:
        raise _refused("ends before it begins")
    if first > today:
        raise _refused("has not begun yet")
    if (last - first).days >= MAX_DAYS:
        raise _too_long()
    end = _midnight(last + _ONE_DAY)
    return Period(label=text, start=_midnight(first), end=end, days=(last - first).days + 1, is_over=end <= now)


def days_so_far(period: Period, now: datetime) -> int:
    """How many of the period's days have begun by `now`: all of them once it is over."""
    today = now.astimezone(UTC).date()
    return max(0, min(period.days, (today - period.start.date()).days + 1))


def _days(text: str, today: date) -> _Days:
    named = _NAMED.get(text)
    if named is not None:
        return named(today)
    if _LAST_DAYS.fullmatch(text):
        return _last_days(int(text[:-1]), today)
    if _HOURS.fullmatch(text):
        raise _refused("is in whole days, as in 1d; hours are not reported")
    try:
        return _of_calendar(text)
    except ValueError:  # the thirteenth month, the thirtieth of February
        raise _refused("names a day that is in no calendar") from None


def _last_days(count: int, today: date) -> _Days:
    if count == 0:
        raise _refused("has no day in it: the shortest is 1d")
    if count > MAX_DAYS:
        raise _too_long()
    return today - timedelta(days=count - 1), today


def _of_calendar(text: str) -> _Days:
    if _YEAR.fullmatch(text):
        return date(int(text), 1, 1), date(int(text), 12, 31)
    if _MONTH.fullmatch(text):
        return _month_of(date.fromisoformat(f"{text}-01"))
    if _DAY.fullmatch(text):
        return date.fromisoformat(text), date.fromisoformat(text)
    ends = _RANGE.fullmatch(text)
    if ends is None:
        raise _refused(f"must be one of {FORMS}")
    return date.fromisoformat(ends[1]), date.fromisoformat(ends[2])


def _month_of(day: date) -> _Days:
    return day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])


_NAMED: Mapping[str, Callable[[date], _Days]] = {
    "mtd": lambda today: (today.replace(day=1), today),
    "ytd": lambda today: (today.replace(month=1, day=1), today),
    "last-month": lambda today: _month_of(today.replace(day=1) - _ONE_DAY),
}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _too_long() -> InvalidRequest:
    return _refused(f"is longer than three years ({MAX_DAYS:,} days)")


def _refused(reason: str) -> InvalidRequest:
    """`reason` goes on from the field's name; what was asked for is left out, for it is the caller's own text."""
    return InvalidRequest(f"The period {reason}.", errors=[FieldError(pointer="/period", detail=reason)])
