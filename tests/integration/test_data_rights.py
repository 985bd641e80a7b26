"""What a person may ask for: all that is kept of them is found in any spelling, given out, and gone afterwards."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import Table, func, insert, select, update
from werkzeug.test import Client

from common.archive import ArchiveUnavailable, archive
from common.database.engine import DatabaseUnavailable, engine, read, write
from common.database.tables import api_keys as api_keys_table
from common.database.tables import audit_events, idempotent_answers, notices, sessions, subject_marks, turns
from common.personal_data import delete_sessions_before
from common.request_head import Correlation
from common.security.api_keys import api_keys
from common.security.encryption import CannotOpen
from common.security.idempotency import Ticket, begin
from common.security.keyring import key_ring
from common.security.principal import ANONYMOUS, SCOPES, Principal
from functions.query.sessions import SessionStore, TurnRecord
from functions.retention.applying import apply_retention
from local import data_rights
from local.catalogue import load_catalogue
from local.data_rights import CannotName, counts, erase, export
from local.gateway import Gateway
from tests.emulators import ROOT
from tests.instance import instance
from tests.wsgi import from_this_machine

EMAIL = "jane.roe@borrower.example"
PHONE = "(415) 555-0132"
NAME = "Jane Roe"
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SOMEBODY = Principal(id="key:one", tenant="default", scopes=SCOPES)
NOBODY = {"turns": 0, "answers": 0, "documents": 0, "keys": 0, "archived": 0}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves the fitted router for the others: fitting it takes seconds."""
    return tmp_path_factory.mktemp("fitted") / "router"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def here(request: pytest.FixtureRequest, tmp_path: Path, fitted: Path) -> Iterator[Path]:
    """An instance with state of its own."""
    if fitted.is_dir():
        shutil.copytree(fitted, tmp_path / "router")
    more = {"DATABASE_URL": request.getfixturevalue("postgresql_url")} if request.param == "postgresql" else {}
    with instance(tmp_path, **more) as folder:
        yield folder
    if not fitted.is_dir() and (tmp_path / "router").is_dir():
        shutil.copytree(tmp_path / "router", fitted)


@pytest.fixture
def client(here: Path) -> Client:
    return Client(from_this_machine(Gateway(load_catalogue())))


