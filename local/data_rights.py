"""`loancheck data export | erase SUBJECT`: what a person may ask for (GDPR 15 and 17, CCPA 1798.105 and 1798.110).

SUBJECT is an e-mail address, a number or a name; `-` reads it from standard input, where neither the shell's history
nor the list of processes keeps it.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from local.printable import printable
from local.refusal import Refused

if TYPE_CHECKING:
    from common.personal_data import Subject
    from common.security.audit import Action, Outcome

MAX_ROUNDS = 5
INCOMPLETE = 1

app = typer.Typer(help="Give out or erase what is kept of a person.", no_args_is_help=True, rich_markup_mode=None)

SubjectArgument = Annotated[
    str,
    typer.Argument(metavar="SUBJECT", help="E-mail address, phone or other number, or name; - reads it from stdin."),
]
TenantOption = Annotated[str, typer.Option(help="Whose data is looked through.")]


class CannotName(Refused):
    """The subject is none, or so short that half of the database would be meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was deleted, by kind; `number` is that of the receipt in the audit. Where it is not complete, so much was
    written about the person meanwhile that some of it may be left."""

    counts: dict[str, int]
    number: int
    is_complete: bool


@app.command("export")
def export_command(
    subject: SubjectArgument,
    tenant: TenantOption = "default",
    output: Annotated[Path | None, typer.Option(help="New file, readable by you alone. Without it: stdout.")] = None,
) -> None:
    """Print all that is kept of a person, as JSON."""
    text = json.dumps(export(_given(subject), tenant), ensure_ascii=False, indent=2) + "\n"
    if output is None:
        sys.stdout.write(printable(text))
        return
    try:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Refused(f"{output} cannot be written ({error.strerror}): name a new file") from None


@app.command("erase")
def erase_command(
    subject: SubjectArgument,
    tenant: TenantOption = "default",
    yes: Annotated[bool, typer.Option("--yes", help="Erase. Without it only what would go is counted.")] = False,
) -> None:
    """Delete all that is kept of a person: turns, kept answers, documents and archived files that speak of them.

    Exit code 0: all of it is gone. 1: more came meanwhile, and may be left.
    """
    who = _given(subject)
    if not yes:
        typer.echo(f"Would erase: {_in_words(counts(who, tenant))}. Nothing is erased without --yes.")
        return
    erased = erase(who, tenant)
    typer.echo(f"Erased: {_in_words(erased.counts)}. The receipt is number {erased.number} of the audit.")
    if not erased.is_complete:
        typer.echo("More was written about the person meanwhile: run this again.", err=True)
        raise typer.Exit(INCOMPLETE)


def export(subject: str, tenant: str) -> dict[str, object]:
    """All that is kept of `subject`; that it was given out is in the audit before it is returned."""
    from common.database.engine import engine, read
    from common.personal_data import Subject, find, give_out
    from common.security.encryption import sealer

    who = Subject(subject)
    found = find(engine(), sealer(), tenant, who)
    with read(engine()) as connection:
        given: dict[str, object] = give_out(connection, sealer(), tenant, found)
    archived = _archived(who)
    _record("person.exported", tenant, who.text, {**found.counts(), "archived": len(archived)})
    return {"subject": who.text, "tenant": tenant, **given, "archived_files": archived}


def counts(subject: str, tenant: str) -> dict[str, int]:
    """How much would be erased, by kind."""
    from common.database.engine import engine
    from common.personal_data import Subject, find
    from common.security.encryption import sealer

    who = Subject(subject)
    return {**find(engine(), sealer(), tenant, who).counts(), "archived": len(_archived(who))}


def erase(subject: str, tenant: str) -> Erased:
    """Delete it, batch by batch; what is written about the person meanwhile is looked for again, and goes too.

    Where it fails, the receipt says so, and what is gone by then. Killed in between, it leaves none. It can be called
    again in either case.
    """
    from common.personal_data import Subject

    who = Subject(subject)
    total = {"turns": 0, "answers": 0, "documents": 0, "keys": 0, "archived": 0}
    is_complete = False
    try:
        is_complete = _erase_stored(who, tenant, total)
        for name in _archived(who):
            _archive_delete(name)
            total["archived"] += 1
        _forget_deleted_text()
    except BaseException:
        _record("person.erased", tenant, who.text, total, outcome="failed")
        raise
    outcome: Outcome = "done" if is_complete else "failed"
    number = _record("person.erased", tenant, who.text, total, outcome=outcome)
    return Erased(counts=total, number=number, is_complete=is_complete)


def _erase_stored(who: "Subject", tenant: str, total: dict[str, int]) -> bool:
    """Delete what the database and its indexes hold, adding to `total` what is gone; whether nothing is left."""
    from common.database.engine import engine
    from common.personal_data import find
    from common.security.encryption import sealer

    for _ in range(MAX_ROUNDS):
        found = find(engine(), sealer(), tenant, who)
        if not found:
            return True
        _erase_rows(tenant, found.turns, found.answers)
        total["turns"] += len(found.turns)
        total["answers"] += len(found.answers)
        _erase_documents(tenant, found.documents)
        total["documents"] += len(found.documents)
        _erase_labels(tenant, found.keys)
        total["keys"] += len(found.keys)
    return False


def _erase_rows(tenant: str, uids: Sequence[str], answers: Sequence[str]) -> None:
    from common.database.engine import engine, write
    from common.knowledge.repair import slices
    from common.personal_data import BATCH, delete_answers, delete_turns

    for some in slices(uids, BATCH):
        with write(engine()) as connection:
            delete_turns(connection, tenant, some)
    for some in slices(answers, BATCH):
        with write(engine()) as connection:
            delete_answers(connection, tenant, some)


def _erase_documents(tenant: str, ids: Sequence[str]) -> None:
    if ids:
        from common.knowledge.store import knowledge_store

        for one in ids:
            knowledge_store().delete(one, tenant=tenant)


def _erase_labels(tenant: str, ids: Sequence[str]) -> None:
    """A key goes on working; only what it was called is gone."""
    if ids:
        from sqlalchemy import update

        from common.database.engine import engine, write
        from common.database.tables import api_keys
        from common.security.encryption import API_KEY_LABEL, row_of, sealer

        with write(engine()) as connection:
            for one in ids:
                sealed = sealer().seal(b"(erased)", API_KEY_LABEL, row_of(tenant, one))
                of_key = (api_keys.c.tenant == tenant) & (api_keys.c.id == one)
                connection.execute(update(api_keys).where(of_key).values(label=sealed))


def _forget_deleted_text() -> None:
    """What SQLite keeps of deleted rows: the full text's old segments, and the write-ahead log."""
    from sqlalchemy import text

    from common.database.engine import empty_log, engine, write

    if engine().dialect.name != "sqlite":
        return
    with write(engine()) as connection:
        connection.execute(text("INSERT INTO chunk_search (chunk_search) VALUES ('optimize')"))
    empty_log(engine())


