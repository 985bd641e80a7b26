"""Fixtures of the integration tests."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.knowledge.chroma import ChromaIndex
from common.knowledge.vectors import MemoryVectors, VectorIndex
from tests import servers
from tests.knowledge_fakes import DIMENSIONS, WordEmbedder

_numbers = itertools.count(1)

MakeVectors = Callable[[], VectorIndex]


@pytest.fixture
def pushgateway() -> Iterator[str]:
    """The URL of a Pushgateway with nothing in it."""
    with servers.pushgateway() as url:
        yield url


SERVER = pytest.param("server", marks=pytest.mark.servers)


@pytest.fixture(params=["disk", SERVER])
def chroma(request: pytest.FixtureRequest, tmp_path: Path) -> MakeVectors:
    """Opens one Chroma, each call as another process would: on disk, and on a real server. It starts empty."""
    return make_vectors(request, tmp_path)


@pytest.fixture(params=["memory", "disk", SERVER])
def vectors(request: pytest.FixtureRequest, tmp_path: Path) -> VectorIndex:
    """An empty vector index of each kind."""
    return MemoryVectors(DIMENSIONS) if request.param == "memory" else make_vectors(request, tmp_path)()


def make_vectors(request: pytest.FixtureRequest, tmp_path: Path) -> MakeVectors:
    embedder = WordEmbedder(name=f"words-{next(_numbers)}")
    if request.param == "disk":
        return lambda: ChromaIndex.on_disk(tmp_path / "chroma", embedder)
    url: str = request.getfixturevalue("chroma_server")
    return lambda: ChromaIndex.on_server(url, embedder)
