"""What was stored before there were tenants and sealed turns comes out of migration 0002 complete, and unreadable."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, MetaData, Table, func, insert, inspect, select, text

from common.database.engine import create_engine_for, migrate, read, write
from common.database.schema import alembic_config
from common.database.tables import (
    chunks,
    data_keys,
    document_attributes,
    documents,
    ledger_entries,
    revisions,
    sessions,
    subject_marks,
    turns,
)
from common.security.encryption import TURN_CONTENT, Sealer, row_of
from common.security.key_encryption import key_encryption_keys
from common.security.keyring import KeyRing
from common.security.marks import Marks
from common.settings import settings

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET_WORDS = "Jane Roe of Elm Street"
MESSAGE = f"{SECRET_WORDS}, jane.roe@example.com, asks: what is my LTV? " + "Please. " * 3_000  # its own pages
CITATIONS = [{"document_id": "policy", "quote": "80 %"}]


@pytest.fixture(autouse=True)
def key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "key"))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def old_database(empty_database_url: str) -> Iterator[Engine]:
    """A database of version 0001 with two documents, a session with two turns, and what came along."""
    engine = create_engine_for(empty_database_url)
    with write(engine) as connection:
        command.upgrade(alembic_config(connection), "0001")
    fill(engine)
    yield engine
    engine.dispose()


def fill(engine: Engine) -> None:
    with write(engine) as connection:
        old = MetaData()
        at = NOON.replace(tzinfo=None) if connection.dialect.name == "sqlite" else NOON

        def put(table: str, *rows: dict[str, Any]) -> None:
            connection.execute(insert(Table(table, old, autoload_with=connection)), rows)

        put("documents", *(document(name, at) for name in ("policy", "appraisal")))
        put("chunks", *(chunk(number, "policy" if number < 3 else "appraisal") for number in (1, 2, 7)))
        put("document_attributes", *({"document_id": name, "name": "kind", "value": "guide"} for name in OF))
        put("revisions", {"revision": "r1", "document_id": "policy", "chunks": 2, "state": "doomed", "created_at": at})
        put("sessions", {"id": "s1", "created_at": at, "updated_at": at})
        put("turns", turn(3, at, message=MESSAGE), turn(4, at, message="And with 10 % more?"))
        put("ledger_entries", entry(at))
        if connection.dialect.name == "sqlite":
            connection.execute(text("INSERT INTO chunk_search (rowid, context) VALUES (1, 'loan to value'), (2, 'x')"))
        else:
            fields = "INSERT INTO chunk_search (number, terms, length)"
            connection.execute(text(f"{fields} VALUES (1, to_tsvector('loan to value'), 3), (2, to_tsvector('x'), 1)"))


OF = {"policy": 2, "appraisal": 1}
"""How many chunks each document has."""


def document(name: str, at: datetime) -> dict[str, Any]:
    return {
        "id": name, "title": name.title(), "source": None, "metadata": {"kind": "guide"}, "text": f"{name} text",
        "content_hash": "0" * 64, "embedder": "words", "revision": f"r-{name}", "updated_at": at,
    }  # fmt: skip


def chunk(number: int, document_id: str) -> dict[str, Any]:
    return {
        "number": number, "id": f"{document_id}#{number}", "document_id": document_id, "ordinal": number,
        "vector_id": f"r:{number}", "heading": "", "start": 0, "end": 4, "text": "text", "vector": b"\0\1",
        "sentences": b"\2",
    }  # fmt: skip


def turn(number: int, at: datetime, *, message: str) -> dict[str, Any]:
    return {
        "id": number, "session_id": "s1", "request_id": f"q{number}", "trace_id": "t" * 32, "message": message,
        "answer": f"It is 80 %, {SECRET_WORDS}.", "answered": True, "agent": "lending", "intent": None,
        "confidence": 0.5, "citations": CITATIONS, "critique_score": None, "critique_rounds": 1, "degraded": [],
        "signals": [], "created_at": at,
    }  # fmt: skip


def entry(at: datetime) -> dict[str, Any]:
    return {
        "id": 1, "created_at": at, "request_id": "q3", "trace_id": "t" * 32, "session_id": "s1", "agent": None,
        "step": "draft", "provider": "embedded", "model_asked": "extractive", "model_answered": None,
        "input_tokens": 1, "cached_input_tokens": 0, "output_tokens": 2, "thinking_tokens": 0, "tool_tokens": 0,
        "cost_usd": None, "duration_ms": 1.5, "outcome": "ok",
    }  # fmt: skip


def key_of(engine: Engine, table: str) -> list[str]:
    return inspect(engine).get_pk_constraint(table)["constrained_columns"]


def ring(engine: Engine) -> KeyRing:
    return KeyRing.over(engine, key_encryption_keys(settings()))


def stored_bytes(engine: Engine) -> bytes:
    """All that is on the disk about turns: the files of SQLite, or those of PostgreSQL's table and its long texts."""
    if engine.dialect.name == "sqlite":  # its write-ahead log among them, for the engine is open
        return b"".join(path.read_bytes() for path in Path(engine.url.database or "").parent.iterdir())
    paths = "SELECT pg_relation_filepath('turns'), pg_relation_filepath(nullif(reltoastrelid, 0)) FROM pg_class"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))
        found = connection.execute(text(f"{paths} WHERE oid = 'turns'::regclass")).one()
        read_file = text("SELECT pg_read_binary_file(:path)")
        return b"".join(connection.execute(read_file, {"path": path}).scalar_one() for path in found if path)


