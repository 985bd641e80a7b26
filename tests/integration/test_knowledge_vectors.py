"""One contract for all vector indexes: in memory, Chroma on disk, Chroma on a server."""

import contextlib
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Never, cast

import chromadb
import httpx
import numpy as np
import pytest
from chromadb.config import Settings
from chromadb.errors import ChromaAuthError, InternalError, InvalidArgumentError
from hypothesis import given
from hypothesis import strategies as st

from common.knowledge import chroma as chroma_module
from common.knowledge import chroma_disk, chroma_local
from common.knowledge.chroma import _HNSW, ChromaIndex, _as_problem, _max_batch, collection_name, tenant_of
from common.knowledge.chroma_disk import ChromaFolder
from common.knowledge.chroma_local import LocalChroma
from common.knowledge.vectors import VectorEntry, VectorIndex, VectorsDamaged, VectorsLost, VectorsUnavailable
from common.llm.embeddings import FloatMatrix
from common.security.principal import TENANT_PATTERN
from common.settings import InvalidSettings
from tests.integration.conftest import MakeVectors
from tests.knowledge_fakes import DIMENSIONS, TENANT, WordEmbedder

if TYPE_CHECKING:
    from chromadb.api.client import Client

NAME = collection_name(WordEmbedder(), TENANT)


def unit_rows(count: int, seed: int = 0) -> FloatMatrix:
    rows = np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32)
    unit: FloatMatrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def entries(rows: FloatMatrix, prefix: str = "r") -> list[VectorEntry]:
    return [
        VectorEntry(id=f"{prefix}:{number}", vector=row, attributes={"document_id": f"d{number % 3}", "kind": prefix})
        for number, row in enumerate(rows)
    ]


def test_an_empty_index_finds_nothing(vectors: VectorIndex) -> None:
    assert vectors.search(TENANT, unit_rows(1)[0], 5) == {}
    assert (vectors.count(TENANT), vectors.ids(TENANT)) == (0, set())
    vectors.upsert(TENANT, [])
    vectors.delete(TENANT, [])
    vectors.delete(TENANT, ["never:0"])


