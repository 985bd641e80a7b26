"""The exported chain: written once, in whole, checkable without the database, and what the database is checked by."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text, update

from common.archive import Archive, FolderArchive
from common.database.engine import read, write
from common.database.tables import audit_events, audit_head
from common.security import audit_export
from common.security.audit import Event, record
from common.security.audit_chain import BrokenLink, Verified, verify
from common.security.audit_export import (
    ChainForked,
    Exported,
    export,
    exported_event,
    newest_checkpoint,
    unarchived,
    verify_exports,
)
from common.security.keyring import KeyRing
from tests.key_rings import ring_over


@pytest.fixture
def ring(database: Engine) -> KeyRing:
    return ring_over(database)


@pytest.fixture
def kept(tmp_path: Path) -> Archive:
    return FolderArchive(tmp_path / "archive")


@pytest.fixture
def add(database: Engine, ring: KeyRing) -> Callable[[int], None]:
    """Records so many events."""

    def added(count: int) -> None:
        with write(database) as connection:
            for number in range(count):
                told = Event(
                    tenant="acme", actor="key:one", action="document.stored", target=f"é {number}", outcome="done"
                )
                record(connection, told, ring=ring)

    return added


def exported(database: Engine, kept: Archive, ring: KeyRing) -> Exported:
    """An export and its event, as the command line does it."""
    done = export(database, kept)
    if done.files:
        with write(database) as connection:
            record(connection, exported_event(done, tenant="default", actor="cli"), ring=ring)
    return done


def name(first: int, last: int) -> str:
    return f"audit/{first:012d}-{last:012d}.jsonl"


def file_of(tmp_path: Path, first: int, last: int) -> Path:
    return tmp_path / "archive" / name(first, last)


def test_an_export_holds_every_event_since_the_last_one(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None]
) -> None:
    add(3)
    assert exported(database, kept, ring) == Exported(files=(name(1, 3),), first=1, last=3)
    add(2)
    assert exported(database, kept, ring) == Exported(files=(name(4, 6),), first=4, last=6)
    lines = [json.loads(line) for file in kept.names("audit") for line in kept.read(file).splitlines()]
    with read(database) as connection:
        stored = connection.execute(select(audit_events).order_by(audit_events.c.number)).all()
    assert [line["signature"] for line in lines] == [row.signature for row in stored][:6]
    assert [line["target"] for line in lines[:3]] == ["é 0", "é 1", "é 2"]
    assert lines[3]["action"] == "audit.exported"
    assert json.loads(lines[3]["facts"]) == {"files": 1, "first": 1, "last": 3}
    assert verify_exports(kept, ring.mac)[0] == Verified(events=6, signature=lines[-1]["signature"])


def test_without_events_there_is_nothing_to_export_or_to_check(database: Engine, kept: Archive, ring: KeyRing) -> None:
    assert export(database, kept) == Exported()
    assert verify_exports(kept, ring.mac) == (Verified(events=0, signature=""), {})
    assert newest_checkpoint(kept) == {}
    with read(database) as connection:
        assert unarchived(connection, 0) is None


def test_an_export_is_nothing_new_to_export(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None]
) -> None:
    add(1)
    exported(database, kept, ring)
    assert exported(database, kept, ring) == Exported()
    assert kept.names() == [name(1, 1)]


def test_a_large_export_is_several_files(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "EVENTS_PER_FILE", 4)
    add(9)
    assert export(database, kept) == Exported(files=(name(1, 4), name(5, 8), name(9, 9)), first=1, last=9)
    outcome, checkpoints = verify_exports(kept, ring.mac)
    assert isinstance(outcome, Verified)
    assert list(checkpoints) == [4, 8, 9]


class Late:
    """An archive that another export was faster at: names are as they were before it."""

    def __init__(self, kept: Archive) -> None:
        self._kept = kept
        self._known = kept.names("audit")

    def write_new(self, name: str, content: bytes) -> str:
        return self._kept.write_new(name, content)

    def location(self, name: str) -> str:
        return self._kept.location(name)

    def read(self, name: str) -> bytes:
        return self._kept.read(name)

    def names(self, folder: str = "") -> list[str]:
        return self._known

    def delete(self, name: str) -> None:
        raise NotImplementedError


def test_the_same_export_twice_at_once_is_the_same_file(
    database: Engine, kept: Archive, add: Callable[[int], None]
) -> None:
    add(2)
    late = Late(kept)
    assert export(database, kept) == export(database, late)


def test_exports_that_ran_at_once_may_overlap(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None]
) -> None:
    add(2)
    late = Late(kept)
    export(database, kept)
    add(2)
    export(database, late)
    assert kept.names() == [name(1, 2), name(1, 4)]
    add(1)
    assert export(database, kept).files == (name(5, 5),)
    outcome, checkpoints = verify_exports(kept, ring.mac)
    assert isinstance(outcome, Verified)
    assert list(checkpoints) == [2, 4, 5]


def test_many_exports_at_once_leave_an_archive_that_holds(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        for _ in range(6):
            pool.submit(add, 2)
            pool.submit(exported, database, kept, ring)
    exported(database, kept, ring)
    outcome, checkpoints = verify_exports(kept, ring.mac)
    assert isinstance(outcome, Verified)
    with read(database) as connection:
        assert isinstance(verify(connection, ring.mac, checkpoints), Verified)


def test_a_file_of_the_same_name_with_other_events_stops_the_export(
    database: Engine, kept: Archive, add: Callable[[int], None]
) -> None:
    add(2)
    late = Late(kept)
    kept.write_new(name(1, 2), b"{}\n")
    with pytest.raises(ChainForked) as stopped:
        export(database, late)
    assert stopped.value.broken == BrokenLink(number=1, reason="forked")


def test_a_database_that_was_replaced_is_not_exported(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None]
) -> None:
    add(3)
    exported(database, kept, ring)
    wiped(database)
    add(5)
    with pytest.raises(ChainForked, match="broken at event 3: the archive has another"):
        export(database, kept)
    with read(database) as connection:
        assert isinstance(verify(connection, ring.mac), Verified)
        assert verify(connection, ring.mac, newest_checkpoint(kept)) == BrokenLink(number=3, reason="forked")


def wiped(database: Engine) -> None:
    """All events gone, and the head as if none had ever been."""
    with write(database) as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER audit_events_no_delete"))
        else:
            connection.execute(text("DROP TRIGGER audit_events_append_only ON audit_events"))
        connection.execute(text("DELETE FROM audit_events"))
        connection.execute(update(audit_head).values(number=0, signature=""))


def test_a_database_that_was_emptied_is_shorter_than_its_archive(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None]
) -> None:
    add(3)
    exported(database, kept, ring)
    wiped(database)
    with read(database) as connection:
        assert verify(connection, ring.mac, newest_checkpoint(kept)) == BrokenLink(number=1, reason="cut off")


def test_an_export_that_is_gone_from_the_archive_is_missed(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None]
) -> None:
    add(3)
    exported(database, kept, ring)
    with read(database) as connection:
        assert unarchived(connection, 3) is None
        kept.delete(name(1, 3))
        assert unarchived(connection, 0) == BrokenLink(number=1, reason="not archived")


def changed(field: str, value: object) -> Callable[[list[dict[str, Any]]], None]:  # Any: as JSON has it
    return lambda lines: lines[1].__setitem__(field, value)


@pytest.mark.parametrize(
    ("tamper", "number", "reason"),
    [
        (changed("target", "other"), 4, "changed"),
        (changed("signature", "0" * 64), 4, "changed"),
        (changed("number", 5), 4, "missing"),
        (changed("number", "4"), 4, "changed"),
        (changed("number", True), 4, "changed"),
        (changed("extra", 1), 4, "changed"),
        (lambda lines: lines.pop(0), 3, "changed"),
        (lambda lines: lines.pop(1), 4, "missing"),
        (lambda lines: lines.pop(), 5, "missing"),
        (lambda lines: lines.clear(), 3, "changed"),
        (lambda lines: lines.reverse(), 3, "changed"),
        (lambda lines: lines[0].__setitem__("previous", "0" * 64), 3, "changed"),
    ],
)
def test_what_is_done_to_an_exported_file_is_found(
    sqlite_database: Engine, tmp_path: Path, tamper: Callable[[Any], None], number: int, reason: str
) -> None:
    ring, kept = ring_over(sqlite_database), FolderArchive(tmp_path / "archive")
    for _ in range(2):
        with write(sqlite_database) as connection:
            for _ in range(2):
                told = Event(tenant="acme", actor="key:one", action="document.stored", target="all", outcome="done")
                record(connection, told, ring=ring)
        exported(sqlite_database, kept, ring)
    assert kept.names() == [name(1, 2), name(3, 5)]
    file = file_of(tmp_path, 3, 5)
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    tamper(lines)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert verify_exports(kept, ring.mac)[0] == BrokenLink(number=number, reason=reason)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"\xff\n", b"[]\n", b"no JSON\n", b"[" * 100_000, b"\n"])
def test_a_file_that_is_no_export_is_a_broken_link(sqlite_database: Engine, tmp_path: Path, content: bytes) -> None:
    ring, kept = ring_over(sqlite_database), FolderArchive(tmp_path / "archive")
    kept.write_new(name(1, 1), content)
    assert verify_exports(kept, ring.mac) == (BrokenLink(number=1, reason="changed"), {})
    assert newest_checkpoint(kept) == {1: ""}


def test_a_file_that_was_emptied_is_a_broken_link_to_verification_and_export(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None], tmp_path: Path
) -> None:
    add(2)
    exported(database, kept, ring)
    file_of(tmp_path, 1, 2).write_bytes(b"")
    assert verify_exports(kept, ring.mac)[0] == BrokenLink(number=1, reason="missing")
    assert newest_checkpoint(kept) == {2: ""}
    with pytest.raises(ChainForked):
        export(database, kept)


def test_a_missing_file_is_found_and_other_files_are_passed_over(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None]
) -> None:
    for _ in range(3):
        add(1)
        exported(database, kept, ring)
    kept.write_new("audit/readme.txt", b"")
    kept.write_new("audit/1-2.jsonl", b"")
    kept.delete(name(1, 1))
    assert verify_exports(kept, ring.mac)[0] == BrokenLink(number=1, reason="missing")


def test_a_file_that_holds_more_than_its_name_says_is_broken(
    database: Engine, kept: Archive, ring: KeyRing, add: Callable[[int], None]
) -> None:
    add(3)
    exported(database, kept, ring)
    content = kept.read(name(1, 3))
    kept.delete(name(1, 3))
    kept.write_new(name(1, 2), content)
    assert verify_exports(kept, ring.mac)[0] == BrokenLink(number=3, reason="missing")