def test_everything_that_was_stored_belongs_to_the_default_tenant(old_database: Engine) -> None:
    assert migrate(old_database) is True
    with read(old_database) as connection:
        for table, count in ((documents, 2), (chunks, 3), (document_attributes, 2), (revisions, 1), (sessions, 1)):
            assert connection.scalars(select(table.c.tenant)).all() == ["default"] * count, table.name
        assert connection.scalars(select(turns.c.tenant).order_by(turns.c.id)).all() == ["default"] * 2
        owner = select(ledger_entries.c.tenant, ledger_entries.c.principal, ledger_entries.c.duration_ms)
        assert connection.execute(owner).all() == [("default", "unknown", 1.5)]
        opened = connection.execute(select(sessions.c.principal, sessions.c.created_at)).one()
        assert opened == ("unknown", NOON)


def test_documents_keep_their_content_their_chunks_and_their_full_text(old_database: Engine) -> None:
    migrate(old_database)
    with read(old_database) as connection:
        found = connection.execute(select(documents).where(documents.c.id == "policy")).one()
        assert (found.title, found.metadata, found.text, found.updated_at) == (
            "Policy", {"kind": "guide"}, "policy text", NOON,
        )  # fmt: skip
        numbers = connection.execute(select(chunks.c.number, chunks.c.id, chunks.c.vector).order_by(chunks.c.number))
        assert numbers.all() == [(1, "policy#1", b"\0\1"), (2, "policy#2", b"\0\1"), (7, "appraisal#7", b"\0\1")]
        query = {
            "sqlite": "SELECT rowid FROM chunk_search WHERE chunk_search MATCH 'loan'",
            "postgresql": "SELECT number FROM chunk_search WHERE terms @@ to_tsquery('loan')",
        }[connection.dialect.name]
        assert connection.execute(text(query)).all() == [(1,)]


def test_keys_really_hold_the_tenant(old_database: Engine) -> None:
    migrate(old_database)
    assert key_of(old_database, "documents") == ["tenant", "id"]
    assert key_of(old_database, "document_attributes") == ["tenant", "document_id", "name"]
    assert key_of(old_database, "chunks") == ["number"]
    with write(old_database) as connection:  # another tenant's document of the same id, with its chunk
        connection.execute(insert(documents), {**document("policy", NOON), "tenant": "acme"})
        connection.execute(insert(chunks), {**chunk(1, "policy"), "number": 8, "vector_id": "r:8", "tenant": "acme"})
        connection.execute(documents.delete().where(documents.c.tenant == "default", documents.c.id == "policy"))
    with read(old_database) as connection:
        left = select(chunks.c.tenant, chunks.c.id).order_by(chunks.c.number)
        assert connection.execute(left).all() == [("default", "appraisal#7"), ("acme", "policy#1")]