def test_the_nearest_come_first_with_their_cosines(vectors: VectorIndex) -> None:
    rows = unit_rows(200)
    vectors.upsert(TENANT, entries(rows))
    found = vectors.search(TENANT, rows[7], 10)
    expected = np.sort(rows @ rows[7])[::-1][:10]
    assert next(iter(found)) == "r:7"
    assert list(found.values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_approximate_search_misses_next_to_nothing(vectors: VectorIndex) -> None:
    rows, questions = unit_rows(3000), unit_rows(20, seed=1)
    vectors.upsert(TENANT, entries(rows))
    shares = []
    for question in questions:
        best = {f"r:{row}" for row in np.argsort(-(rows @ question))[:100]}
        shares.append(len(best & set(vectors.search(TENANT, question, 100))) / 100)
    assert np.mean(shares) > 0.99


def test_an_upsert_replaces_and_a_delete_removes(vectors: VectorIndex) -> None:
    rows = unit_rows(4)
    vectors.upsert(TENANT, entries(rows[:2]))
    vectors.upsert(TENANT, [VectorEntry(id="r:0", vector=rows[3], attributes={"document_id": "d9"})])
    assert vectors.search(TENANT, rows[3], 1) == {"r:0": pytest.approx(1, abs=1e-5)}
    vectors.delete(TENANT, ["r:0", "never:0"])
    assert vectors.ids(TENANT) == {"r:1"}
    assert set(vectors.search(TENANT, rows[3], 5)) == {"r:1"}


def test_filters_are_equalities_that_all_must_hold(vectors: VectorIndex) -> None:
    rows = unit_rows(9)
    vectors.upsert(TENANT, entries(rows, "a") + entries(rows, "b"))
    assert set(vectors.search(TENANT, rows[0], 20, {"kind": "b", "document_id": "d1"})) == {"b:1", "b:4", "b:7"}
    assert set(vectors.search(TENANT, rows[0], 20, {"document_id": "d2"})) == {"a:2", "a:5", "a:8", "b:2", "b:5", "b:8"}
    assert vectors.search(TENANT, rows[0], 20, {"nothing": "here"}) == {}


def test_tenants_are_apart(vectors: VectorIndex) -> None:
    rows = unit_rows(6)
    vectors.upsert("acme", entries(rows[:2]))
    vectors.upsert("other", entries(rows[2:]))
    assert vectors.tenants() == {"acme", "other"}
    assert (vectors.count("acme"), vectors.count("other")) == (2, 4)
    assert vectors.ids("acme") == {"r:0", "r:1"}
    assert vectors.search("acme", rows[0], 9)["r:0"] == pytest.approx(1, abs=1e-5)
    assert vectors.search("other", rows[0], 9)["r:0"] < 0.99
    assert len(vectors.search("other", rows[0], 9, {"document_id": "d0"})) == 2
    vectors.delete("acme", ["r:0", "r:1"])
    assert (vectors.search("acme", rows[0], 9), vectors.count("other")) == ({}, 4)
    assert vectors.tenants() == {"acme", "other"}
    vectors.drop("acme")
    vectors.drop("acme")
    assert vectors.tenants() == {"other"}
    vectors.upsert("acme", entries(rows[:1]))
    assert (vectors.ids("acme"), vectors.count("other")) == ({"r:0"}, 4)
    vectors.reset()
    assert vectors.tenants() == set()
    assert (vectors.ids("acme"), vectors.ids("other")) == (set(), set())


def test_whoever_asks_or_deletes_for_a_tenant_without_vectors_makes_none(vectors: VectorIndex) -> None:
    assert vectors.search("nobody", unit_rows(1)[0], 5) == {}
    assert vectors.search("nobody", unit_rows(1)[0], 5, {"document_id": "d"}) == {}
    assert (vectors.count("nobody"), vectors.ids("nobody")) == (0, set())
    vectors.delete("nobody", ["r:0"])
    vectors.upsert("nobody", [])
    assert vectors.tenants() == set()


def test_a_tenant_that_another_client_dropped_is_empty_and_can_be_filled(chroma: MakeVectors) -> None:
    rows = unit_rows(3)
    index, other = chroma(), chroma()
    index.upsert(TENANT, entries(rows))
    other.drop(TENANT)
    with contextlib.suppress(VectorsLost):  # a server's client knows it only when it asks
        assert index.search(TENANT, rows[0], 5) == {}
    assert index.search(TENANT, rows[0], 5) == {}
    other.upsert(TENANT, entries(rows[:2]))
    assert index.ids(TENANT) == {"r:0", "r:1"}


def test_more_tenants_than_are_kept_open_find_their_own(chroma: MakeVectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chroma_disk, "LOADED_COLLECTIONS", 2)
    monkeypatch.setattr(chroma_module, "KNOWN_COLLECTIONS", 2)
    rows = unit_rows(5)
    index = chroma()
    tenants = [f"tenant-{number}" for number in range(5)]
    for number, tenant in enumerate(tenants):
        index.upsert(tenant, entries(rows[number : number + 1], tenant))
    for _ in range(2):
        for number, tenant in enumerate(tenants):
            assert index.search(tenant, rows[number], 5) == {f"{tenant}:0": pytest.approx(1, abs=1e-5)}
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(index.search, tenant, rows[0], 5) for tenant in tenants * 8]
        assert [list(one.result()) for one in asked] == [[f"{tenant}:0"] for tenant in tenants * 8]
    access = cast("ChromaIndex", index)._access
    kept = access._opened.loaded if isinstance(access, ChromaFolder) and access._opened else access._found  # type: ignore[attr-defined]
    assert len(kept) <= 2
    assert index.tenants() == set(tenants)


def test_a_search_whose_collection_is_deleted_meanwhile_says_that_it_is_lost(tmp_path: Path) -> None:
    index, other = (ChromaIndex.on_disk(tmp_path, WordEmbedder()) for _ in range(2))
    index.upsert(TENANT, entries(unit_rows(3)))

    def search() -> None:
        with index._access.reading(NAME) as collection:
            other.drop(TENANT)
            assert collection is not None
            collection.query(query_embeddings=unit_rows(1), n_results=1, include=[])

    with pytest.raises(VectorsLost, match="deleted"):
        search()
    assert index.search(TENANT, unit_rows(1)[0], 5) == {}


