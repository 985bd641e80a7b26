"""`loancheck audit verify | export | list`: the audit chain, for whoever examines it."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from common.security.principal import DEFAULT_TENANT
from local.refusal import Refused

if TYPE_CHECKING:  # the database comes with the command that needs it, not with `loancheck --help`
    from common.security.audit_chain import BrokenLink, Entry, Verified

BROKEN = 1
ACTOR = "cli"

app = typer.Typer(help="Check, export and list what was audited.", rich_markup_mode=None)


class BadSearch(Refused):
    """An option of `list` that says nothing that could be looked for."""


@app.command()
def verify(
    archive: Annotated[bool, typer.Option("--archive", help="Check every exported file too.")] = False,
) -> None:
    """Walk through the whole chain, and name the first broken link.

    Exit code 0: all is as it was recorded. 1: it is not. 2: it cannot be checked.
    """
    found = _verified(with_files=archive)
    typer.echo(str(found))
    if not found.holds:
        raise typer.Exit(BROKEN)


@app.command()
def export() -> None:
    """Write the events since the last export into the archive.

    Exit code 0: done, or nothing is new. 1: the archive holds another chain. 2: it cannot be done.
    """
    from common.archive import archive
    from common.database.engine import engine
    from common.security.audit import record_alone
    from common.security.audit_export import ChainForked, exported_event
    from common.security.audit_export import export as write

    try:
        exported = write(engine(), archive())
    except ChainForked as error:
        typer.echo(str(error))
        raise typer.Exit(BROKEN) from None
    if not exported.files:
        typer.echo("Nothing is new since the last export.")
        return
    record_alone(exported_event(exported, tenant=DEFAULT_TENANT, actor=ACTOR))
    for name in exported.files:
        typer.echo(name)
    typer.echo(f"Exported the events {exported.first} to {exported.last}.")


@app.command("list")
def list_events(
    since: Annotated[
        str | None, typer.Option(help="Only from this time on, as 2026-11-28 or 2026-11-28T09:30.")
    ] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, as key.created.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, instead of a table.")] = False,
) -> None:
    """List events, oldest first; times in UTC. Nothing is checked here."""
    found = _recent(_time(since), _known(action), limit)
    if as_json:
        for entry in found:
            typer.echo(_line(entry))
    else:
        typer.echo(table(found))


def table(found: "Iterable[Entry]") -> str:
    """Events as aligned columns, one line each."""
    rows = [("NUMBER", "AT", "TENANT", "ACTOR", "ACTION", "OUTCOME", "TARGET", "FACTS")]
    rows += [
        (
            str(entry.number), entry.at[:19], entry.tenant, entry.actor, entry.action, entry.outcome, entry.target,
            entry.facts,
        )
        for entry in found
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _verified(*, with_files: bool) -> "Verified | BrokenLink":
    """The database's chain against what was exported, and with `with_files` all of that as well."""
    from common.archive import archive
    from common.database.engine import engine, read
    from common.security.audit_chain import verify as walk
    from common.security.audit_export import newest_checkpoint, unarchived, verify_exports
    from common.security.keyring import key_ring

    mac = key_ring().mac
    checkpoints = newest_checkpoint(archive())
    if with_files:
        outcome, checkpoints = verify_exports(archive(), mac)
        if not outcome.holds:
            return outcome
    with read(engine()) as connection:
        found = walk(connection, mac, checkpoints)
        return (unarchived(connection, max(checkpoints, default=0)) or found) if found.holds else found


def _recent(since: datetime | None, action: str | None, limit: int) -> "Sequence[Entry]":
    from common.database.engine import engine, read
    from common.security.audit_chain import newest

    with read(engine()) as connection:
        return newest(connection, limit, since=since, action=action)


def _line(entry: "Entry") -> str:
    from dataclasses import asdict

    return json.dumps(asdict(entry))


def _known(action: str | None) -> str | None:
    from common.security.audit import ACTIONS

    if action is not None and action not in ACTIONS:
        raise BadSearch(f"there is no such action; there are: {', '.join(sorted(ACTIONS))}")
    return action


def _time(since: str | None) -> datetime | None:
    """The time that is meant; UTC where it does not say otherwise."""
    if since is None:
        return None
    try:
        found = datetime.fromisoformat(since)
    except ValueError:
        raise BadSearch("--since: no time as in 2026-11-28 or 2026-11-28T09:30") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
