"""The scheduled run: a period's report goes into the archive, savings are looked for, and people are told.

Each period is done once. What fails is done again by the next call, and nothing is lost by it: the report is made of
the ledger, which stays. So an archive that takes no files costs nothing but time.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from common.archive import AlreadyArchived, Archive, ArchiveUnavailable, archive
from common.costs.governor import lapse
from common.database.engine import DatabaseUnavailable, engine, read, write
from common.function import Call
from common.logging import component_logger
from common.notices import outbox
from common.problems import FieldError, InvalidRequest, Unavailable
from common.security import audit
from common.security.keyring import key_ring
from functions.cost_report.answering import account, tenant_of
from functions.cost_report.asked import ArchivedReport, RunAnswer
from functions.cost_report.cloud_bill import cloud_bill
from functions.cost_report.costs import LedgerDay, focus_rows, ledger_rows
from functions.cost_report.focus import focus_csv
from functions.cost_report.models import Period, Report
from functions.cost_report.notice import notice_of
from functions.cost_report.page import render
from functions.cost_report.periods import period_of
from functions.cost_report.report import Wanted, build
from functions.cost_report.runs import Claim, RunInProgress, claim, expect, finish, give_back, key_of, unfinished
from functions.cost_report.savings import refresh

if TYPE_CHECKING:
    from functions.cost_report.asked import RunRequest

ATTEMPTS = 4  # at one file; the waits between them are 1, 2 and 4 seconds
LEASE_MARGIN = timedelta(seconds=30)  # after its time limit a request is surely over
NOTICE_SECONDS = 60.0
MARGIN_SECONDS = 10.0  # of a request's time, for what is begun at the end of it
MOST_LEFT_OVER = 3  # reports that a run makes up for; those that are left still are the next one's
SAVINGS_PERIOD = "30d"
ONE_DAY = timedelta(days=1)

log = component_logger("cost")


class ReportNotArchived(Unavailable):
    """The archive takes no files now."""

    type = "/problems/report-not-archived"
    title = "The report could not be archived"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One call's run. `tenant` None: about all of them. `clock` gives aware times, `sleep` is there for tests."""

    actor: str
    actor_tenant: str
    request_id: str
    tenant: str | None
    lease: timedelta
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A report and the ledger's days behind it, with those of the period before."""

    report: Report
    rows: Sequence[LedgerDay]
    before: Sequence[LedgerDay]


