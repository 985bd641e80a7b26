"""The report: everything that `functions.cost_report.models.Report` says, from the ledger and what stands beside it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from common.settings import settings
from functions.cost_report.anomalies import Use, anomalies
from functions.cost_report.budget_states import budget_states
from functions.cost_report.cloud_bill import CloudBill
from functions.cost_report.costs import (
    Answers,
    LedgerDay,
    Sum,
    answers_by_day_and_agent,
    by_day,
    by_dimension,
    divided,
    ledger_rows,
    plain,
    share_percent,
)
from functions.cost_report.forecast import DayCost, forecast
from functions.cost_report.models import Day, Dimension, Forecast, Period, Report, Savings, Totals
from functions.cost_report.periods import days_so_far
from functions.cost_report.roi import assumptions_of, roi
from functions.cost_report.savings.storage import stored
from functions.cost_report.top_questions import dearest_questions, top_questions

if TYPE_CHECKING:
    from common.security.keyring import KeyRing

HISTORY = timedelta(days=120)  # before the period: what is usual is told by it
ONE_DAY = timedelta(days=1)
WITHOUT_WORDS = "Questions are told without their words here, which would outlive their deletion in an archive."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the report is about. `tenant` None: all of them."""

    period: Period
    tenant: str | None
    group_by: Dimension = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the database has of it: the ledger's days from `HISTORY` before the period on, and those within it."""

    with_history: Sequence[LedgerDay]
    rows: Sequence[LedgerDay]
    answers: Mapping[tuple[date, str], Answers]


def build(connection: Connection, wanted: Wanted, *, ring: "KeyRing | None", bill: CloudBill, now: datetime) -> Report:
    """The report as the database stands at `now`, in one transaction of it, so that all its parts agree. Without a
    `ring` the words of questions are left out."""
    read = _read(connection, wanted)
    period, tenant = wanted.period, wanted.tenant
    # The forecast imports and computes while the database searches; nothing else asks the connection meanwhile.
    with ThreadPoolExecutor(1) as beside:
        searched = beside.submit(copy_context().run, dearest_questions, connection, period.start, period.end, tenant)
        foreseen = _forecast(read.with_history, period, now)
        dearest = searched.result()
    days = by_day(read.rows)
    totals = _totals(days.values(), read.answers.values(), bill)
    groups = by_dimension(read.rows)
    savings = stored(connection, tenant)
    return Report(
        generated_at=now,
        tenant=tenant,
        period=period,
        group_by=wanted.group_by,
        totals=totals,
        days=_days(period, days, read.answers, bill, now),
        groups=groups[wanted.group_by],
        by=dict(groups),
        budgets=budget_states(connection, now, tenant),
        anomalies=anomalies(_uses(read.with_history), first=period.start.date(), last=_last_day(period, now)),
        top_questions=top_questions(connection, ring, dearest, period.start, period.end, tenant),
        savings=savings,
        roi=roi(
            _answered_by_agent(read.answers),
            model_cost_usd=totals.cost_usd,
            cloud_cost_usd=totals.cloud_cost_usd,
            period=period,
            now=now,
            assumptions=assumptions_of(settings()),
        ),
        notes=[*_notes(wanted, totals, bill, savings), *([] if ring is not None else [WITHOUT_WORDS])],
        forecast=foreseen,
    )


def _read(connection: Connection, wanted: Wanted) -> Read:
    start, end = wanted.period.start, wanted.period.end
    with_history = ledger_rows(connection, start - HISTORY, end, wanted.tenant)
    return Read(
        with_history=with_history,
        rows=[row for row in with_history if row.day >= start.date()],
        answers=answers_by_day_and_agent(connection, start, end, wanted.tenant),
    )


