"""What people are told of a report: what was spent, what drove it, where the report is."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from common.notices.notice import MAX_LINE, MAX_LINK, Notice, one_line
from functions.cost_report.amounts import in_usd
from functions.cost_report.costs import LedgerDay
from functions.cost_report.drivers import drivers
from functions.cost_report.models import Report

KIND = "report"
MOST_ANOMALIES = 3

_BROWSED = "https://storage.cloud.google.com/"  # where a browser opens an object of gs://, signed in


def notice_of(
    report: Report, rows: Sequence[LedgerDay], before: Sequence[LedgerDay], *, key: str, files: Mapping[str, str]
) -> Notice:
    """A short notice of `report`, with the link to its page among `files`. `rows` are the ledger's days of its period,
    `before` those of the one before it; `key` names period and tenant."""
    whose = "" if report.tenant is None else f", {report.tenant}"
    return Notice(
        kind=KIND,
        key=f"{KIND}:{key}",
        subject=f"Cost report {report.period.label}{whose}: {in_usd(report.totals.cost_usd)}",
        lines=tuple(one_line(line, MAX_LINE) for line in _lines(report, rows, before)),
        link=_link(files),
    )


def _lines(report: Report, rows: Sequence[LedgerDay], before: Sequence[LedgerDay]) -> Iterator[str]:
    totals = report.totals
    spent_before = sum((row.cost_usd for row in before), Decimal(0))
    yield (
        f"{in_usd(totals.cost_usd)} for {totals.calls:,} calls and {totals.answers:,} answers; "
        f"{in_usd(spent_before)} in the period before."
    )
    if totals.cloud_cost_usd is not None:
        yield f"The cloud's bill: {in_usd(totals.cloud_cost_usd)}."
    if totals.unpriced_calls:
        yield f"Calls whose cost is not known, and in no sum: {totals.unpriced_calls:,}."
    changes = drivers(rows, before)
    if changes:
        yield "What changed most:"
        yield from (f"- {one}" for one in changes)
    else:
        yield "Nothing changed against the period before."
    for one in report.anomalies[:MOST_ANOMALIES]:
        cost, expected = in_usd(one.cost_usd), in_usd(one.expected_usd)
        yield f"Unusual: {one.day}, {one.subject}: {cost} instead of {expected}; {one.driver}."
    if report.savings.findings:
        dearest = report.savings.findings[0]
        yield f"Could be saved: {in_usd(dearest.usd_per_month)} a month. {dearest.title}"


def _link(files: Mapping[str, str]) -> str | None:
    """Where the page is; none where that is longer than a notice takes, as a folder's name might be."""
    where = next(place for name, place in files.items() if name.endswith(".html"))
    if where.startswith("gs://"):
        where = _BROWSED + where.removeprefix("gs://")
    return where if len(where) <= MAX_LINK else None