@given(
    embedders=st.lists(st.builds(WordEmbedder, st.text(max_size=80), st.integers(1, 4096)), min_size=2, max_size=2),
    tenants=st.lists(st.from_regex(TENANT_PATTERN, fullmatch=True), min_size=2, max_size=2),
)
def test_names_are_as_chroma_allows_them_and_of_one_tenant_and_embedder(
    embedders: list[WordEmbedder], tenants: list[str]
) -> None:
    names = {
        (one.name, one.dimensions, tenant): collection_name(one, tenant) for one in embedders for tenant in tenants
    }
    assert len(set(names.values())) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]", name) for name in names.values())
    for (name, dimensions, tenant), collection in names.items():
        assert tenant_of(collection, WordEmbedder(name, dimensions)) == tenant
        others = [one for one in embedders if (one.name, one.dimensions) != (name, dimensions)]
        assert all(tenant_of(collection, one) is None for one in others)


@pytest.mark.parametrize("name", ["", "chunks", "tenant.acme", f"tenant.acme.b.{NAME}", NAME.replace("tenant", "t2")])
def test_another_collection_belongs_to_no_tenant(name: str) -> None:
    assert tenant_of(name, WordEmbedder()) is None


def test_a_reset_index_is_empty_and_usable(vectors: VectorIndex) -> None:
    rows = unit_rows(3)
    vectors.upsert(TENANT, entries(rows))
    vectors.reset()
    assert vectors.count(TENANT) == 0
    vectors.upsert(TENANT, entries(rows[:1]))
    assert vectors.ids(TENANT) == {"r:0"}
    vectors.reset()
    vectors.reset()
    assert vectors.ids(TENANT) == set()


def test_threads_search_while_others_write(vectors: VectorIndex) -> None:
    rows = unit_rows(200)
    vectors.upsert(TENANT, entries(rows[:50]))
    with ThreadPoolExecutor(8) as threads:
        writes = [threads.submit(vectors.upsert, TENANT, entries(rows[:100], f"w{number}")) for number in range(4)]
        searches = [threads.submit(vectors.search, TENANT, row, 5) for row in rows]
        assert all(len(search.result()) == 5 for search in searches)
        for one in writes:
            one.result()
    assert vectors.count(TENANT) == 450


@pytest.mark.parametrize("where", [None, {"document_id": "d1"}], ids=["all", "filtered"])
def test_a_search_withstands_writes_and_deletes_beside_it(chroma: MakeVectors, where: dict[str, str] | None) -> None:
    rows = unit_rows(300)
    index, other = chroma(), chroma()
    index.upsert(TENANT, entries(rows[:200], "kept"))
    is_done = threading.Event()

    def change(vectors: VectorIndex, prefix: str) -> None:
        for number in range(8):
            vectors.upsert(TENANT, entries(rows[200:], f"{prefix}{number}"))
            vectors.delete(TENANT, [entry.id for entry in entries(rows[200:], f"{prefix}{number}")])

    def ask() -> int:
        asked = 0
        while not is_done.is_set():
            assert len(index.search(TENANT, rows[asked % 200], 20, where)) == 20
            asked += 1
        return asked

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask) for _ in range(2)]
        changing = [threads.submit(change, index, "mine"), threads.submit(change, other, "theirs")]
        try:
            for one in changing:
                one.result()
        finally:
            is_done.set()
        assert all(one.result() > 0 for one in asking)


def test_a_search_that_a_write_came_between_is_made_again_without_writers(tmp_path: Path) -> None:
    index, other = (ChromaIndex.on_disk(tmp_path, WordEmbedder()) for _ in range(2))
    rows = unit_rows(5)
    index.upsert(TENANT, entries(rows))
    access = index._access
    assert isinstance(access, ChromaFolder)
    times = iter(range(10))

    class Interrupted:
        """As Chroma is when what has the attribute is gone from its index by then."""

        def query(self, **_: object) -> Never:
            next(times)
            raise InternalError("Error executing plan: Internal error: Error finding id")

    @contextmanager
    def interrupted(_name: str) -> Iterator[Interrupted]:
        yield Interrupted()

    access.reading = interrupted  # type: ignore[assignment,method-assign]  # only `query` is used
    other.upsert(TENANT, entries(rows[:2], "new"))
    assert set(index.search(TENANT, rows[0], 10, {"document_id": "d0"})) == {"r:0", "r:3", "new:0"}  # up to date
    access.quiet = interrupted  # type: ignore[assignment,method-assign]
    with pytest.raises(VectorsUnavailable, match="cannot do this now"):
        index.search(TENANT, rows[0], 10, {"document_id": "d0"})
    assert next(times) == 4


