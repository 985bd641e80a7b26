"""`loancheck cost savings`: where money could be saved, by what calls, and whether that is so."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from common.logging import setup_logging
from common.settings import settings
from local.printable import on_one_line
from local.refusal import Refused
from local.tables import printed, table_of

if TYPE_CHECKING:
    from functions.cost_report.savings.replayed import Replay, Side
    from functions.cost_report.savings.storage import Stored
    from local.replaying import Again, Preview, Question

NOT_KNOWN = "not known"
SAMPLE = 20
NO_REPLAY = "the embedded model answers on both lanes and costs nothing: there is nothing to replay"


def savings_command(
    period: Annotated[
        str,
        typer.Option(
            help="Days in UTC: 30d, mtd, ytd, last-month, 2026, 2026-11, 2026-11-05 or 2026-11-01..2026-11-29."
        ),
    ] = "30d",
    tenant: Annotated[str | None, typer.Option(help="Only this tenant; without it each of them.")] = None,
    entries: Annotated[
        str | None, typer.Option(help="Print the numbers of all ledger entries behind a finding.", metavar="FINDING")
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(help="Ask some of a finding's questions again, on the cheap lane; it costs.", metavar="FINDING"),
    ] = None,
    sample: Annotated[int, typer.Option(help="How many questions --replay asks.", min=1, max=1000)] = SAMPLE,
    yes: Annotated[bool, typer.Option("--yes", help="Spend what --replay costs without asking first.")] = False,
) -> None:
    """Look where money could be saved, keep what is found, and show it.

    Exit code 0: done. 2: it cannot be done, as a replay without a paid model.
    """
    setup_logging(log_level="CRITICAL")  # its lines would stand between those of a table
    if entries is not None and replay is not None:
        raise Refused("--entries and --replay: give one of them")
    if entries is not None:
        _print_entries(entries, tenant)
    elif replay is not None:
        _replay(replay, tenant, sample, is_agreed=yes)
    else:
        _analyse(period, tenant)


def _analyse(period: str, tenant: str | None) -> None:
    from common.database.engine import engine, read
    from common.security.principal import is_tenant
    from functions.cost_report.periods import period_of
    from functions.cost_report.savings import refresh
    from functions.cost_report.savings.storage import stored_findings

    if tenant is not None and not is_tenant(tenant):
        raise Refused("--tenant: is 1 to 64 of a-z, 0-9, _ and -, and begins with a letter or digit")
    now = datetime.now(UTC)
    refresh(engine(), period_of(period, now), tenant, now)
    with read(engine()) as connection:
        found = stored_findings(connection, tenant)
    typer.echo(findings_in_words(found), nl=False)


def _print_entries(finding_id: str, tenant: str | None) -> None:
    from common.database.engine import engine, read
    from functions.cost_report.savings.storage import entry_ids_of

    _known(finding_id, tenant)
    with read(engine()) as connection:
        ids = entry_ids_of(connection, finding_id)
    sys.stdout.write("".join(f"{one}\n" for one in ids))


def _replay(finding_id: str, tenant: str | None, size: int, *, is_agreed: bool) -> None:
    from common.database.engine import engine, read, write
    from common.security.keyring import key_ring
    from functions.cost_report.savings.storage import entry_ids_of, keep_replay
    from functions.query.answering import service
    from local import replaying

    if not settings().has_gemini:
        raise Refused(NO_REPLAY)
    kept = _known(finding_id, tenant)
    if not kept.finding.can_be_replayed:
        raise Refused(f"{finding_id}: only findings of the cheaper lane can be replayed")
    with read(engine()) as connection:
        ids = entry_ids_of(connection, finding_id)
    questions = replaying.sample(engine(), key_ring(), kept.tenant, finding_id, ids, size)
    ready = service()
    _agree(preview_in_words(len(questions), replaying.preview(ready, questions)), is_agreed=is_agreed)
    _note(kept, len(questions))
    asked = _asked(replaying.replay(ready, kept.tenant, questions))
    if not asked:
        raise Refused("no question got an answer that could be measured: their calls' outcomes are in the ledger")
    done = replaying.measured(ready, asked, datetime.now(UTC))
    with write(engine()) as connection:
        is_kept = keep_replay(connection, finding_id, done)
    typer.echo(replay_in_words(done, len(questions)), nl=False)
    if not is_kept:
        raise Refused(f"{finding_id}: an analysis has replaced the finding meanwhile, so the result is not kept")
    typer.echo(findings_in_words([_known(finding_id, tenant)]), nl=False)


def _known(finding_id: str, tenant: str | None) -> "Stored":
    """
    Raises:
        Refused: there is no such finding, as the last analysis has it.
    """
    from common.database.engine import engine, read
    from functions.cost_report.savings.storage import stored_finding

    with read(engine()) as connection:
        kept = stored_finding(connection, finding_id, tenant)
    if kept is None:
        raise Refused(f"{on_one_line(finding_id)}: there is no such finding; loancheck cost savings lists them")
    return kept


def _agree(words: str, *, is_agreed: bool) -> None:
    """Nothing is spent without a yes.

    Raises:
        Refused: nobody gave it.
    """
    typer.echo(words)
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise Refused("nothing was asked: --yes agrees to the cost")
    if not typer.confirm("Ask them?"):
        raise Refused("nothing was asked")


def _note(kept: "Stored", questions: int) -> None:
    """That questions of the tenant are asked again is in the audit first."""
    from common.security import audit
    from local.state import CLI

    audit.record_alone(
        audit.Event(
            tenant=kept.tenant,
            actor=CLI,
            action="savings.replayed",
            target=f"finding:{kept.finding.id}",
            outcome="done",
            facts={"questions": questions},
        )
    )


def _asked(replayed: "Iterator[tuple[Question, Again | None]]") -> "list[tuple[Question, Again]]":
    """Those that got an answer; a budget that is spent ends it early, and what was asked till then counts."""
    from common.costs.governor import BudgetSpent

    asked: list[tuple[Question, Again]] = []
    try:
        for question, again in replayed:
            if again is not None:
                asked.append((question, again))
    except BudgetSpent as error:
        typer.echo(f"loancheck: the budget {error.budget} allows no more questions", err=True)
    return asked


def findings_in_words(found: "Sequence[Stored]") -> str:
    """A table of the findings, and each one's evidence below it."""
    if not found:
        return "Nothing was found that would save enough to tell.\n"
    rows = [
        (
            one.finding.id, one.tenant, _usd(one.finding.usd_per_month), one.finding.how_certain,
            f"{one.finding.entries:,}", one.finding.title,
        )
        for one in found
    ]  # fmt: skip
    heads = ("FINDING", "TENANT", ">USD IN 30 DAYS", "HOW CERTAIN", ">CALLS", "WHAT")
    parts = [printed(table_of(heads, rows))]
    for one in found:
        lines = [one.finding.id, f"  {one.finding.advice}"]
        lines += [f"  {name}: {value}" for name, value in one.finding.evidence.items()]
        parts.append("".join(f"{on_one_line(line)}\n" for line in lines))
    parts.append("Two findings may speak of the same calls: their amounts do not add up.\n")
    return "\n".join(parts)


