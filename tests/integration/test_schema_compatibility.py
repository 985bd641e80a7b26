"""Code of before the newest migration on the schema of after it: while a deploy takes over, and after a rollback.

The old code is that of the last commit before the newest migration came in, as processes over the same database.
"""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine

from common.database.engine import read
from common.database.moving import move, upgrade
from common.database.schema import version_of
from common.database.schema_versions import MIGRATIONS, known_versions
from tests.installations import (
    POLICY,
    QUESTION,
    ROOT,
    Installation,
    ask,
    ask_of_policy,
    ledger_sums,
    put_policy,
    turns_of,
)

BEFORE, NEWEST = known_versions()[-2:]
ASKED_AT_ONCE = 12

SERVERS = {"DATABASE_URL": "postgresql_url", "CHROMA_URL": "chroma_server"}
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # each starts several functions


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=True).stdout


def commit_before_the_newest_migration() -> str:
    """HEAD where that migration is not committed yet; the test is skipped where git does not know."""
    try:
        is_shallow = git("rev-parse", "--is-shallow-repository").strip() != b"false"
        (newest,) = (MIGRATIONS / "versions").glob(f"{NEWEST}_*.py")
        added = git("log", "--diff-filter=A", "--format=%H", "--", str(newest)).decode().split()
    except (FileNotFoundError, subprocess.CalledProcessError):
        is_shallow, added = True, []
    if is_shallow:
        pytest.skip("git's whole history is not here (git fetch --unshallow)")
    return f"{added[-1]}^" if added else "HEAD"


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old code, in a folder of its own."""
    folder = tmp_path_factory.mktemp("old")
    archive = git("archive", "--format=tar", commit_before_the_newest_migration())
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    versions = sorted(path.name[:4] for path in folder.glob("common/database/migrations/versions/0*.py"))
    assert versions[-1] == BEFORE
    return folder


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """The present code, which has migrated the database; beside a server of PostgreSQL there is one of Chroma."""
    given = {}
    if request.param == "postgresql":
        given = {name: request.getfixturevalue(fixture) for name, fixture in SERVERS.items()}
    made = Installation(data=tmp_path / "data", settings=given)
    engine = made.engine()
    assert upgrade(engine).after == NEWEST
    engine.dispose()
    return made


@pytest.fixture
def old(new: Installation, old_tree: Path) -> Installation:
    """The old code over the same state."""
    return Installation(data=new.data, settings=new.settings, tree=old_tree)


@pytest.fixture
def database(new: Installation) -> Iterator[Engine]:
    engine = new.engine()
    yield engine
    engine.dispose()


def schema_of(engine: Engine) -> str | None:
    with read(engine) as connection:
        return version_of(connection)


def test_a_question_and_a_document_of_the_old_code_are_read_by_the_new(
    new: Installation, old: Installation, database: Engine
) -> None:
    key = old.new_key()
    with old.function("documents", key) as documents, old.function("query", key) as query:
        put_policy(documents)
        answer = ask_of_policy(query)
    assert schema_of(database) == NEWEST  # and nobody has migrated anything
    assert turns_of(database, new.key_file) == [(QUESTION, answer["answer"])]
    before = ledger_sums(database)
    with new.function("query", key) as query:
        follow_up = ask(query, "And when do appraisals of raw land expire?", session=answer["session_id"])
    assert "97" in follow_up["answer"], follow_up
    assert len(turns_of(database, new.key_file)) == 2
    after = ledger_sums(database)
    assert [row[:2] for row in before] == [row[:2] for row in after]
    assert before != after
    assert new.loancheck("audit", "verify").code == 0


def test_both_answer_at_once_and_each_sees_what_the_other_stored(
    new: Installation, old: Installation, database: Engine
) -> None:
    key = new.new_key()
    with ExitStack() as stack:
        old_documents = stack.enter_context(old.function("documents", key))
        new_documents = stack.enter_context(new.function("documents", key))
        queries = [stack.enter_context(one.function("query", key)) for one in (old, new)]
        put_policy(old_documents)
        assert new_documents.get(f"/api/documents/{POLICY['id']}").json()["text"] == POLICY["text"]
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(ask_of_policy, queries * (ASKED_AT_ONCE // 2)))
        put_policy(new_documents, text="Raw land: the loan-to-value limit of this lender is 59 percent.")
        for query in queries:
            ask_of_policy(query, "59")
    assert len(turns_of(database, new.key_file)) == len(answers) + len(queries)


def test_after_a_step_down_the_old_code_goes_on_and_nothing_is_lost(
    new: Installation, old: Installation, database: Engine
) -> None:
    key = new.new_key()
    with new.function("documents", key) as documents, new.function("query", key) as query:
        put_policy(documents)
        ask_of_policy(query)
    turns, sums = turns_of(database, new.key_file), ledger_sums(database)
    move(database, BEFORE, may_lose=True)
    assert (turns_of(database, new.key_file), ledger_sums(database)) == (turns, sums)
    with old.function("query", key) as query:
        ask_of_policy(query)
    assert schema_of(database) == BEFORE
    upgrade(database)  # and again, with what came meanwhile
    assert turns_of(database, new.key_file)[:1] == turns
    assert len(turns_of(database, new.key_file)) == 2