def ask(client: Client, message: str, **headers: str) -> dict[str, Any]:
    response = client.post("/api/query", json={"message": message}, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def rows(table: Any) -> int:
    with read(engine()) as connection:
        count: int = connection.execute(select(func.count()).select_from(table)).scalar_one()
        return count


@pytest.fixture
def full(client: Client) -> Client:
    """Jane in turns, a kept answer, a document, a key's label and an archived file; and John, who is to stay."""
    ask(client, f"What may {NAME} ({EMAIL}) pledge?", **{"Idempotency-Key": "one"})
    ask(client, f"Call {PHONE} about the lien")
    ask(client, "What about John Smith, john@borrower.example?")
    document = {"id": "memo", "title": "Memo", "text": f"{NAME} pledged a boat. Write to {EMAIL.upper()}."}
    assert client.post("/api/documents", json={"documents": [document]}).status_code == 200
    api_keys().create(tenant="default", role="viewer", label=f"{NAME}'s phone {EMAIL}")
    archive().write_new("reports/2026-11.json", json.dumps({"top": EMAIL}).encode())
    return client


def test_an_address_is_found_wherever_it_stands(full: Client) -> None:
    found = export(EMAIL, "default")
    assert [turn["message"] for turn in found["turns"]] == [f"What may {NAME} ({EMAIL}) pledge?"]  # type: ignore[attr-defined]
    assert [document["id"] for document in found["documents"]] == ["memo"]  # type: ignore[attr-defined]
    assert found["kept_answers"] in {0, 1}  # whether the answer repeats it
    assert len(found["api_keys"]) == 1  # type: ignore[arg-type]
    assert found["archived_files"] == ["reports/2026-11.json"]


@pytest.mark.parametrize("spelling", ["4155550132", "+1 415 555 0132", "415.555.0132"])
def test_a_number_is_found_in_any_spelling(full: Client, spelling: str) -> None:
    assert counts(spelling, "default")["turns"] == 1


def test_a_number_is_found_where_nothing_says_what_it_is(client: Client) -> None:
    ask(client, "What about 4155550132?")
    metadata: dict[str, object] = {"phone": 4155550132}
    document = {"id": "memo", "title": "Memo", "text": "A boat.", "metadata": metadata}
    assert client.post("/api/documents", json={"documents": [document]}).status_code == 200
    assert counts(PHONE, "default") == {**NOBODY, "turns": 1, "documents": 1}


def test_a_name_is_found_by_reading(full: Client) -> None:
    found = counts("jane  ROE", "default")
    assert (found["turns"], found["documents"], found["keys"]) == (1, 1, 1)


def test_a_name_is_found_in_a_kept_answer_whatever_stands_around_it(here: Path) -> None:
    texts = [f"As asked:\n{NAME}\n\nowes.", "Jane\n Roe owes.", "Nobody\\nJane Roeder owes."]
    for number, text in enumerate(texts):
        begun = begin(
            f"key-{number}", principal=SOMEBODY, route="POST /", path="/", payload=b"", accept="", lease_seconds=60
        )
        assert isinstance(begun, Ticket)
        begun.finish(200, "application/json", json.dumps({"answer": text}).encode())
    assert counts(NAME, "default") == {**NOBODY, "answers": 2}


def test_a_name_is_found_however_its_accents_are_written(here: Path) -> None:
    composed, parted = "Jos\u00e9 Pe\u00f1a", "Jose\u0301 Pen\u0303a"
    for label in (composed, parted):
        api_keys().create(tenant="default", role="viewer", label=label)
    assert [counts(name, "default")["keys"] for name in (composed, parted)] == [2, 2]


@pytest.fixture
def conversation(here: Path) -> SessionStore:
    """One session of the default tenant, with one turn that speaks of Jane."""
    store = SessionStore(engine(), clock=lambda: NOW, new_id=lambda: secrets.token_hex(16), ring=key_ring)
    store.record(spoken(f"Write to {EMAIL}"), [], SOMEBODY)
    return store


@pytest.mark.parametrize("here", [pytest.param("postgresql", marks=pytest.mark.servers)], indirect=True)
@pytest.mark.parametrize("deletion", ["erasure", "retention"])
def test_a_turn_that_comes_while_its_session_is_deleted_is_not_lost(conversation: SessionStore, deletion: str) -> None:
    def delete() -> None:
        if deletion == "erasure":
            erase(EMAIL, "default")
        else:
            with write(engine()) as connection:
                delete_sessions_before(connection, NOW + timedelta(days=1))

    with ThreadPoolExecutor(1) as pool, monitored() as waiting:
        with write(engine()) as connection:  # as `SessionStore.record` does it, up to its end
            connection.execute(update(sessions).values(updated_at=NOW + timedelta(days=2)))
            row = conversation._row(spoken("What is a lien?"), SOMEBODY)
            connection.execute(insert(turns), row)
            deleting = pool.submit(delete)
            while not (deleting.done() or waiting()):
                pass
        deleting.result(timeout=30)
    with read(engine()) as connection:
        left = set(connection.scalars(select(turns.c.uid)))
    assert row["uid"] in left
    assert (rows(sessions), len(left)) == (1, 1 if deletion == "erasure" else 2)


@contextmanager
def monitored() -> Iterator[Callable[[], bool]]:
    """Whether somebody waits for a lock on the database, by a connection of its own."""
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield lambda: connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one() > 0


def spoken(message: str) -> TurnRecord:
    return TurnRecord(
        session_id="s1", request_id="r1", trace_id="0" * 32, message=message, answer="Noted.", answered=True,
        agent="knowledge", intent=None, confidence=0.5, citations=[], critique_score=None, critique_rounds=0,
        degraded=[], signals=[], created_at=NOW,
    )  # fmt: skip


def test_another_tenants_data_is_neither_found_nor_erased(full: Client) -> None:
    assert counts(EMAIL, "other") == {**NOBODY, "archived": 1}


@pytest.mark.parametrize("table", [turns, idempotent_answers, api_keys_table], ids=str)
def test_what_is_moved_to_another_tenant_is_not_read_there(full: Client, table: Table) -> None:
    with write(engine()) as connection:
        connection.execute(update(table).values(tenant="other"))
    with pytest.raises(CannotOpen):
        export(NAME, "other")


def test_what_is_erased_is_gone_and_the_rest_stays(full: Client, here: Path) -> None:
    erased = erase(EMAIL, "default")
    assert (erased.counts["turns"], erased.counts["documents"], erased.counts["keys"]) == (1, 1, 1)
    assert counts(EMAIL, "default") == NOBODY
    assert full.get("/api/documents/memo").status_code == 404
    assert counts("John Smith", "default")["turns"] == 1
    assert len(api_keys().known()) == 1
    with read(engine()) as connection:
        receipt = connection.execute(select(audit_events).order_by(audit_events.c.number.desc())).first()
    assert receipt is not None
    assert (receipt.number, receipt.action, receipt.outcome) == (erased.number, "person.erased", "done")
    assert json.loads(receipt.facts)["turns"] == 1
    assert "jane" not in str(receipt).lower()


@pytest.mark.parametrize("here", ["sqlite"], indirect=True)  # a server's files are not ours
def test_nothing_of_the_person_is_left_in_any_file(full: Client, here: Path) -> None:
    erase(EMAIL, "default")
    erase(NAME, "default")
    engine().dispose()
    for path in here.rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            assert EMAIL.encode() not in content, path
            assert b"pledged a boat" not in content, path


@pytest.mark.parametrize("subject", [EMAIL, NAME])
def test_a_kept_answer_that_speaks_of_the_person_goes_too(full: Client, subject: str) -> None:
    before = rows(idempotent_answers)
    ticket = begin(
        "another", principal=ANONYMOUS, route="POST /api/query", path="/api/query", payload=b"{}", accept="*/*",
        lease_seconds=60,
    )  # fmt: skip
    assert isinstance(ticket, Ticket)
    ticket.finish(200, "application/json", json.dumps({"answer": f"{NAME} is at {EMAIL}."}).encode())
    kept = counts(subject, "default")["answers"]
    assert kept >= 1
    assert erase(subject, "default").counts["answers"] == kept
    assert rows(idempotent_answers) == before + 1 - kept
    assert counts(subject, "default")["answers"] == 0


def test_erasing_again_finds_nothing_and_says_so(full: Client) -> None:
    erase(EMAIL, "default")
    assert erase(EMAIL, "default").counts == NOBODY


def test_who_is_written_about_without_end_is_told_to_ask_again(
    full: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(data_rights, "MAX_ROUNDS", 1)
    with pytest.raises(typer.Exit) as ended:
        data_rights.erase_command(EMAIL, "default", yes=True)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "More was written about the person meanwhile: run this again.\n"
    assert erase(EMAIL, "default").is_complete


def test_an_erasure_that_fails_leaves_a_receipt_of_what_is_gone(full: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_name: str) -> None:
        raise ArchiveUnavailable

    monkeypatch.setattr(data_rights, "_archive_delete", fails)
    with pytest.raises(ArchiveUnavailable):
        erase(EMAIL, "default")
    receipt = select(audit_events.c.outcome, audit_events.c.facts).where(audit_events.c.action == "person.erased")
    with read(engine()) as connection:
        [(outcome, facts)] = connection.execute(receipt).all()
    assert (outcome, json.loads(facts)["turns"], json.loads(facts)["archived"]) == ("failed", 1, 0)


def test_an_empty_session_goes_with_its_last_turn(full: Client) -> None:
    before = rows(sessions)
    erase(EMAIL, "default")
    assert rows(sessions) == before - 1


@pytest.mark.parametrize("subject", ["", "  ", "ab", "-- ?"])
def test_a_subject_that_would_mean_everybody_is_refused(subject: str) -> None:
    with pytest.raises(CannotName):
        data_rights._given(subject)


@pytest.mark.parametrize("here", ["sqlite"], indirect=True)
def test_the_command_counts_first_and_erases_when_told(full: Client, here: Path) -> None:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "local.loancheck", "data", *arguments]
        done = subprocess.run(command, cwd=here, input=f"{EMAIL}\n", capture_output=True, text=True, check=False,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Would erase: 1 turns" in run("erase", "-")
    assert json.loads(run("export", "-"))["turns"]
    output = here / "jane.json"
    run("export", "-", "--output", str(output))
    assert (json.loads(output.read_text())["subject"], output.stat().st_mode & 0o777) == (EMAIL, 0o600)
    output.unlink()
    assert "Erased: 1 turns" in run("erase", "-", "--yes")
    assert "Would erase: 0 turns" in run("erase", "-")


def test_conversations_and_kept_answers_end_after_their_time(full: Client) -> None:
    ask(full, "What is a lien?")
    long_ago = datetime.now(UTC) - timedelta(days=400)
    with write(engine()) as connection:
        some = select(turns.c.session_id).order_by(turns.c.id).limit(2)
        connection.execute(update(sessions).where(sessions.c.id.in_(some)).values(updated_at=long_ago))
        connection.execute(update(idempotent_answers).values(expires_at=long_ago))
    kept = rows(turns) - 2
    assert full.post("/events/retention").status_code == 204
    assert (rows(turns), rows(idempotent_answers)) == (kept, 0)
    assert counts(EMAIL, "default")["turns"] == 0
    assert counts("John Smith", "default")["turns"] == 1
    with read(engine()) as connection:
        marked = set(connection.execute(select(subject_marks.c.uid)).scalars())
        facts = connection.execute(
            select(audit_events.c.facts).where(audit_events.c.action == "retention.applied")
        ).scalar_one()
        assert marked <= set(connection.execute(select(turns.c.uid)).scalars())
    assert json.loads(facts) == {"answers": 1, "conversation_days": 365, "notices": 0, "sessions": 2, "turns": 2}
    assert full.post("/events/retention").status_code == 204


def test_notices_end_two_years_after_they_were_delivered(full: Client) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=800)
    lately = datetime.now(UTC) - timedelta(days=700)
    given = {"kind": "budget", "payload": "{}", "created_at": long_ago, "attempts": 1}
    sent = {"old": long_ago, "young": lately, "never delivered": None} | {f"old {n}": long_ago for n in range(600)}
    with write(engine()) as connection:
        connection.execute(insert(notices), [given | {"key": key, "sent_at": at} for key, at in sent.items()])
    assert full.post("/events/retention").status_code == 204
    with read(engine()) as connection:
        assert set(connection.scalars(select(notices.c.key))) == {"young", "never delivered"}
    assert [facts["notices"] for _, facts in retentions()] == [601]


def test_what_time_does_not_suffice_for_is_told_and_had_by_the_next_call(full: Client) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=400)
    with write(engine()) as connection:
        connection.execute(update(sessions).values(updated_at=long_ago))
    correlation = Correlation(request_id="r1", trace_id="0" * 32)
    apply_retention(SOMEBODY, correlation, deadline=time.monotonic())
    assert rows(sessions) == 3
    apply_retention(SOMEBODY, correlation, deadline=time.monotonic() + 60)
    assert rows(sessions) == 0
    assert [(outcome, facts["sessions"]) for outcome, facts in retentions()] == [("failed", 0), ("done", 3)]


