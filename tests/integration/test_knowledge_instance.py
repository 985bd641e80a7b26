"""An instance's own store and index, made from the settings."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.database.engine import engine, migrate
from common.knowledge.index import knowledge_index
from common.knowledge.store import Document, knowledge_store
from common.knowledge.vector_indexes import vector_index
from common.llm.models import embedder
from common.settings import settings
from tests.knowledge_fakes import TENANT

ROOT = Path(__file__).parents[2]
LAND = Document(id="land", title="Land", text="Raw land is lent on up to 65 percent of its appraised value.")
INGEST = """
from common.knowledge.store import Document, knowledge_store
ship = Document(id="ship", title="Ships", text="Ships need a marine survey each year.")
print(knowledge_store().put([ship], tenant="acme").chunks)
"""


@pytest.fixture
def new_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Forgets what this process made from its settings, before and after; all state goes below `tmp_path`."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    for name in ("DATABASE_URL", "CHROMA_URL", "CHROMA_TOKEN", "GEMINI_API_KEY", "EMBEDDING_MODEL"):
        monkeypatch.delenv(name, raising=False)
    made = (settings, engine, embedder, vector_index, knowledge_store, knowledge_index)
    for factory in made:
        factory.cache_clear()
    yield monkeypatch
    engine().dispose()
    for factory in made:
        factory.cache_clear()


@pytest.mark.usefixtures("new_instance")
def test_what_another_process_ingests_is_found_by_one_that_is_running(tmp_path: Path) -> None:
    migrate(engine())
    knowledge_store().put([LAND], tenant=TENANT)
    index = knowledge_index()
    assert [hit.id for hit in index.search("marine survey", 5, tenant=TENANT)] == ["land#0"]
    other = subprocess.run(
        [sys.executable, "-c", INGEST],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert other.stdout == "1\n", other.stderr
    best, second = index.search("marine survey", 5, tenant=TENANT)
    assert (best.id, second.id) == ("ship#0", "land#0")
    assert best.dense == pytest.approx(
        vector_index().search(TENANT, embedder().embed_query("marine survey"), 1).popitem()[1]
    )
    assert knowledge_store().delete("ship", tenant=TENANT)
    assert [hit.id for hit in index.search("marine survey", 5, tenant=TENANT)] == ["land#0"]
    assert knowledge_store() is knowledge_store()


@pytest.mark.servers
def test_a_chroma_server_is_used_where_one_is_named(new_instance: pytest.MonkeyPatch, chroma_server: str) -> None:
    new_instance.setenv("CHROMA_URL", chroma_server)
    new_instance.setenv("CHROMA_TOKEN", "a-token")
    migrate(engine())
    knowledge_store().put([LAND], tenant=TENANT)
    assert vector_index().count(TENANT) == 1
    assert not (settings().data_dir / "chroma").exists()
    vector_index().reset()


@pytest.mark.servers
def test_instances_of_a_database_server_need_no_folder_in_common(
    new_instance: pytest.MonkeyPatch, postgresql_url: str, tmp_path: Path
) -> None:
    new_instance.setenv("DATABASE_URL", postgresql_url)
    knowledge_store().put([LAND], tenant=TENANT)
    other = subprocess.run(
        [sys.executable, "-c", INGEST + "\nimport sys; print('chromadb' in sys.modules)"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(tmp_path / "elsewhere"), "DATABASE_URL": postgresql_url},
        capture_output=True,
        text=True,
    )
    assert other.stdout == "1\nFalse\n", other.stderr
    best = knowledge_index().search("marine survey", 1, tenant=TENANT)[0]
    assert (best.id, best.dense > 0.3) == ("ship#0", True)
    assert not (tmp_path / "chroma").exists()
