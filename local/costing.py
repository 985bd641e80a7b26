"""`loancheck cost report | preview | budgets | roi | reverse`: the bill, on this machine's own database.

`loancheck cost savings` is in `local.saving`.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.logging import setup_logging
from common.settings import settings
from local.printable import on_one_line, printable
from local.refusal import Refused
from local.tables import printed, table_of

if TYPE_CHECKING:
    from functions.cost_report.models import Group, Report
    from functions.cost_report.report import Wanted

ACTOR = "cli"
NOT_KNOWN = "not known"
MOST_QUESTIONS_SHOWN = 10
FORMATS = ("table", "json", "csv", "html")

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PeriodOption = Annotated[
    str,
    typer.Option(help="Days in UTC: 30d, mtd, ytd, last-month, 2026, 2026-11, 2026-11-05 or 2026-11-01..2026-11-29."),
]
TenantOption = Annotated[str | None, typer.Option(help="Only this tenant; without it all of them.")]


@app.callback()
def quiet() -> None:
    """See what models cost, and correct the ledger."""
    setup_logging(log_level="CRITICAL")  # its lines would stand between those of a table, or of JSON


@app.command("report")
def report_command(
    period: PeriodOption = "30d",
    group_by: Annotated[str, typer.Option(help="tenant, principal, agent, step, model or route.")] = "model",
    output_format: Annotated[str, typer.Option("--format", help="table, json, csv (FOCUS 1.2) or html.")] = "table",
    tenant: TenantOption = None,
    out: Annotated[Path | None, typer.Option(help="New file to write to. Without it: stdout.", metavar="FILE")] = None,
) -> None:
    """Show what a period has cost."""
    from functions.cost_report.answering import csv_of, report_of

    if output_format not in FORMATS:
        raise Refused(f"--format: must be one of {', '.join(FORMATS)}")
    now = datetime.now(UTC)
    wanted = _wanted(period, group_by, tenant, now)
    _audited(wanted, output_format)
    if output_format == "csv":
        _give(csv_of(wanted).decode(), out)
        return
    found = report_of(wanted, now)
    if output_format == "json":
        _give(f"{found.model_dump_json(indent=2)}\n", out)
    elif output_format == "html":
        from functions.cost_report.page import render

        _give(render(found, nonce=None).decode(), out)
    else:
        _give(report_in_words(found), out)


@app.command("preview")
def preview_command(
    question: Annotated[str, typer.Argument(help="The question, in plain words.")],
    url: Annotated[str | None, typer.Option(help="Where the emulator listens; without it HOST and PORT.")] = None,
) -> None:
    """Ask the running emulator what a question would cost, on each lane; no model is asked."""
    from local.asking import ask

    where = url or f"http://{settings().host}:{settings().port}"
    typer.echo(preview_in_words(ask(where, question, settings().api_key, dry_run=True)), nl=False)


@app.command("budgets")
def budgets_command(tenant: TenantOption = None) -> None:
    """Show how far each budget is spent in its present period."""
    from common.database.engine import engine, read
    from functions.cost_report.budget_states import budget_states

    with read(engine()) as connection:
        states = budget_states(connection, datetime.now(UTC), tenant)
    if not states:
        typer.echo("There are no budgets: BUDGET_FILE names a file with some.")
        return
    rows = [
        (one.id, one.scope, one.period, _usd(one.amount_usd), _usd(one.spent_usd), _usd(one.held_usd),
         f"{one.used_percent:.1f} %", one.state, _minute(one.resets_at))
        for one in states
    ]  # fmt: skip
    heads = ("BUDGET", "SCOPE", "PERIOD", ">AMOUNT USD", ">SPENT USD", ">HELD USD", ">USED", "STATE", "RESETS AT (UTC)")
    typer.echo(printed(table_of(heads, rows)), nl=False)


@app.command("roi")
def roi_command(period: PeriodOption = "30d", tenant: TenantOption = None) -> None:
    """Show what answers are worth beside what they cost, and what that rests on."""
    from functions.cost_report.answering import report_of

    now = datetime.now(UTC)
    wanted = _wanted(period, "model", tenant, now)
    _audited(wanted, "table")
    typer.echo(roi_in_words(report_of(wanted, now)), nl=False)


@app.command("reverse")
def reverse_command(
    entry: Annotated[int, typer.Argument(help="The entry's number.", min=1, metavar="ENTRY")],
) -> None:
    """Take back an entry of the ledger, by another one: nothing is changed or deleted there."""
    from common.costs.ledger import reverse
    from common.database.engine import engine, write
    from common.security import audit
    from common.security.keyring import key_ring

    ring = key_ring()  # before the transaction: what is not made yet is made in one of its own
    with write(engine()) as connection:
        reversal = reverse(connection, entry, datetime.now(UTC))
        event = audit.Event(
            tenant=reversal.tenant,
            actor=ACTOR,
            action="ledger.reversed",
            target=f"entry:{entry}",
            outcome="done",
            facts={"cost_usd": None if reversal.cost_usd is None else f"{reversal.cost_usd:f}"},
        )
        audit.record(connection, event, ring=ring)
    amount = NOT_KNOWN if reversal.cost_usd is None else f"{reversal.cost_usd:f} USD"
    typer.echo(f"Entry {entry} is taken back: {amount} in the ledger, today.")


def report_in_words(report: "Report") -> str:
    """The report as tables for a terminal: the totals, the costs by what was asked for, and what stands out."""
    totals = report.totals
    whose = "all tenants" if report.tenant is None else f"tenant {report.tenant}"
    summary = [
        ("Models", _usd(totals.cost_usd)),
        ("Cloud", _usd(totals.cloud_cost_usd)),
        ("Calls", f"{totals.calls:,}"),
        ("without a known price", f"{totals.unpriced_calls:,}"),
        ("Answers", f"{totals.answers:,}"),
        ("Per answer", _usd(totals.usd_per_answer)),
        ("Per 1,000 answers", _usd(totals.usd_per_1000_answers)),
        ("Cached input", NOT_KNOWN if totals.cached_share_percent is None else f"{totals.cached_share_percent:.1f} %"),
    ]
    tables = [table_of((f"{report.period.label}, {whose}", ">USD"), summary)]
    if report.groups:
        tables.append(table_of(_group_heads(report.group_by), [_group_row(one) for one in report.groups]))
    if report.forecast is not None:
        one = report.forecast
        rows = [(_usd(one.low_usd), _usd(one.total_usd), _usd(one.high_usd), one.method)]
        heads = (">FORECAST, LOW", ">EXPECTED", f">HIGH ({one.confidence_percent} % BETWEEN)", "METHOD")
        tables.append(table_of(heads, rows))
    if report.anomalies:
        anomalies = [
            (one.day, one.subject, _usd(one.cost_usd), _usd(one.expected_usd), one.driver) for one in report.anomalies
        ]
        tables.append(table_of(("UNUSUAL DAY", "WHO", ">USD", ">EXPECTED", "DRIVEN BY"), anomalies))
    if report.top_questions:
        questions = [
            (one.question or "(deleted)", one.agent, f"{one.asked:,}", _usd(one.cost_usd))
            for one in report.top_questions[:MOST_QUESTIONS_SHOWN]
        ]
        tables.append(table_of(("DEAREST QUESTIONS", "AGENT", ">ASKED", ">USD"), questions))
    if report.savings.findings:
        savings = [(one.title, one.how_certain, _usd(one.usd_per_month)) for one in report.savings.findings]
        tables.append(table_of(("COULD BE SAVED", "", ">USD A MONTH"), savings))
    return printed(*tables) + "".join(f"\n{on_one_line(note)}" for note in report.notes) + "\n"


def roi_in_words(report: "Report") -> str:
    """Three cases, and the assumptions behind them."""
    cases = [
        (
            one.case, f"{one.minutes_saved:,.0f}", _usd(one.benefit_usd), _usd(one.cost_usd), _usd(one.net_usd),
            "-" if one.roi_percent is None else f"{one.roi_percent:,.0f} %",
            "never" if one.payback_days is None else f"{one.payback_days:,.0f}",
        )
        for one in report.roi.cases
    ]  # fmt: skip
    heads = (report.period.label, ">MINUTES SAVED", ">BENEFIT", ">COST", ">NET", ">ROI", ">PAID BACK IN DAYS")
    assumptions = [(one.name, one.low, one.base, one.high, one.unit, one.setting) for one in report.roi.assumptions]
    given = table_of(("ASSUMPTION", ">LOW", ">BASE", ">HIGH", "UNIT", "SETTING"), assumptions)
    words = "".join(f"\n{one.case}: {on_one_line(one.in_words)}" for one in report.roi.cases)
    return f"{printed(table_of(heads, cases), given)}{words}\n"


def preview_in_words(preview: dict[str, Any]) -> str:  # Any: JSON of another process
    """What a question would cost on each lane, and what the budgets say to it."""
    lanes = [
        (
            one["lane"], one["model"], f"{one['input_tokens']:,}", f"{one['output_tokens_at_most']:,}",
            _amount(one["usd_likely"]), _amount(one["usd_at_most"]),
        )
        for one in preview["lanes"]
    ]  # fmt: skip
    heads = ("LANE", "MODEL", ">TOKENS IN", ">TOKENS OUT, AT MOST", ">USD, LIKELY", ">USD, AT MOST")
    budget = preview["budget"]
    resets = f", until {budget['resets_at']}" if budget["resets_at"] else ""
    says = f"agent {preview['agent']}, {preview['passages']} passages; budget {budget['state']}{resets}"
    return f"{printed(table_of(heads, lanes))}({on_one_line(says)})\n"


def _wanted(period: str, group_by: str, tenant: str | None, now: datetime) -> "Wanted":
    from common.security.principal import is_tenant
    from functions.cost_report.models import DIMENSIONS
    from functions.cost_report.periods import period_of
    from functions.cost_report.report import Wanted

    dimension = next((one for one in DIMENSIONS if one == group_by), None)
    if dimension is None:
        raise Refused(f"--group-by: must be one of {', '.join(DIMENSIONS)}")
    if tenant is not None and not is_tenant(tenant):
        raise Refused("--tenant: is 1 to 64 of a-z, 0-9, _ and -, and begins with a letter or digit")
    return Wanted(period=period_of(period, now), tenant=tenant, group_by=dimension)


def _audited(wanted: "Wanted", output_format: str) -> None:
    from common.security.principal import DEFAULT_TENANT
    from functions.cost_report.answering import note_read

    note_read(wanted, output_format, actor=ACTOR, tenant=DEFAULT_TENANT, request_id=None)


def _group_heads(dimension: str) -> Sequence[str]:
    return (dimension.upper(), ">USD", ">SHARE", ">CALLS", ">UNPRICED", ">TOKENS IN", ">CACHED", ">OUT", ">THINKING")


def _group_row(one: "Group") -> Sequence[str]:
    tokens = one.tokens
    share = "-" if one.share_percent is None else f"{one.share_percent:.1f} %"
    counts = (one.calls, one.unpriced_calls, tokens.input, tokens.cached_input, tokens.output, tokens.thinking)
    return (one.key or "(none)", _usd(one.cost_usd), share, *(f"{count:,}" for count in counts))


def _usd(amount: Decimal | None) -> str:
    """Exact: what is small counts here."""
    return NOT_KNOWN if amount is None else f"{amount:,f}"


def _amount(given: object) -> str:
    return NOT_KNOWN if given is None else f"{Decimal(str(given)):,f}"


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _give(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo("\n".join(printable(line) for line in text.splitlines()))
        return
    try:
        with os.fdopen(
            os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline=""
        ) as file:
            file.write(text)
    except OSError as error:
        raise Refused(f"{on_one_line(str(out))} cannot be written ({error.strerror}): name a new file") from None