def test_another_client_of_the_same_chroma_sees_each_write(chroma: MakeVectors) -> None:
    rows = unit_rows(30)
    first, second = chroma(), chroma()
    first.upsert(TENANT, entries(rows[:10], "a"))
    assert len(second.search(TENANT, rows[0], 50)) == 10
    second.upsert(TENANT, entries(rows[10:20], "b"))
    assert set(first.search(TENANT, rows[11], 1)) == {"b:1"}
    first.upsert(TENANT, entries(rows[20:], "c"))
    second.delete(TENANT, ["a:0"])
    assert len(first.search(TENANT, rows[0], 50)) == len(second.search(TENANT, rows[0], 50)) == 29


def test_vectors_of_two_embedders_never_meet(tmp_path: Path) -> None:
    small, large = WordEmbedder("words", 8), WordEmbedder("words", 16)
    renamed = WordEmbedder("words!", 8)
    assert len({collection_name(one, TENANT) for one in (small, large, renamed)}) == 3
    ChromaIndex.on_disk(tmp_path, small).upsert(
        TENANT, [VectorEntry(id="r:0", vector=small.embed_query("loan"), attributes={"document_id": "d"})]
    )
    assert ChromaIndex.on_disk(tmp_path, large).search(TENANT, large.embed_query("loan"), 5) == {}


WRITER = """
import sys
from pathlib import Path
from common.knowledge.chroma import ChromaIndex
from tests.integration.test_knowledge_vectors import entries, unit_rows
from tests.knowledge_fakes import TENANT, WordEmbedder

index = ChromaIndex.on_disk(Path(sys.argv[1]), WordEmbedder())
index.upsert(TENANT, entries(unit_rows(int(sys.argv[3])), sys.argv[2]))
print(index.count(TENANT))
"""


def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    rows = unit_rows(1200)  # more than Chroma keeps before it writes its index to disk
    here = ChromaIndex.on_disk(tmp_path, WordEmbedder())
    here.upsert(TENANT, entries(rows[:5], "here"))
    others = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name, "1200"], stdout=subprocess.PIPE)
        for name in ("one", "two")
    ]
    here.upsert(TENANT, entries(rows[:5], "while"))
    assert [other.wait() for other in others] == [0, 0]
    for other in others:
        other.communicate()
    assert here.count(TENANT) == 2410
    found = here.search(TENANT, rows[900], 2)
    assert set(found) == {"one:900", "two:900"}
    here.upsert(TENANT, entries(rows[:5], "after"))
    assert set(ChromaIndex.on_disk(tmp_path, WordEmbedder()).search(TENANT, rows[0], 5)) == {
        f"{name}:0" for name in ("here", "while", "one", "two", "after")
    }


def test_a_reader_never_serves_what_was_before_a_finished_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = unit_rows(5)
    reader, writer = (ChromaIndex.on_disk(tmp_path, WordEmbedder()) for _ in range(2))
    reader.upsert(TENANT, entries(rows, "old"))
    access = writer._access
    assert isinstance(access, ChromaFolder)
    with access.writing(NAME):  # which has finished nothing yet: what is loaded is up to date
        assert len(reader.search(TENANT, rows[0], 10)) == 5
    assert len(reader.search(TENANT, rows[0], 10)) == 5
    writer.upsert(TENANT, entries(rows, "new"))
    with ThreadPoolExecutor(1) as threads:
        with access.writing(NAME):
            with monkeypatch.context() as patched:
                patched.setattr(chroma_disk, "READ_SECONDS", 0.05)
                with pytest.raises(VectorsUnavailable, match="other processes"):
                    reader.search(TENANT, rows[0], 10)
            waiting = threads.submit(reader.search, TENANT, rows[0], 10)
            assert not waiting.done()
        assert len(waiting.result()) == 10


def test_whoever_waits_too_long_for_the_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chroma_disk, "LOCK_SECONDS", 0.05)
    rows = unit_rows(2)
    holder, other, newcomer = (ChromaIndex.on_disk(tmp_path, WordEmbedder()) for _ in range(3))
    other.upsert(TENANT, entries(rows))
    access = holder._access
    assert isinstance(access, ChromaFolder)
    with access.writing(NAME):
        assert other.count(TENANT) == 2
        with pytest.raises(VectorsUnavailable, match="other processes"):
            other.upsert(TENANT, entries(rows))
        with pytest.raises(VectorsUnavailable, match="other processes"):
            newcomer.count(TENANT)
    assert newcomer.count(TENANT) == 2