def _archived(who: "Subject") -> list[str]:
    """Files of the archive that speak of the person; those of the audit hold no personal data and stay."""
    from common.archive import archive

    names = [name for name in archive().names("") if not name.startswith("audit/")]
    return [name for name in names if who.is_in(archive().read(name).decode(errors="replace"))]


def _archive_delete(name: str) -> None:
    from common.archive import archive

    archive().delete(name)


def _record(action: "Action", tenant: str, subject: str, facts: dict[str, int], *, outcome: "Outcome" = "done") -> int:
    """The receipt: the person stands in it as a keyed hash, by which it is found when the same words are given."""
    from common.database.engine import engine, write
    from common.security import audit
    from common.security.keyring import key_ring

    ring = key_ring()
    mark = ring.mac("mark", f"subject:{subject.casefold()}".encode())
    event = audit.Event(
        tenant=tenant, actor="cli", action=action, target=f"subject:{mark[:32]}", outcome=outcome, facts=facts
    )
    with write(engine()) as connection:
        return audit.record(connection, event, ring=ring)


def _given(subject: str) -> str:
    """
    Raises:
        CannotName: it is empty, or has fewer than three letters or digits.
    """
    text = sys.stdin.readline().strip() if subject == "-" else subject.strip()
    if sum(map(str.isalnum, text)) < 3:
        raise CannotName("SUBJECT: name a person by at least three letters or digits")
    return text


def _in_words(found: dict[str, int]) -> str:
    named = {"turns": "turns", "answers": "kept answers", "documents": "documents", "keys": "key labels",
             "archived": "archived files"}  # fmt: skip
    return ", ".join(f"{found[kind]:,} {words}" for kind, words in named.items())
