"""A report that is asked for over HTTP: whose it may be, and in which format it is given."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from common.database.engine import engine, read
from common.function import HTML, JSON, Call, Reply
from common.problems import FieldError, Forbidden, InvalidRequest
from common.security import audit
from common.security.keyring import key_ring
from common.security.principal import ALL_TENANTS, Principal
from common.settings import settings
from functions.cost_report.cloud_bill import cloud_bill
from functions.cost_report.costs import focus_rows, ledger_rows
from functions.cost_report.focus import Account, focus_csv
from functions.cost_report.periods import period_of
from functions.cost_report.report import Wanted, build

if TYPE_CHECKING:
    from functions.cost_report.asked import Format, ReportQuery
    from functions.cost_report.models import Report

CSV = "text/csv"
MOST_ROWS = 50_000  # some 30 MB: an answer of Cloud Run has at most 32

_FORMATS: "dict[str, Format]" = {JSON: "json", HTML: "html", CSV: "csv"}


def report(call: Call[None], now: datetime | None = None) -> Reply:
    """The report that `call.query` asks for, in the format that it names, or else in the one that Accept does.

    Raises:
        InvalidRequest: there is no such period, or it has more rows than a CSV in one answer takes.
        Forbidden: it is about a tenant whose costs the principal may not see.
        DatabaseUnavailable: nothing can be told, or the look at what is not one's own not be noted.
    """
    query: ReportQuery = call.query
    at = now or datetime.now(UTC)
    tenant = tenant_of(call.principal, query.tenant)
    wanted = Wanted(period=period_of(query.period, at), tenant=tenant, group_by=query.group_by)
    format_ = query.format or _FORMATS[call.content_type]
    if tenant != call.principal.tenant:
        note_read(
            wanted,
            format_,
            actor=call.principal.id,
            tenant=call.principal.tenant,
            request_id=call.correlation.request_id,
        )
    if format_ == "csv":
        return Reply(content=csv_of(wanted, most=MOST_ROWS), content_type=CSV)
    found = report_of(wanted, at)
    if format_ == "html":
        from functions.cost_report.page import render

        return Reply(content=render(found, nonce=call.nonce), content_type=HTML)
    return Reply(status=HTTPStatus.OK, body=found)


def tenant_of(principal: Principal, wanted: str | None) -> str | None:
    """Whose costs are told: those of `wanted`, or of all (None), where the principal sees them; else its own tenant's.

    Raises:
        Forbidden: `wanted` is another tenant, and only the own one may be seen.
    """
    if principal.may(ALL_TENANTS):
        return wanted
    if wanted not in {None, principal.tenant}:
        raise Forbidden(f"Another tenant's costs are for those who have the scope {ALL_TENANTS}.")
    return principal.tenant


def report_of(wanted: Wanted, now: datetime) -> "Report":
    """The report from this instance's database and billing export."""
    ring = key_ring()  # before the transaction: what is not made yet is made in one of its own
    bill = cloud_bill(wanted.period, wanted.tenant)
    with read(engine()) as connection:
        return build(connection, wanted, ring=ring, bill=bill, now=now)


def csv_of(wanted: Wanted, *, most: int | None = None) -> bytes:
    """The period's days of the ledger in FOCUS columns.

    Raises:
        InvalidRequest: there are more than `most` rows.
    """
    with read(engine()) as connection:
        rows = ledger_rows(connection, wanted.period.start, wanted.period.end, wanted.tenant)
    if most is not None and len(rows) > most:
        reason = f"has {len(rows):,} rows, and a CSV in one answer at most {most:,}: ask for less, or use loancheck"
        raise InvalidRequest(f"The period {reason}.", errors=[FieldError(pointer="/period", detail=reason)])
    return focus_csv(focus_rows(rows), account())


def account() -> Account:
    """Who pays, as FOCUS wants it told: the ledger knows no billing account, so it is this service."""
    return Account(id=settings().service_name, name=settings().service_name)


def note_read(wanted: Wanted, format_: str, *, actor: str, tenant: str, request_id: str | None) -> None:
    """Note in the audit that `actor` of `tenant` looks at what others cost: first this, then the look."""
    event = audit.Event(
        tenant=tenant if wanted.tenant is None else wanted.tenant,
        actor=actor,
        action="report.read",
        target=f"tenant:{wanted.tenant}" if wanted.tenant is not None else "all tenants",
        outcome="done",
        request_id=request_id,
        facts={"period": wanted.period.label, "format": format_},
    )
    audit.record_alone(event)
