"""Periods: each way to ask for one, what is refused and why, and that days are UTC whatever zone the clock is in."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.problems import InvalidRequest
from functions.cost_report.periods import MAX_DAYS, days_so_far, period_of

NOW = datetime(2026, 11, 29, 1, 30, tzinfo=UTC)
DAYS = st.dates(min_value=date(2000, 1, 1), max_value=date(2099, 12, 31))
MOMENTS = st.integers(0, 73 * 365 * 86_400).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(0, seconds)
)
ZONES = st.sampled_from(sorted(available_timezones()))


def refused(text: str, now: datetime = NOW) -> str:
    with pytest.raises(InvalidRequest) as refusal:
        period_of(text, now)
    (error,) = refusal.value.errors
    assert error.pointer == "/period"
    assert refusal.value.detail == f"The period {error.detail}."
    return error.detail


@pytest.mark.parametrize(
    ("text", "first", "end", "days", "is_over"),
    [
        ("1d", "2026-11-29", "2026-11-30", 1, False),
        ("30d", "2026-10-31", "2026-11-30", 30, False),
        ("030d", "2026-10-31", "2026-11-30", 30, False),
        ("mtd", "2026-11-01", "2026-11-30", 29, False),
        ("ytd", "2026-01-01", "2026-11-30", 333, False),
        ("last-month", "2026-10-01", "2026-11-01", 31, True),
        ("2026-11", "2026-11-01", "2026-12-01", 30, False),
        ("2026-10", "2026-10-01", "2026-11-01", 31, True),
        ("2026", "2026-01-01", "2027-01-01", 365, False),
        ("2024", "2024-01-01", "2025-01-01", 366, True),
        ("2024-02", "2024-02-01", "2024-03-01", 29, True),
        ("2024-02-29", "2024-02-29", "2024-03-01", 1, True),
        ("2026-11-05", "2026-11-05", "2026-11-06", 1, True),
        ("2026-11-29", "2026-11-29", "2026-11-30", 1, False),
        ("2026-11-01..2026-11-29", "2026-11-01", "2026-11-30", 29, False),
        ("2026-11-01..2026-11-28", "2026-11-01", "2026-11-29", 28, True),
        ("2026-11-05..2026-11-05", "2026-11-05", "2026-11-06", 1, True),
        ("2026-11-20..2026-12-31", "2026-11-20", "2027-01-01", 42, False),
    ],
)
def test_each_way_to_ask_for_a_period(text: str, first: str, end: str, days: int, is_over: bool) -> None:
    found = period_of(text, NOW)
    assert (found.label, found.days, found.is_over) == (text, days, is_over)
    assert (f"{found.start:%Y-%m-%d}", f"{found.end:%Y-%m-%d}") == (first, end)


def test_last_month_in_january_is_december() -> None:
    assert period_of("last-month", datetime(2026, 1, 1, tzinfo=UTC)).start == datetime(2025, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-11-29..2026-11-01", "ends before it begins"),
        ("2030-01-02..2030-01-01", "ends before it begins"),
        ("0d", "has no day in it: the shortest is 1d"),
        ("2026-11-30", "has not begun yet"),
        ("2026-12", "has not begun yet"),
        ("2027", "has not begun yet"),
        ("9999", "has not begun yet"),
        ("2027-01-01..2027-01-31", "has not begun yet"),
        ("1097d", "is longer than three years (1,096 days)"),
        ("999999999d", "is longer than three years (1,096 days)"),
        ("2023-11-28..2026-11-28", "is longer than three years (1,096 days)"),
        ("2026-01-01..9999-12-31", "is longer than three years (1,096 days)"),
        ("2026-13", "names a day that is in no calendar"),
        ("2026-00", "names a day that is in no calendar"),
        ("2026-02-29", "names a day that is in no calendar"),
        ("2026-02-01..2026-02-30", "names a day that is in no calendar"),
        ("0000", "names a day that is in no calendar"),
        ("24h", "is in whole days, as in 1d; hours are not reported"),
    ],
)
def test_a_period_that_cannot_be_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert refused(text) == reason


@pytest.mark.parametrize(
    "text",
    ["", " ", "30", "d", "-1d", "30 d", "30D", "٣٠d", "week", "MTD", "mtd ", "2026-1", "2026-11-5", "26-11", "20261105",
     "2026-W48", "2026-11-01..", "..2026-11-01", "2026-11..2026-12", "2026-11-01..2026-11-02..2026-11-03",
     "2026-11-01T00:00", "2026-11\n", "30d'; DROP TABLE ledger_days", "9" * 5000 + "d", "=30d", "<b>30d</b>"],
)  # fmt: skip
def test_what_is_no_period_is_told_which_there_are(text: str) -> None:
    reason = refused(text)
    assert reason.startswith("must be one of 30d, mtd, ytd, last-month, 2026, 2026-11")
    assert "DROP" not in reason


def test_three_years_are_the_longest() -> None:
    assert period_of(f"{MAX_DAYS}d", NOW).days == MAX_DAYS
    assert period_of("2023-11-30..2026-11-29", NOW).days == MAX_DAYS


@pytest.mark.parametrize("form", ["30d", "mtd", "ytd", "last-month", "2026", "2026-11"])
def test_every_form_that_the_refusal_names_can_be_asked_for(form: str) -> None:
    assert form in refused("?")
    assert period_of(form, NOW).label == form


@given(first=DAYS, length=st.integers(1, MAX_DAYS), now=MOMENTS)
def test_a_range_is_half_open_between_midnights_and_has_the_days_it_says(
    first: date, length: int, now: datetime
) -> None:
    last = first + timedelta(days=length - 1)
    text = f"{first}..{last}"
    if first > now.date():
        assert refused(text, now) == "has not begun yet"
        return
    found = period_of(text, now)
    assert (found.start, found.end) == (_midnight(first), _midnight(last) + timedelta(days=1))
    assert found.end - found.start == timedelta(days=found.days)
    assert found.days == length
    assert found.is_over == (found.end <= now)


@given(text=st.sampled_from(["1d", "7d", "30d", "365d", "mtd", "ytd", "last-month"]), now=MOMENTS)
def test_a_period_up_to_today_ends_at_the_next_midnight(text: str, now: datetime) -> None:
    found = period_of(text, now)
    assert found.end - found.start == timedelta(days=found.days)
    assert {found.start.time(), found.end.time()} == {datetime.min.time()}
    if text == "last-month":
        assert found.is_over
        assert found.end == _midnight(now.date().replace(day=1))
    else:
        assert not found.is_over
        assert found.end - timedelta(days=1) <= now < found.end


@given(
    text=st.sampled_from(["1d", "30d", "mtd", "ytd", "last-month", "2025", "2025-03", "2025-03-30", "2025-11-02"]),
    now=MOMENTS,
    zone=ZONES,
)
def test_the_zone_of_the_clock_and_its_summer_time_change_nothing(text: str, now: datetime, zone: str) -> None:
    assert period_of(text, now.astimezone(ZoneInfo(zone))) == period_of(text, now)


@given(year=st.integers(2000, 2095))
def test_a_year_has_its_leap_day(year: int) -> None:
    now = datetime(2096, 1, 1, tzinfo=UTC)
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    assert period_of(f"{year}", now).days == 365 + is_leap
    assert period_of(f"{year}-02", now).days == 28 + is_leap
    assert sum(period_of(f"{year}-{month:02}", now).days for month in range(1, 13)) == 365 + is_leap


@given(text=st.text(max_size=40), now=MOMENTS)
def test_whatever_is_asked_for_is_a_period_or_refused(text: str, now: datetime) -> None:
    with suppress(InvalidRequest):
        assert 1 <= period_of(text, now).days <= MAX_DAYS


@pytest.mark.parametrize(
    ("text", "days"), [("2026-11", 29), ("2026-10", 31), ("30d", 30), ("2026-11-29..2026-12-31", 1)]
)
def test_days_so_far_are_those_that_have_begun(text: str, days: int) -> None:
    assert days_so_far(period_of(text, NOW), NOW) == days


def test_today_is_that_of_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert period_of("1d", datetime(2026, 11, 29, 8, 59, tzinfo=tokyo)).start == datetime(2026, 11, 28, tzinfo=UTC)
    assert period_of("1d", datetime(2026, 11, 29, 9, 0, tzinfo=tokyo)).start == datetime(2026, 11, 29, tzinfo=UTC)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
