"""Vectors in this instance's memory, kept to what the database holds: for instances that share it and nothing else."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cachetools import LRUCache
from sqlalchemy import Engine, select

from common.database.engine import read
from common.database.tables import knowledge_state
from common.knowledge.lexical import Filter
from common.knowledge.stored_vectors import current_counts, current_ids, stored_entries
from common.knowledge.vectors import MemoryVectors, VectorEntry
from common.llm.embeddings import Embedder, FloatVector

MOST_TENANTS = 100  # in memory; whoever has not asked for longest is read again when he does
_AT_ONCE = 1_000  # read together


@dataclass(slots=True)
class _Read:
    """A tenant's vectors, of which state of the knowledge base they are, and who may change both."""

    here: MemoryVectors
    state: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class DatabaseVectors:
    """A `VectorIndex` that needs no writes, since each vector comes with its chunk in the database.

    A tenant's vectors are read when he first asks here, and after each change of the knowledge base what has changed:
    10,000 chunks take some 20 MB of memory, and twice that for a moment after a change. The search is exact.

    Raises `DatabaseUnavailable`, where a search has to look at the database.
    """

    def __init__(self, engine: Engine, embedder: Embedder) -> None:
        self._engine = engine
        self._embedder = embedder
        self._tenants: LRUCache[str, _Read] = LRUCache(MOST_TENANTS)
        self._lock = threading.Lock()

    def search(self, tenant: str, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
        """See `VectorIndex`."""
        with self._lock:
            mine = self._tenants.setdefault(tenant, _Read(MemoryVectors(self._embedder.dimensions)))
        with mine.lock:  # of several that find something changed, one reads it; other tenants go on
            self._keep_up(tenant, mine)
        return mine.here.search(tenant, vector, limit, where)

    def upsert(self, tenant: str, entries: Sequence[VectorEntry]) -> None:
        """Nothing: they are there with the chunks that they belong to."""

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        """Nothing: they are gone with their chunks."""

    def drop(self, tenant: str) -> None:
        """Nothing, likewise."""

    def count(self, tenant: str) -> int:
        """See `VectorIndex`."""
        return self._counts().get(tenant, 0)

    def ids(self, tenant: str) -> set[str]:
        """See `VectorIndex`."""
        with read(self._engine) as connection:
            return current_ids(connection, tenant, self._embedder)

    def tenants(self) -> set[str]:
        """See `VectorIndex`."""
        return set(self._counts())

    def reset(self) -> None:
        """Forget what was read."""
        with self._lock:
            self._tenants.clear()

    def _counts(self) -> Mapping[str, int]:
        with read(self._engine) as connection:
            return current_counts(connection, self._embedder)

    def _keep_up(self, tenant: str, mine: _Read) -> None:
        with read(self._engine) as connection:
            state = connection.execute(select(knowledge_state.c.generation)).scalar_one()
            if mine.state == state:
                return
            current, known = current_ids(connection, tenant, self._embedder), mine.here.ids(tenant)
            mine.here.delete(tenant, sorted(known - current))
            missing = sorted(current - known)
            for start in range(0, len(missing), _AT_ONCE):
                some = missing[start : start + _AT_ONCE]
                mine.here.upsert(tenant, stored_entries(connection, tenant, some, self._embedder))
        mine.state = state