def test_a_write_that_failed_half_way_makes_everybody_open_the_folder_again(tmp_path: Path) -> None:
    rows = unit_rows(4)
    index, other = (ChromaIndex.on_disk(tmp_path, WordEmbedder()) for _ in range(2))
    index.upsert(TENANT, entries(rows[:2]))
    with pytest.raises(InvalidArgumentError):
        index.upsert(
            TENANT, [VectorEntry(id="r:9", vector=np.ones(3, dtype=np.float32), attributes={"document_id": "d"})]
        )
    assert other.count(TENANT) == 2
    index.upsert(TENANT, entries(rows))
    assert (index.count(TENANT), other.count(TENANT)) == (4, 4)


def test_a_deleted_folder_is_an_empty_index(tmp_path: Path) -> None:
    index = ChromaIndex.on_disk(tmp_path / "chroma", WordEmbedder())
    index.upsert(TENANT, entries(unit_rows(3)))
    shutil.rmtree(tmp_path / "chroma")
    assert index.ids(TENANT) == set()
    index.upsert(TENANT, entries(unit_rows(2)))
    assert index.count(TENANT) == 2


@pytest.mark.parametrize("what", ["database", "index"])
def test_a_damaged_folder_says_so_and_can_be_reset(tmp_path: Path, what: str) -> None:
    index = ChromaIndex.on_disk(tmp_path, WordEmbedder())
    index.upsert(TENANT, entries(unit_rows(1500)))
    if what == "database":
        (tmp_path / "chroma.sqlite3").write_bytes(b"no database" * 1000)
    else:
        next(tmp_path.glob("*/index_metadata.pickle")).write_bytes(b"")
    other = ChromaIndex.on_disk(tmp_path, WordEmbedder())
    with pytest.raises(VectorsDamaged, match="built again"):
        other.search(TENANT, unit_rows(1)[0], 5)
    with pytest.raises(VectorsDamaged):
        other.upsert(TENANT, entries(unit_rows(1)))
    other.reset()
    other.upsert(TENANT, entries(unit_rows(2)))
    assert other.count(TENANT) == index.count(TENANT) == 2


def test_a_folder_that_cannot_be_emptied_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    index = ChromaIndex.on_disk(tmp_path, WordEmbedder())
    index.upsert(TENANT, entries(unit_rows(2)))
    monkeypatch.setattr(shutil, "rmtree", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(VectorsUnavailable, match="Permission denied") as refused:
        index.reset()
    assert str(tmp_path) not in str(refused.value)
    monkeypatch.undo()
    index.reset()
    assert index.count(TENANT) == 0


@contextmanager
def chromas_client(folder: Path) -> Iterator["Client"]:
    """Chroma's own client on `folder`."""
    client = cast("Client", chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False)))
    try:
        yield client
    finally:
        client.close()


@pytest.mark.filterwarnings("ignore:legacy embedding function config:DeprecationWarning")  # said of any without one
def test_chromas_own_client_reads_what_we_write(tmp_path: Path) -> None:
    rows = unit_rows(30)
    index = ChromaIndex.on_disk(tmp_path, WordEmbedder())
    index.upsert(TENANT, entries(rows))
    with chromas_client(tmp_path) as client:
        theirs = client.get_collection(NAME, embedding_function=None)
        found = theirs.query(query_embeddings=rows[:1], n_results=5, include=["distances"])
        assert found["ids"][0] == list(index.search(TENANT, rows[0], 5))
        assert theirs.get(where={"document_id": "d2"})["ids"] == [f"r:{row}" for row in range(2, 30, 3)]
        made = client.create_collection("made", configuration={"hnsw": _HNSW}, embedding_function=None)
        assert made.configuration == theirs.configuration


def test_we_read_what_chromas_own_client_writes(tmp_path: Path) -> None:
    rows = unit_rows(30)
    with chromas_client(tmp_path) as client:
        theirs = client.create_collection(NAME, configuration={"hnsw": _HNSW}, embedding_function=None)
        theirs.upsert(
            ids=[entry.id for entry in entries(rows)],
            embeddings=rows,
            metadatas=[dict(entry.attributes) for entry in entries(rows)],
        )
        most = client.get_max_batch_size()
    index = ChromaIndex.on_disk(tmp_path, WordEmbedder())
    assert (index.count(TENANT), index.ids(TENANT)) == (30, {f"r:{row}" for row in range(30)})
    assert next(iter(index.search(TENANT, rows[7], 5))) == "r:7"
    assert set(index.search(TENANT, rows[7], 30, {"document_id": "d1"})) == {f"r:{row}" for row in range(1, 30, 3)}
    with index._access.reading(NAME) as ours:
        assert ours is not None
        assert _max_batch(ours) == most


