"""What a person may ask for: all that is kept of them is found in any spelling, given out, and gone afterwards."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from werkzeug.test import Client

from common.archive import archive
from common.database.engine import engine, read, write
from common.database.tables import audit_events, idempotent_answers, sessions, subject_marks, turns
from common.security.api_keys import api_keys
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


def test_a_name_is_found_by_reading(full: Client) -> None:
    found = counts("jane  ROE", "default")
    assert (found["turns"], found["documents"], found["keys"]) == (1, 1, 1)


def test_another_tenants_data_is_neither_found_nor_erased(full: Client) -> None:
    assert counts(EMAIL, "other") == {**NOBODY, "archived": 1}


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


def test_erasing_again_finds_nothing_and_says_so(full: Client) -> None:
    erase(EMAIL, "default")
    assert erase(EMAIL, "default").counts == NOBODY


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
    assert json.loads(facts) == {"answers": 1, "conversation_days": 365, "sessions": 2, "turns": 2}
    assert full.post("/events/retention").status_code == 204


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
