"""What `kill -9` leaves: the old document or the new one, and nothing that the next start does not clear."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, func, select

from common.database.engine import create_engine_for, read
from common.database.tables import audit_events, chunks, revisions
from common.knowledge import store as store_module
from common.knowledge.chroma import ChromaIndex
from common.knowledge.index import Index
from common.knowledge.store import KnowledgeStore
from common.knowledge.stored_events import Storing
from tests.key_rings import ring_over
from tests.knowledge_fakes import TENANT, Spying, WordEmbedder, document, store_over

ROOT = Path(__file__).parents[2]
OLD, NEW = document(says="The old limit is 65 percent."), document(says="The new limit is 75 percent.")
VECTORS_POINTS = ("before_upsert", "after_upsert", "before_delete", "after_delete")
STORE_POINTS = ("_announce", "_put_in")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def put_and_die(url: str, chroma: str, point: str) -> None:
    """Runs in a process of its own: replaces the document, and is killed at `point`."""
    engine = create_engine_for(url)
    vectors = open_chroma(chroma)
    if point in VECTORS_POINTS:
        store_over(engine, Spying(vectors, **{point: die}), prefix="child").put([NEW], tenant=TENANT)
    else:
        die_after(point)
        store_over(engine, vectors, prefix="child").put([NEW], tenant=TENANT)


def die_after(method: str) -> None:
    """Kill the process when this method of the store returns; of those inside the swap, before it is committed."""
    original: Callable[..., object] = getattr(KnowledgeStore, method)

    def dying(*arguments: object) -> None:
        original(*arguments)
        die()

    setattr(KnowledgeStore, method, dying)


def open_chroma(where: str) -> ChromaIndex:
    embedder = WordEmbedder("words-crash")
    is_server = where.startswith("http")
    return ChromaIndex.on_server(where, embedder) if is_server else ChromaIndex.on_disk(Path(where), embedder)


@pytest.fixture(params=["embedded", pytest.param("servers", marks=pytest.mark.servers)])
def backends(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Engine, str]:
    """A fresh database, and where an empty Chroma is: once the embedded defaults, once two servers."""
    if request.param == "embedded":
        return request.getfixturevalue("sqlite_database"), str(tmp_path / "chroma")
    url: str = request.getfixturevalue("chroma_server")
    open_chroma(url).reset()
    return request.getfixturevalue("postgresql_database"), url


@pytest.mark.parametrize("point", [*VECTORS_POINTS, *STORE_POINTS])
def test_a_killed_write_leaves_the_old_or_the_new_document(backends: tuple[Engine, str], point: str) -> None:
    database, chroma_at = backends
    store_over(database, open_chroma(chroma_at), prefix="old").put([OLD], tenant=TENANT)
    url = database.url.render_as_string(hide_password=False)
    code = f"from tests.integration.test_knowledge_crash import *; put_and_die({url!r}, {chroma_at!r}, {point!r})"
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr

    vectors = open_chroma(chroma_at)
    survivor = store_over(database, vectors, prefix="survivor")
    expected = NEW if point in {"before_delete", "after_delete"} else OLD
    assert found(database, vectors, survivor) == expected  # before any repair
    survivor.repair()
    assert found(database, vectors, survivor) == expected
    with read(database) as connection:
        current = set(connection.execute(select(chunks.c.vector_id)).scalars())
        assert connection.execute(select(func.count()).select_from(revisions)).scalar_one() == 0
    assert vectors.ids(TENANT) == current
    survivor.put([NEW], tenant=TENANT)
    assert found(database, vectors, survivor) == NEW


def found(database: Engine, vectors: ChromaIndex, store: KnowledgeStore) -> object:
    """The stored document, once the search has shown that its chunks are those that are found."""
    stored = store.get(OLD.id, tenant=TENANT)
    assert stored is not None
    hits = Index(database, vectors, WordEmbedder("words-crash")).search("What is the limit?", 20, tenant=TENANT)
    assert len(hits) == stored.chunks
    assert all(hit.chunk.text == stored.document.text[hit.chunk.start : hit.chunk.end] for hit in hits)
    return stored.document


def put_many_and_die(url: str, chroma: str) -> None:
    """Runs in a process of its own: stores three documents in three groups, and is killed within the second swap."""
    store_module.GROUP_CHUNKS = 1
    engine = create_engine_for(url)
    note = Storing(tenant=TENANT, actor="cli").along(ring_over(engine))
    seen: list[str] = []

    def along(connection: Connection, ids: Sequence[str]) -> None:
        note(connection, ids)
        seen.extend(ids)
        if len(seen) == 2:
            die()

    given = [document(name) for name in ("a", "b", "c")]
    store_over(engine, open_chroma(chroma), prefix="child").put(given, tenant=TENANT, along=along)


def test_what_a_killed_batch_has_stored_is_in_the_audit_and_nothing_else(backends: tuple[Engine, str]) -> None:
    database, chroma_at = backends
    ring_over(database)
    url = database.url.render_as_string(hide_password=False)
    code = f"from tests.integration.test_knowledge_crash import *; put_many_and_die({url!r}, {chroma_at!r})"
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    store = store_over(database, open_chroma(chroma_at), prefix="survivor")
    assert [name for name in "abc" if store.get(name, tenant=TENANT)] == ["a"]
    assert audited(database) == [["a"]]
    store.repair()
    storing = Storing(tenant=TENANT, actor="cli")
    given = [document(name) for name in ("a", "b", "c")]
    assert store.put(given, tenant=TENANT, along=storing.along(ring_over(database))).unchanged == 1
    assert audited(database) == [["a"], ["b", "c"]]


def audited(database: Engine) -> list[list[str]]:
    """The ids of documents that each event says were stored."""
    with read(database) as connection:
        facts = connection.execute(select(audit_events.c.facts).order_by(audit_events.c.number)).scalars()
        return [json.loads(one)["ids"] for one in facts]


SAVING = """
import sys
from pathlib import Path
from common.knowledge.chroma import ChromaIndex
from tests.integration.test_knowledge_vectors import entries, unit_rows
from tests.knowledge_fakes import TENANT, WordEmbedder

index = ChromaIndex.on_disk(Path(sys.argv[1]), WordEmbedder("words-crash"))
print("ready", flush=True)
for number in range(1000):
    index.upsert(TENANT, entries(unit_rows(1000), f"w{number}"))
    print(number, flush=True)
"""


def test_chroma_killed_while_it_saves_is_filled_again(sqlite_database: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "chroma"
    store_over(sqlite_database, open_chroma(str(folder)), prefix="old").put([OLD], tenant=TENANT)
    child = subprocess.Popen([sys.executable, "-c", SAVING, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert [child.stdout.readline() for _ in range(3)] == ["ready\n", "0\n", "1\n"]
    child.kill()
    child.communicate()
    for torn in folder.glob("*/index_metadata.pickle"):  # whether or not the kill hit the moment: as it leaves it
        torn.write_bytes(torn.read_bytes()[:10])

    vectors = open_chroma(str(folder))
    survivor = store_over(sqlite_database, vectors, prefix="survivor")
    survivor.repair()
    assert found(sqlite_database, vectors, survivor) == OLD
    with read(sqlite_database) as connection:
        assert vectors.ids(TENANT) == set(connection.execute(select(chunks.c.vector_id)).scalars())
