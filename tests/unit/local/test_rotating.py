"""`loancheck keys rotate-data`: what it does to the database, what it says, and that it is in the audit."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from common.database.engine import DatabaseUnavailable, engine, read, write
from common.database.tables import api_keys as api_keys_table
from common.database.tables import audit_events, data_keys
from common.security.api_keys import api_keys
from common.security.rotation import KEPT, Rotated
from local.rotating import in_words
from tests.command_line import Run, command_line

pytestmark = pytest.mark.keys


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    with command_line(tmp_path, capsys, "keys", "rotate-data") as command:
        yield command


def test_labels_are_sealed_anew_and_stay_readable(run: Run) -> None:
    made = api_keys().create(role="viewer", label="mobile app")
    code, lines, progress = run()
    assert code == 0
    assert lines[0].endswith("seals from now on. Sealed anew: 1.")
    assert lines[2].startswith("Old data keys kept: 1.")
    assert progress == "api_keys.label: 1 looked at\n"
    assert [key.label for key in api_keys().known() if key.id == made.id] == ["mobile app"]


def test_each_run_is_in_the_audit(run: Run) -> None:
    run()
    with read(engine()) as connection:
        [event] = connection.execute(select(audit_events)).all()
        active = select(data_keys.c.id).where(data_keys.c.purpose == "seal", data_keys.c.retired_at.is_(None))
        assert event.target == f"data-key:{connection.execute(active).scalar_one()}"
    assert (event.action, event.actor, event.outcome) == ("data_key.rotated", "cli", "done")
    assert event.facts == '{"forgotten":0,"kept":1,"resealed":0,"rewrapped":5,"unreadable":0}'


def test_a_run_that_fails_is_in_the_audit_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr("common.security.rotation._batches", fails)
    code, _, _ = run()
    assert code == 2
    with read(engine()) as connection:
        [event] = connection.execute(select(audit_events)).all()
    assert (event.action, event.target, event.outcome) == ("data_key.rotated", "data-key", "failed")


def test_what_cannot_be_opened_is_told_by_the_exit_code(run: Run) -> None:
    made = api_keys().create(role="viewer", label="mobile app")
    with write(engine()) as connection:
        connection.execute(update(api_keys_table).where(api_keys_table.c.id == made.id).values(label=b"\1" + bytes(40)))
    code, lines, _ = run()
    assert code == 1
    assert "Left as they are, for no key opens them: 1." in lines
    with read(engine()) as connection:
        outcome = select(audit_events.c.outcome).where(audit_events.c.action == "data_key.rotated")
        assert connection.execute(outcome).scalar_one() == "failed"


def test_an_old_key_is_deleted_by_a_later_run(run: Run) -> None:
    run()
    with write(engine()) as connection:
        [retired_at] = connection.scalars(select(data_keys.c.retired_at).where(data_keys.c.retired_at.is_not(None)))
        earlier = retired_at - KEPT - timedelta(seconds=1)
        connection.execute(update(data_keys).where(data_keys.c.retired_at.is_not(None)).values(retired_at=earlier))
    code, lines, _ = run()
    assert code == 0
    assert "Old data keys deleted: 1." in lines


def test_everything_that_was_done_is_told() -> None:
    done = Rotated(key_id=7, is_resumed=True, rewrapped=5, resealed=3, unreadable=0, forgotten=0, kept=0)
    assert in_words(done) == [
        "A rotation that was cut short is finished: 7 seals from now on. Sealed anew: 3.",
        "Data keys wrapped anew by the key-encryption key of the settings: 5.",
    ]