def test_a_chunks_number_never_comes_again(old_database: Engine) -> None:
    migrate(old_database)
    new = {name: value for name, value in chunk(9, "policy").items() if name != "number"}
    with write(old_database) as connection:
        connection.execute(chunks.delete().where(chunks.c.number == 7))
        if connection.dialect.name == "postgresql":  # whose sequence does not look at numbers that were given to it
            connection.execute(text("SELECT setval('chunks_number_seq', 7)"))
        connection.execute(insert(chunks), {**new, "tenant": "default"})
        assert connection.scalar(select(func.max(chunks.c.number))) == 8


def test_turns_can_be_read_by_the_sealer_and_are_found_by_whom_they_speak_of(old_database: Engine) -> None:
    migrate(old_database)
    keys = ring(old_database)
    with read(old_database) as connection:
        found = connection.execute(select(turns).order_by(turns.c.id)).all()
        noted = connection.execute(select(subject_marks)).all()
    contents = [json.loads(Sealer(keys).open(row.content, TURN_CONTENT, row_of("default", row.uid))) for row in found]
    answer = f"It is 80 %, {SECRET_WORDS}."
    assert contents == [
        {"message": MESSAGE, "answer": answer, "citations": CITATIONS},
        {"message": "And with 10 % more?", "answer": answer, "citations": CITATIONS},
    ]
    assert [(row.id, row.session_id, row.request_id, row.created_at) for row in found] == [
        (3, "s1", "q3", NOON), (4, "s1", "q4", NOON),
    ]  # fmt: skip
    mark = Marks(keys).of_identifier("jane.roe@example.com")
    assert noted == [("default", mark, "turns", found[0].uid)]


def test_turns_go_with_their_session(old_database: Engine) -> None:
    migrate(old_database)
    with write(old_database) as connection:
        connection.execute(sessions.delete())
        assert connection.scalar(select(func.count()).select_from(turns)) == 0


def test_what_turns_said_is_nowhere_on_the_disk_any_more(old_database: Engine) -> None:
    assert SECRET_WORDS.encode() in stored_bytes(old_database)
    migrate(old_database)
    assert SECRET_WORDS.encode() not in stored_bytes(old_database)


def test_a_database_without_turns_is_migrated_without_any_key(empty_database_url: str, tmp_path: Path) -> None:
    engine = create_engine_for(empty_database_url)
    migrate(engine)
    with read(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(data_keys)) == 0
    engine.dispose()
    assert not (tmp_path / "key").exists()


def test_going_back_keeps_the_default_tenants_documents_and_loses_what_turns_said(old_database: Engine) -> None:
    migrate(old_database)
    with write(old_database) as connection:
        connection.execute(insert(documents), {**document("other", NOON), "tenant": "acme"})
        command.downgrade(alembic_config(connection), "0001")
    assert key_of(old_database, "documents") == ["id"]
    with read(old_database) as connection:
        assert connection.scalars(text("SELECT id FROM documents ORDER BY id")).all() == ["appraisal", "policy"]
        assert connection.scalars(text("SELECT document_id FROM chunks ORDER BY number")).all() == [
            "policy", "policy", "appraisal",
        ]  # fmt: skip
        assert connection.scalar(text("SELECT count(*) FROM document_attributes")) == 2
        assert connection.scalars(text("SELECT id FROM sessions")).all() == ["s1"]
        assert connection.scalar(text("SELECT count(*) FROM turns")) == 0
        assert connection.scalar(text("SELECT count(*) FROM ledger_entries")) == 1
    assert migrate(old_database) is True  # and up again, on what is left