def _totals(days: Iterable[Sum], answers: Iterable[Answers], bill: CloudBill) -> Totals:
    whole, counted = Sum(), Answers()
    for one in days:
        whole.join(one)
    for given in answers:
        counted.add(given.answers, given.answered)
    return Totals(
        cost_usd=plain(whole.cost_usd),
        cloud_cost_usd=bill.total_usd,
        calls=whole.calls,
        unpriced_calls=whole.unpriced_calls,
        lost_calls=whole.lost_calls,
        lost_usd_at_most=plain(whole.lost_usd),
        answers=counted.answers,
        answered=counted.answered,
        usd_per_answer=divided(whole.cost_usd, counted.answers),
        usd_per_1000_answers=divided(whole.cost_usd, counted.answers, of=1_000),
        cached_share_percent=share_percent(whole.cached_input, whole.input),
        tokens=whole.tokens(),
    )


def _days(
    period: Period,
    days: Mapping[date, Sum],
    answers: Mapping[tuple[date, str], Answers],
    bill: CloudBill,
    now: datetime,
) -> list[Day]:
    """All days that have begun, also those without a call."""
    answers_of: defaultdict[date, int] = defaultdict(int)
    for (day, _), given in answers.items():
        answers_of[day] += given.answers
    first = period.start.date()
    all_days = [first + ONE_DAY * number for number in range(days_so_far(period, now))]
    return [_day(day, days.get(day) or Sum(), answers_of[day], bill) for day in all_days]


def _day(day: date, one: Sum, answers: int, bill: CloudBill) -> Day:
    return Day(
        day=day,
        cost_usd=plain(one.cost_usd),
        cloud_cost_usd=None if bill.by_day is None else bill.by_day.get(day),
        calls=one.calls,
        answers=answers,
        unpriced_calls=one.unpriced_calls,
    )


def _forecast(rows: Sequence[LedgerDay], period: Period, now: datetime) -> Forecast | None:
    history = [DayCost(day=day, cost_usd=one.cost_usd) for day, one in by_day(rows).items()]
    return forecast(history, now=now, period=period)


def _uses(rows: Sequence[LedgerDay]) -> Iterator[Use]:
    sums: defaultdict[tuple[date, str, str], Sum] = defaultdict(Sum)
    for row in rows:
        sums[row.day, row.principal, row.model].add(row)
    for (day, principal, model), one in sums.items():
        tokens = one.input + one.output + one.thinking + one.tool
        yield Use(day=day, principal=principal, model=model, calls=one.calls, tokens=tokens, cost_usd=one.cost_usd)


def _last_day(period: Period, now: datetime) -> date:
    return period.start.date() + ONE_DAY * (days_so_far(period, now) - 1)


def _answered_by_agent(answers: Mapping[tuple[date, str], Answers]) -> Mapping[str, int]:
    by_agent: defaultdict[str, int] = defaultdict(int)
    for (_, agent), given in answers.items():
        by_agent[agent] += given.answered
    return by_agent


def _notes(wanted: Wanted, totals: Totals, bill: CloudBill, savings: Savings) -> Iterator[str]:
    if not totals.calls and not totals.answers:
        yield "Nothing was called and nothing answered in this period: there is nothing to pay for."
    if wanted.tenant is not None:
        yield (
            f"This is about the tenant {wanted.tenant} alone. The cloud's bill and budgets over all tenants are not "
            "in it; the platform's cost in the ROI is that of all."
        )
    if priced := totals.unpriced_calls - totals.lost_calls:
        yield f"Calls without a known price: {priced:,}. What they cost is in no sum."
    if totals.lost_calls:
        yield (
            f"Calls that were begun and never heard of again: {totals.lost_calls:,}. They may have cost up to "
            f"{totals.lost_usd_at_most:f} USD, which is in no sum."
        )
    if bill.note is not None:
        yield bill.note
    if savings.found_at is None:
        yield "No savings have been looked for yet: the scheduled run does that, or `loancheck cost savings`."
    if not wanted.period.is_over:
        yield "The period is not over: its last day so far is today, which goes on until midnight UTC."