def test_what_was_deleted_before_a_failure_is_in_the_audit(full: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> int:
        raise DatabaseUnavailable

    with write(engine()) as connection:
        connection.execute(update(sessions).values(updated_at=datetime.now(UTC) - timedelta(days=400)))
    monkeypatch.setattr("functions.retention.applying.delete_expired", fails)
    with pytest.raises(DatabaseUnavailable):
        apply_retention(SOMEBODY, Correlation(request_id="r1", trace_id="0" * 32), deadline=time.monotonic() + 60)
    assert [(outcome, facts["sessions"]) for outcome, facts in retentions()] == [("failed", 3)]


def retentions() -> list[tuple[str, dict[str, int]]]:
    of_retention = audit_events.c.action == "retention.applied"
    query = select(audit_events.c.outcome, audit_events.c.facts).where(of_retention).order_by(audit_events.c.number)
    with read(engine()) as connection:
        return [(row.outcome, json.loads(row.facts)) for row in connection.execute(query)]


def test_conversations_are_kept_for_ever_where_the_setting_says_so(
    full: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.settings import settings

    monkeypatch.setenv("CONVERSATION_DAYS", "0")
    settings.cache_clear()
    with write(engine()) as connection:
        connection.execute(update(sessions).values(updated_at=datetime(2001, 1, 1, tzinfo=UTC)))
    before = rows(turns)
    assert full.post("/events/retention").status_code == 204
    assert rows(turns) == before