def preview_in_words(questions: int, cost: "Preview") -> str:
    return (
        f"Asking {questions} questions again costs about {_usd(cost.likely_usd)} USD, "
        f"and {_usd(cost.at_most_usd)} USD where every round and attempt is needed."
    )


def replay_in_words(done: "Replay", drawn: int) -> str:
    """Both lanes side by side."""
    heads = ("LANE", "MODEL", ">ACCEPTED", ">MEAN SCORE", ">USD", ">USD A QUESTION")
    rows = [
        _lane_row("default, in earnest", done.default, done.questions),
        _lane_row("cheap, replayed", done.cheap, done.questions),
    ]
    unanswered = drawn - done.questions
    left_out = f"{unanswered} of {drawn} questions got no answer that could be measured.\n" if unanswered else ""
    return printed(table_of(heads, rows)) + left_out


def _lane_row(lane: str, side: "Side", questions: int) -> Sequence[str]:
    score = NOT_KNOWN if side.score is None else f"{side.score:.3f}"
    each = side.cost_usd / questions
    return (lane, side.model, f"{side.accepted} of {questions}", score, _usd(side.cost_usd), f"{each:.9f}")


def _usd(amount: Decimal | None) -> str:
    """Cents, or the first digits of less than one."""
    if amount is None:
        return NOT_KNOWN
    return f"{amount:,.2f}" if amount == 0 or abs(amount) >= 1 else f"{amount:,.6f}"