def run(
    call: "Call[RunRequest]",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> RunAnswer:
    """Archive the reports that are due, and tell people of each.

    Raises:
        InvalidRequest: the period is none, or is not over.
        RunInProgress: another request makes the same report.
        ReportNotArchived: the archive takes no files; the next call does it again.
        DatabaseUnavailable: what is done by then stays done.
    """
    now = clock()
    left = call.deadline - time.monotonic()
    this = Run(
        actor=call.principal.id,
        actor_tenant=call.principal.tenant,
        request_id=call.correlation.request_id,
        tenant=tenant_of(call.principal, None),
        lease=timedelta(seconds=max(left, 0)) + LEASE_MARGIN,
        clock=clock,
        sleep=sleep,
    )
    periods = due(call.body.period, now)
    if call.body.period is None:
        periods += _left_over(this, periods, now)
    expect(engine(), [key_of(period.label, this.tenant) for period in periods])
    lost = _lapsed(now)
    try:
        reports = _reports(this, periods)
    finally:  # of those that are made people are told, also where the next one fails
        seconds = min(NOTICE_SECONDS, max(1.0, call.deadline - time.monotonic() - MARGIN_SECONDS))
        delivered = outbox.deliver_due(seconds, sleep=sleep, clock=clock)
    if this.tenant is not None:
        return RunAnswer(reports=reports, lost_calls=None, notices_waiting=None)
    return RunAnswer(reports=reports, lost_calls=lost, notices_waiting=delivered.waiting)


def due(asked: str | None, now: datetime) -> list[Period]:
    """The periods that a run reports first: the one asked for; else yesterday, and on the first of a month the last.

    Raises:
        InvalidRequest: it is no period, or is not over.
    """
    if asked is not None:
        period = period_of(asked, now)
        if not period.is_over:
            reason = "is not over yet: its report would change"
            raise InvalidRequest(f"The period {reason}.", errors=[FieldError(pointer="/period", detail=reason)])
        return [period]
    yesterday = now.astimezone(UTC).date() - ONE_DAY
    labels = [yesterday.isoformat()]
    if (yesterday + ONE_DAY).day == 1:
        labels.append(f"{yesterday:%Y-%m}")
    return [period_of(label, now) for label in labels]


def _left_over(this: Run, due: Sequence[Period], now: datetime) -> list[Period]:
    """Periods whose report an earlier run has left undone, as one that was killed, or that the archive refused, and
    those that came after such a one."""
    with read(engine()) as connection:
        labels = unfinished(connection, now - this.lease, this.tenant, MOST_LEFT_OVER)
    known = {period.label for period in due}
    return [period_of(label, now) for label in labels if label not in known]


def before(period: Period) -> tuple[datetime, datetime]:
    """Where the period before begins and ends: the day, or the calendar month."""
    last_day = period.start - ONE_DAY
    is_month = len(period.label) == len("2026-11")
    return (last_day.replace(day=1) if is_month else last_day), period.start


def _lapsed(now: datetime) -> int:
    """How many calls have been entered as lost."""
    total = 0
    while some := lapse(engine(), now):
        total += some
    return total


def _reports(this: Run, periods: Sequence[Period]) -> list[ArchivedReport]:
    """What became of each; one that another request makes does not keep the others waiting.

    Raises:
        RunInProgress: of one of them, once the others are made.
    """
    reports, in_progress = [], None
    for period in periods:
        try:
            reports.append(_report(this, period))
        except RunInProgress as error:
            in_progress = error
    if in_progress is not None:
        raise in_progress
    return reports


def _report(this: Run, period: Period) -> ArchivedReport:
    ring = key_ring()  # before all transactions: what is not made yet is made in one of its own
    key = key_of(period.label, this.tenant)
    mine = claim(engine(), key, secrets.token_hex(16), this.clock(), this.lease)
    if not isinstance(mine, Claim):
        return ArchivedReport(period=period.label, is_new=False, files=dict(mine))
    is_done = False
    try:
        refresh(engine(), period_of(SAVINGS_PERIOD, this.clock()), this.tenant, this.clock())
        made = _made(this, period)
        files, made = _archived(this, made)
        now = this.clock()
        with write(engine()) as connection:
            finish(connection, mine, files, now)
            outbox.put(connection, notice_of(made.report, made.rows, made.before, key=key, files=files), now)
            audit.record(connection, _event(this, period, "done", files), ring=ring)
        is_done = True
    except ArchiveUnavailable as error:
        log.error("report.not_archived", period=period.label, reason=type(error.__cause__).__name__)
        audit.record_alone(_event(this, period, "failed", {}))
        raise ReportNotArchived(
            "The archive takes no files. The report is not lost: the next call makes it again from the ledger."
        ) from error
    finally:
        if not is_done:
            _give_back(mine)
    log.info("report.archived", period=period.label, count=len(files))
    return ArchivedReport(period=period.label, is_new=True, files=files)


def _made(this: Run, period: Period) -> Made:
    bill = cloud_bill(period, this.tenant)
    wanted = Wanted(period=period, tenant=this.tenant)
    with read(engine()) as connection:
        return Made(
            report=build(connection, wanted, ring=None, bill=bill, now=this.clock()),
            rows=ledger_rows(connection, period.start, period.end, this.tenant),
            before=ledger_rows(connection, *before(period), this.tenant),
        )


def _archived(this: Run, made: Made) -> tuple[dict[str, str], Made]:
    """Where the three files are, by name, and what they say.

    Of a run that was cut short some may be there: they stay. The JSON goes first, and the page is made of that one, so
    that they tell the same whichever run wrote them. One that an older version wrote, in fields of its own, stays too.
    """
    to = archive()
    folder = "reports/all" if this.tenant is None else f"reports/tenants/{this.tenant}"
    stem = f"{folder}/{made.report.period.label}"
    files: dict[str, str] = {}
    if not _kept(this, to, files, f"{stem}.json", lambda: made.report.model_dump_json().encode()):
        try:
            made = replace(made, report=Report.model_validate_json(to.read(f"{stem}.json")))
        except ValidationError:
            log.warning("report.of_older_version", period=made.report.period.label)
    _kept(this, to, files, f"{stem}.csv", lambda: focus_csv(focus_rows(made.rows), account()))
    _kept(this, to, files, f"{stem}.html", lambda: render(made.report, nonce=None))
    return files, made


def _kept(this: Run, to: Archive, files: dict[str, str], name: str, content: Callable[[], bytes]) -> bool:
    """Whether `name` is written now; if not, it was there.

    Raises:
        ArchiveUnavailable: it refuses, however often it is asked.
    """
    whole = content()
    files[name] = to.location(name)
    for attempt in Retrying(
        retry=retry_if_exception_type(ArchiveUnavailable),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(),
        sleep=this.sleep,
        reraise=True,
    ):
        with attempt:
            try:
                to.write_new(name, whole)
            except AlreadyArchived:
                # The attempt before may have come through, and only its answer not.
                return to.read(name) == whole
    return True


def _give_back(mine: Claim) -> None:
    with suppress(DatabaseUnavailable):  # then it is over by itself with its lease; what was amiss before is told
        give_back(engine(), mine)


def _event(this: Run, period: Period, outcome: audit.Outcome, files: Mapping[str, str]) -> audit.Event:
    return audit.Event(
        tenant=this.actor_tenant if this.tenant is None else this.tenant,
        actor=this.actor,
        action="report.run",
        target="all tenants" if this.tenant is None else f"tenant:{this.tenant}",
        outcome=outcome,
        request_id=this.request_id,
        facts={"period": period.label, "files": sorted(files)},
    )
