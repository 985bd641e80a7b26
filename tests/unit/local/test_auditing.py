"""`loancheck audit`: one line and an exit code for whoever examines the chain."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from common.database.engine import engine, write
from common.security.audit import Event, record, record_alone
from tests.command_line import Run, command_line


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    with command_line(tmp_path, capsys, "audit") as command:
        yield command


def event(number: int = 0) -> Event:
    facts = {"number": number}
    return Event(tenant="acme", actor="key:one", action="key.created", target="key:two", outcome="done", facts=facts)


def tamper(statement: str) -> None:
    with write(engine()) as connection:
        for trigger in ("audit_events_no_update", "audit_events_no_delete"):
            connection.execute(text(f"DROP TRIGGER IF EXISTS {trigger}"))
        connection.execute(text(statement))


def test_a_chain_that_holds_is_one_line_and_exit_code_0(run: Run) -> None:
    assert run("verify") == (0, ["The audit chain holds: 0 events."], "")
    record_alone(event(), event())
    assert run("verify") == (0, ["The audit chain holds: 2 events."], "")


def test_a_broken_link_is_named_with_exit_code_1(run: Run) -> None:
    record_alone(*map(event, range(5)))
    tamper("DELETE FROM audit_events WHERE number = 3")
    said = "The audit chain is broken at event 3: it is missing, while later ones are there."
    assert run("verify") == (1, [said], "")


def test_what_cannot_be_checked_is_exit_code_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("no folder")
    code, lines, errors = run("verify")
    assert (code, lines, errors) == (2, [], "loancheck: The archive is not available\n")


def test_an_export_says_what_it_wrote_and_is_audited(run: Run, tmp_path: Path) -> None:
    record_alone(event(), event())
    code, lines, _ = run("export")
    assert (code, lines) == (0, ["audit/000000000001-000000000002.jsonl", "Exported the events 1 to 2."])
    assert (tmp_path / "archive" / lines[0]).is_file()
    assert run("export") == (0, ["Nothing is new since the last export."], "")
    _, listed, _ = run("list", "--action", "audit.exported", "--json")
    (exported,) = map(json.loads, listed)
    assert (exported["number"], exported["actor"], exported["target"]) == (3, "cli", lines[0])
    assert run("verify") == (0, ["The audit chain holds: 3 events."], "")


def test_a_replaced_chain_is_not_exported(run: Run) -> None:
    record_alone(event(), event())
    run("export")
    tamper("DELETE FROM audit_events")
    tamper("UPDATE audit_head SET number = 0, signature = ''")
    record_alone(event(), event(), event())
    said = "The audit chain is broken at event 2: the archive has another event of this number."
    assert run("export") == (1, [said], "")
    assert run("verify") == (1, [said], "")


def test_exported_files_are_checked_on_demand(run: Run, tmp_path: Path) -> None:
    record_alone(event(), event())
    run("export")
    record_alone(event())
    run("export")
    assert run("verify", "--archive") == (0, ["The audit chain holds: 5 events."], "")
    file = tmp_path / "archive" / "audit" / "000000000001-000000000002.jsonl"
    file.write_text(file.read_text().replace("key:two", "key:six", 1))
    assert run("verify")[0] == 0
    code, (said,), _ = run("verify", "--archive")
    assert (code, said.partition(":")[0]) == (1, "The audit chain is broken at event 1")


def test_exports_that_are_gone_are_missed(run: Run, tmp_path: Path) -> None:
    record_alone(event(), event())
    run("export")
    (tmp_path / "archive" / "audit" / "000000000001-000000000002.jsonl").unlink()
    said = "The audit chain is broken at event 1: it was exported, and the archive has it no more."
    assert run("verify") == (1, [said], "")


def test_a_broken_chain_goes_before_a_missing_export(run: Run, tmp_path: Path) -> None:
    record_alone(event(), event())
    run("export")
    (tmp_path / "archive" / "audit" / "000000000001-000000000002.jsonl").unlink()
    tamper("UPDATE audit_events SET actor = 'key:other' WHERE number = 2")
    assert run("verify")[1][0].startswith("The audit chain is broken at event 2")


def test_the_list_is_a_table_oldest_first(run: Run) -> None:
    record_alone(*map(event, range(3)))
    code, lines, _ = run("list", "--limit", "2")
    assert code == 0
    assert lines[0].split() == ["NUMBER", "AT", "TENANT", "ACTOR", "ACTION", "OUTCOME", "TARGET", "FACTS"]
    assert [line.split()[0] for line in lines[1:]] == ["2", "3"]
    assert lines[2].split()[2:] == ["acme", "key:one", "key.created", "done", "key:two", '{"number":2}']


def test_the_list_begins_at_a_time_in_utc_where_it_does_not_say_otherwise(run: Run) -> None:
    now = datetime.now(UTC)
    with write(engine()) as connection:
        for days in (3, 1):
            record(connection, event(days), at=now - timedelta(days=days))
    for since in (f"{now - timedelta(days=2):%Y-%m-%dT%H:%M}", f"{now - timedelta(days=2):%Y-%m-%dT%H:%M}+00:00"):
        _, lines, _ = run("list", "--since", since, "--json")
        assert [json.loads(line)["facts"] for line in lines] == ['{"number":1}']


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("--since", "yesterday"), "--since: no time as in"), (("--action", "key.stolen"), "there is no such action")],
)
def test_what_cannot_be_looked_for_is_refused_in_one_line(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    code, lines, errors = run("list", *arguments)
    assert (code, lines) == (2, [])
    assert errors.startswith(f"loancheck: {reason}")
    assert errors.count("\n") == 1
