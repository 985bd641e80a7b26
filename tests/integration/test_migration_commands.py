"""The commands that a deploy migrates with, as processes; and functions that leave migrating to them."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from common.database import engine as engine_module
from common.database.engine import DatabaseBehind, create_engine_for, engine, read, write
from common.database.migrations.__main__ import main
from common.database.moving import move
from common.database.schema import version_of
from common.database.schema_versions import known_versions
from common.settings import settings
from local import loancheck
from tests.installations import Installation

ROOT = Path(__file__).resolve().parents[2]
NEWEST = known_versions()[-1]


def python(*arguments: str, url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(*arguments: str, url: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    process = python("-m", "common.database.migrations", *arguments, url=url)
    said, complained = process.communicate()
    return process.returncode, said, complained


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def test_upgrading_says_in_one_line_what_it_did_and_the_second_time_that_nothing_was_to_do(
    empty_database_url: str,
) -> None:
    assert run("upgrade", url=empty_database_url) == (0, f"The schema went from version none to {NEWEST}.\n", "")
    assert run("upgrade", url=empty_database_url) == (0, f"The schema is at version {NEWEST} already.\n", "")


EIGHT_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from common.database.migrations.__main__ import main
with ThreadPoolExecutor(8) as threads:
    list(threads.map(main, [["upgrade"]] * 8))
"""


def test_of_32_that_upgrade_at_once_one_migrates(empty_database_url: str) -> None:
    processes = [python("-c", EIGHT_THREADS, url=empty_database_url) for _ in range(4)]
    outputs = [process.communicate() for process in processes]
    assert [complained for _, complained in outputs if complained] == []
    assert Counter("".join(said for said, _ in outputs).splitlines()) == {
        f"The schema went from version none to {NEWEST}.": 1,
        f"The schema is at version {NEWEST} already.": 31,
    }


def test_down_and_up_again_and_what_goes_with_what(database: Engine) -> None:
    url = url_of(database)
    assert run("downgrade", "0003", url=url)[:2] == (0, f"The schema went from version {NEWEST} to 0003.\n")
    assert run("status", url=url)[1] == (
        f"The schema is at version 0003; this program's is {NEWEST}: it has to be brought up.\n"
    )
    assert run("upgrade", url=url)[0] == 0
    assert "takes programs from version 0003 on" in run("status", url=url)[1]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "the following arguments are required: command"),
        (("downgrade",), "the following arguments are required: VERSION"),
        (("downgrade", "9999"), "there is no version '9999'; known are 0001, "),
        (("downgrade", "0002"), "--yes"),
        (("sideways",), "invalid choice: 'sideways'"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line_and_exit_code_2(
    sqlite_database: Engine, arguments: tuple[str, ...], reason: str
) -> None:
    code, said, complained = run(*arguments, url=url_of(sqlite_database))
    assert (code, said, complained.count("\n")) == (2, "", 1)
    assert reason in complained


def test_a_database_that_is_away_is_one_line_without_its_address(free_port: int) -> None:
    url = f"postgresql://jane:s3cret@127.0.0.1:{free_port}/loans"
    code, said, complained = run("upgrade", url=url)
    assert (code, said, complained.count("\n")) == (1, "", 1)
    assert complained.startswith("migrations: The database is not available (OperationalError)")
    assert "s3cret" not in complained


@pytest.mark.servers
def test_a_table_that_others_hold_is_told_from_a_database_that_is_away(
    postgresql_database: Engine, configured: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured.setattr(engine_module, "TABLE_WAIT_SECONDS", 1)
    configured.setenv("DATABASE_URL", url_of(postgresql_database))
    move(postgresql_database, "0003", may_lose=False)
    with write(postgresql_database) as connection:
        connection.execute(text("LOCK TABLE notices IN ROW EXCLUSIVE MODE"))  # as a long write holds it
        with pytest.raises(SystemExit) as ended:
            main(["upgrade"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "migrations: others hold a table that is to be changed; nothing is changed: run it again\n"
    )


def test_an_address_that_is_none_is_named_by_its_setting() -> None:
    assert run("upgrade", url="mysql://jane:s3cret@db/loans") == (
        2, "", "migrations: DATABASE_URL: must begin with sqlite:///FILE or postgresql+psycopg://\n",
    )  # fmt: skip


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Its environment is read anew."""
    settings.cache_clear()
    engine.cache_clear()
    yield monkeypatch
    settings.cache_clear()
    engine.cache_clear()


@pytest.mark.parametrize("version", [None, "0003"])
def test_who_is_not_to_migrate_says_what_would_until_somebody_has(
    empty_database_url: str, configured: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str | None
) -> None:
    own = create_engine_for(empty_database_url)
    if version:
        move(own, version, may_lose=False)
    configured.setattr(engine_module, "_told", set())
    configured.setenv("DATABASE_URL", empty_database_url)
    configured.setenv("MIGRATE_ON_START", "false")
    for _ in range(3):
        with pytest.raises(DatabaseBehind) as caught:
            engine()
        assert caught.value.detail == (
            f"It is at version {version or 'none'}, and needed is {NEWEST}: "
            "python -m common.database.migrations upgrade"
        )
    with read(own) as connection:
        assert version_of(connection) == version
    assert capsys.readouterr().out.count("database.unusable") == 1
    move(own, NEWEST, may_lose=False)
    with read(engine()) as connection:
        assert version_of(connection) == NEWEST
    engine().dispose()
    own.dispose()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def test_a_function_on_an_older_schema_is_a_503_and_recovers_by_itself(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    database: Engine = request.getfixturevalue(f"{kind}_database")
    given = {"DATABASE_URL": url_of(database), "MIGRATE_ON_START": "false"}
    installation = Installation(data=tmp_path / "data", settings=given)
    key = installation.new_key()
    move(database, "0003", may_lose=False)
    with installation.function("query", key) as query:
        refused = query.post("/api/query", json={"message": "What is an appraisal?"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "5")
        problem = refused.json()
        assert (problem["type"], problem["title"]) == (
            "/problems/database-behind", "The database's schema is behind this program",
        )  # fmt: skip
        assert "python -m common.database.migrations upgrade" in problem["detail"]
        assert run("upgrade", url=url_of(database))[0] == 0
        assert query.post("/api/query", json={"message": "What is an appraisal?"}).status_code == HTTPStatus.OK


def test_the_command_line_goes_to_a_version_and_asks_before_it_deletes(tmp_path: Path) -> None:
    installation = Installation(data=tmp_path / "data")
    assert installation.loancheck("migrate").said == f"The schema went from version none to {NEWEST}.\n"
    down = installation.loancheck("migrate", "--to", "0003")
    assert (down.code, down.said) == (0, f"The schema went from version {NEWEST} to 0003.\n")
    asked = installation.loancheck("migrate", "--to", "0001")
    assert (asked.code, asked.said, asked.complained.count("\n")) == (loancheck.CANNOT, "", 1)
    assert "deletes budgets" in asked.complained
    assert "--yes" in asked.complained
    gone = installation.loancheck("migrate", "--to", "0001", "--yes")
    assert gone.said == "The schema went from version 0003 to 0001.\n"
    assert installation.loancheck("migrate", "--to", "x").code == loancheck.CANNOT