def test_a_folder_is_searched_without_chromas_client(tmp_path: Path) -> None:
    ChromaIndex.on_disk(tmp_path, WordEmbedder()).upsert(TENANT, entries(unit_rows(3)))
    script = """
import sys
from pathlib import Path
from common.knowledge.chroma import ChromaIndex
from tests.knowledge_fakes import TENANT, WordEmbedder

index = ChromaIndex.on_disk(Path(sys.argv[1]), WordEmbedder())
assert len(index.search(TENANT, WordEmbedder().embed_query("lien"), 5)) == 3
assert index.search("a-new-tenant", WordEmbedder().embed_query("lien"), 5) == {}
assert "chromadb" not in sys.modules, "half a second of each instance's first answer"
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


def test_a_mistake_of_ours_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Never:
        raise KeyError

    index = ChromaIndex.on_disk(tmp_path, WordEmbedder())
    for owner, part in ((LocalChroma, "collections"), (chroma_local, "LocalChroma")):
        monkeypatch.setattr(owner, part, fail)
        with pytest.raises(KeyError):
            index.count(TENANT)
        monkeypatch.undo()
    assert index.count(TENANT) == 0


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    index = ChromaIndex.on_disk(tmp_path / "file" / "chroma", WordEmbedder())
    with pytest.raises(VectorsUnavailable, match="Not a directory"):
        index.search(TENANT, unit_rows(1)[0], 5)
    with pytest.raises(VectorsUnavailable, match="Not a directory"):
        index.upsert(TENANT, entries(unit_rows(1)))


def test_a_server_that_is_not_there_says_so(free_port: int) -> None:
    index = ChromaIndex.on_server(f"http://127.0.0.1:{free_port}", WordEmbedder())
    with pytest.raises(VectorsUnavailable, match="does not answer"):
        index.search(TENANT, unit_rows(1)[0], 5)
    with pytest.raises(VectorsUnavailable, match="does not answer"):
        index.reset()


@pytest.mark.servers
def test_a_server_that_lost_its_collection_gets_a_new_one(chroma_server: str) -> None:
    embedder = WordEmbedder("words-lost")
    index, other = (ChromaIndex.on_server(chroma_server, embedder, "a-token") for _ in range(2))
    index.upsert(TENANT, entries(unit_rows(3)))
    other.reset()
    with pytest.raises(VectorsUnavailable, match="lost"):
        index.search(TENANT, unit_rows(1)[0], 5)
    assert index.search(TENANT, unit_rows(1)[0], 5) == {}


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("slow"),
        ChromaAuthError("key 123 is wrong"),
        InternalError("full"),
        Exception("<html>502</html>"),
    ],
)
def test_what_chroma_raises_becomes_a_problem_without_its_words(error: Exception) -> None:
    with pytest.raises(VectorsUnavailable) as refused, _as_problem():
        raise error
    assert str(error) not in str(refused.value)


def test_a_mistake_of_ours_is_not_taken_for_an_outage() -> None:
    for error in (InvalidArgumentError("dimension"), KeyError("x")):
        with pytest.raises(type(error)), _as_problem():
            raise error


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("chroma:8000", "http"),
        ("ftp://127.0.0.1", "http"),
        ("http://", "host"),
        ("nonsense", "http"),
        ("http://chroma:70000", "port"),
        ("http://chroma:port", "port"),
        ("http://[chroma", "host"),
        ("https://somebody:secret@chroma:8000", "user"),
        ("https://chroma:8000/behind/a/path", "path"),
        ("https://chroma:8000?tenant=a", "path"),
    ],
)
def test_a_url_that_chroma_cannot_use_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(InvalidSettings, match=f"CHROMA_URL: .*{reason}") as refused:
        ChromaIndex.on_server(url, WordEmbedder())
    assert "secret" not in str(refused.value)


def test_a_url_may_end_in_a_slash() -> None:
    assert isinstance(ChromaIndex.on_server("https://chroma.example.com/", WordEmbedder()), ChromaIndex)
