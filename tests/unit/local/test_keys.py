"""`loancheck keys`: what it prints, so that people and scripts can take it, and what it refuses in one line."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from common.database.engine import engine, write
from common.database.tables import api_keys as api_keys_table
from common.security.api_keys import KnownKey, api_keys
from common.security.principal import ROLES
from local.keys import table
from tests.command_line import Run, command_line

pytestmark = pytest.mark.keys


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    with command_line(tmp_path, capsys, "keys") as command:
        yield command


def test_a_new_key_stands_alone_on_the_last_line(run: Run) -> None:
    code, lines, errors = run("create", "--role", "analyst", "--tenant", "acme", "--label", "mobile app")
    assert (code, errors) == (0, "")
    principal = api_keys().check(lines[-1])
    assert principal is not None
    assert (principal.tenant, principal.scopes) == ("acme", ROLES["analyst"])
    assert lines[-2].startswith(f"The key {principal.id.removeprefix('key:')} does not end by itself. It is shown this")
    assert "\n".join(lines).count(lines[-1]) == 1


def test_a_key_may_have_some_scopes_and_an_end(run: Run) -> None:
    scopes = ("--scope", "metrics:read", "--scope", "health:read")
    code, lines, _ = run("create", "--role", "service", *scopes, "--expires-days", "90")
    assert code == 0
    ends = datetime.now(UTC) + timedelta(days=90)
    assert re.search(r"ends at \d{4}-\d\d-\d\d \d\d:\d\d UTC", lines[-2])
    principal = api_keys().check(lines[-1])
    assert principal is not None
    assert principal.scopes == {"metrics:read", "health:read"}
    assert api_keys().check(lines[-1], ends + timedelta(minutes=1)) is None


def test_the_list_shows_all_but_the_secret(run: Run) -> None:
    key = run("create", "--role", "viewer", "--label", "Ann's report", "--tenant", "acme")[1][-1]
    key_id, secret = key.split("_")[1:]
    code, lines, _ = run("list")
    assert code == 0
    assert lines[0].split() == "ID TENANT ROLE STATE CREATED EXPIRES LAST USED SCOPES LABEL".split()
    assert re.fullmatch(
        rf"{key_id}  acme    viewer  active  \S+ \S+  -        -          costs:read,documents:read  Ann's report",
        lines[1],
    )
    assert secret not in "".join(lines)
    assert len(run("list", "--tenant", "nobody")[1]) == 1


def test_a_key_whose_rights_were_changed_in_the_database_is_listed_as_damaged(run: Run) -> None:
    key_id = run("create", "--role", "viewer", "--label", "Ann's report", "--tenant", "acme")[1][-1].split("_")[1]
    with write(engine()) as connection:
        connection.execute(update(api_keys_table).values(tenant="bank"))
    code, lines, _ = run("list")
    assert (code, lines[1].split()[:4]) == (0, [key_id, "bank", "viewer", "damaged"])
    assert run("revoke", key_id) == (0, [f"The key {key_id} is let in no more; it was not before, either."], "")
    assert run("list")[1][1].split()[3] == "revoked"


def test_rotating_prints_the_new_key_alone_and_lets_both_in(run: Run) -> None:
    old = run("create", "--role", "viewer")[1][-1]
    old_id = old.split("_")[1]
    code, lines, _ = run("rotate", old_id, "--overlap-hours", "2")
    assert code == 0
    assert lines[0] == f"The key {old_id} ends in 2 hours, or when it was to end anyway, if that is sooner."
    assert api_keys().check(lines[-1]) is not None
    assert api_keys().check(old) is not None
    assert api_keys().check(old, datetime.now(UTC) + timedelta(hours=2)) is None


def test_revoking_ends_a_key_and_says_whether_there_was_anything_to_end(run: Run) -> None:
    key = run("create", "--role", "viewer")[1][-1]
    key_id = key.split("_")[1]
    assert run("revoke", key_id) == (0, [f"The key {key_id} is let in no more."], "")
    assert api_keys().check(key) is None
    assert run("revoke", key_id) == (0, [f"The key {key_id} is let in no more; it was not before, either."], "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "Missing command. See loancheck --help."),
        (("create",), "Missing option '--role'. See loancheck --help."),
        (("create", "--role", "root"), "there is no such role: it is one of admin, analyst, viewer, service"),
        (
            ("create", "--role", "viewer", "--scope", "query:ask"),
            "the role viewer has only these scopes: costs:read, documents:read",
        ),
        (
            ("create", "--role", "viewer", "--tenant", "A B"),
            "a tenant is 1 to 64 of a-z, 0-9, _ and -, and begins with a letter or digit",
        ),
        (("rotate", "abcdefghjkmn"), "there is no key with this id: loancheck keys list shows them"),
        (("revoke", "abcdefghjkmn"), "there is no key with this id: loancheck keys list shows them"),
        (("rotate", "abcdefghjkmn", "--overlap-hours", "721"), "the overlap must be 0 to 720 hours"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    assert run(*arguments) == (2, [], f"loancheck: {reason}\n")


@pytest.mark.parametrize("days", ["0", "3651", "many"])
def test_an_end_is_within_ten_years(run: Run, days: str) -> None:
    code, lines, errors = run("create", "--role", "viewer", "--expires-days", days)
    assert (code, lines) == (2, [])
    assert errors.startswith("loancheck: Invalid value for '--expires-days': ")
    assert errors.count("\n") == 1


def test_a_table_without_keys_is_its_heading() -> None:
    assert table([]) == "ID  TENANT  ROLE  STATE  CREATED  EXPIRES  LAST USED  SCOPES  LABEL"


def test_times_are_told_to_the_minute() -> None:
    at = datetime(2026, 11, 28, 12, 30, 59, tzinfo=UTC)
    key = KnownKey(
        id="abcdefghjkmn", tenant="acme", role="viewer", scopes=("documents:read",), label="", created_at=at,
        expires_at=at, revoked_at=None, last_used_at=at, rotated_to=None, state="active",
    )  # fmt: skip
    assert table([key]).splitlines()[1].count("2026-11-28 12:30") == 3
