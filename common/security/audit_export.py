"""Audit events in the archive: files of JSON lines, which nobody writes over, with each event's signature.

They outlive the database, can be checked without it, and are checkpoints that its chain must pass through. A file's
name tells which events it holds: `audit/000000000001-000000000250.jsonl`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

from sqlalchemy import Connection, Engine, select

from common.archive import AlreadyArchived, Archive
from common.database.engine import read
from common.database.tables import audit_events
from common.security.audit import Event, canonical
from common.security.audit_chain import BrokenLink, Entry, Mac, Verified, Walk, entries, newest

FOLDER = "audit"
EVENTS_PER_FILE = 10_000  # some 5 MB
_NAME = re.compile(r"audit/([0-9]{12})-([0-9]{12})\.jsonl")
_PREVIOUS = "previous"  # the signature of the event before


class ChainForked(Exception):
    """The archive holds another chain than the database: one of them was changed, or an old one was restored.

    `broken` says where that shows first. Nothing is exported until somebody has looked into it.
    """

    def __init__(self, broken: BrokenLink) -> None:
        super().__init__(str(broken))
        self.broken = broken


class ExportedFile(NamedTuple):
    """A file in the archive, with the numbers of its first and last event as its name tells them."""

    first: int
    last: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What one export wrote: `files` with the events from `first` to `last`; none where there was nothing new."""

    files: tuple[str, ...] = ()
    first: int = 0
    last: int = 0


def export(engine: Engine, archive: Archive) -> Exported:
    """Write all events since the last export into the archive. `exported_event` is what to record of it.

    May be broken off and called again, and by several at once: files of the same name are the same. That an export
    took place is nothing new to export: where only such events came since the last one, nothing is written.

    Raises:
        ChainForked: the archive does not fit the database.
        ArchiveUnavailable, DatabaseUnavailable: what is written so far stays.
    """
    known = exported_files(archive)
    last = max((file.last for file in known), default=0)
    before = _checkpoint(archive, known, last) if known else ""
    first, names = last + 1, []
    while True:
        with read(engine) as connection:
            if _signature_of(connection, last) != before:
                raise ChainForked(BrokenLink(number=last, reason="forked"))
            chunk = list(entries(connection, above=last, limit=EVENTS_PER_FILE))
        if all(entry.action == "audit.exported" for entry in chunk):
            break
        names.append(_write(archive, chunk, before))
        last, before = chunk[-1].number, chunk[-1].signature
    return Exported(files=tuple(names), first=first, last=last) if names else Exported()


def exported_event(exported: Exported, *, tenant: str, actor: str) -> Event:
    """The event that tells of an export which wrote something."""
    facts = {"first": exported.first, "last": exported.last, "files": len(exported.files)}
    return Event(
        tenant=tenant, actor=actor, action="audit.exported", target=exported.files[-1], outcome="done", facts=facts
    )


def exported_files(archive: Archive) -> list[ExportedFile]:
    """All exported files, by their first event. Other files in the folder are passed over."""
    found = filter(None, map(_NAME.fullmatch, archive.names(FOLDER)))
    return sorted(ExportedFile(int(match[1]), int(match[2]), match[0]) for match in found)


def newest_checkpoint(archive: Archive) -> dict[int, str]:
    """Number and signature of the last event that was exported, as it stands there; empty where none was."""
    known = exported_files(archive)
    last = max((file.last for file in known), default=0)
    return {last: _checkpoint(archive, known, last)} if known else {}


def verify_exports(archive: Archive, mac: Mac) -> tuple[Verified | BrokenLink, dict[int, str]]:
    """Check every exported file by itself and with those before it: the outcome, and a checkpoint for each good file.

    One file is in memory at a time. Files may overlap, where two exports ran at once.
    """
    covered, signature = 0, ""
    checkpoints: dict[int, str] = {}
    for file in exported_files(archive):
        if file.first > covered + 1:
            return BrokenLink(number=covered + 1, reason="missing"), checkpoints
        lines = list(_lines(archive.read(file.name), file.first))
        before = lines[0][1] if lines else ""
        if file.first == covered + 1 and before != signature:
            return BrokenLink(number=file.first, reason="changed"), checkpoints
        walk = Walk(mac).behind(file.first - 1, before)
        broken = walk.through(entry for entry, _ in lines)
        if broken is None and walk.number != file.last:
            broken = BrokenLink(number=min(walk.number, file.last) + 1, reason="missing")
        if broken is not None:
            return broken, checkpoints
        checkpoints[file.last] = walk.signature
        if file.last > covered:
            covered, signature = file.last, walk.signature
    return Verified(events=covered, signature=signature), checkpoints


def unarchived(connection: Connection, last: int) -> BrokenLink | None:
    """What the chain says was exported, beyond the event `last`, with which the archive ends."""
    found = newest(connection, 1, action="audit.exported")
    exported = json.loads(found[0].facts).get("last", 0) if found else 0
    return BrokenLink(number=last + 1, reason="not archived") if exported > last else None


def _write(archive: Archive, chunk: Sequence[Entry], before: str) -> str:
    """Write `chunk` as one file, whose events follow the one with the signature `before`; its name."""
    name = f"{FOLDER}/{chunk[0].number:012d}-{chunk[-1].number:012d}.jsonl"
    lines = []
    for entry in chunk:
        lines.append(canonical({**asdict(entry), _PREVIOUS: before}) + "\n")
        before = entry.signature
    content = "".join(lines).encode()
    try:
        archive.write_new(name, content)
    except AlreadyArchived:
        if archive.read(name) != content:
            raise ChainForked(BrokenLink(number=chunk[0].number, reason="forked")) from None
    return name


def _signature_of(connection: Connection, number: int) -> str:
    """The signature of the event `number`; empty for none, as there is before the first."""
    statement = select(audit_events.c.signature).where(audit_events.c.number == number)
    return connection.execute(statement).scalar() or ""


def _checkpoint(archive: Archive, known: Sequence[ExportedFile], last: int) -> str:
    """The signature that the archive holds of the event `last`, as it stands there; empty where it holds none."""
    name = next(file.name for file in known if file.last == last)
    lines = list(_lines(archive.read(name), 0))
    return lines[-1][0].signature if lines else ""


def _lines(content: bytes, first: int) -> Iterator[tuple[Entry, str]]:
    """Events as they were exported, each with the signature of the one before. What is no event fits no signature."""
    for number, line in enumerate(content.splitlines(), start=first):
        yield _parsed(line) or (Entry(number=number, **dict.fromkeys(_TEXTS, "")), "")


_TEXTS = tuple(one.name for one in fields(Entry) if one.name != "number")


def _parsed(line: bytes) -> tuple[Entry, str] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if (
        not isinstance(found, Mapping)
        or set(found) != {"number", _PREVIOUS, *_TEXTS}
        or type(found["number"]) is not int
    ):
        return None
    return Entry(number=found["number"], **{name: found[name] for name in _TEXTS}), str(found[_PREVIOUS])
