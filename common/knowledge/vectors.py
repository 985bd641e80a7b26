"""The vector side of the knowledge index: the `VectorIndex` seam, and one in memory for benchmarks and small sets.

What lies here is a copy: the database holds each current vector as well and decides which ones count. A vector index
may hold vectors of replaced or half-written revisions for a while, and it can be thrown away and built again.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from common.knowledge.lexical import Filter
from common.llm.embeddings import FloatMatrix, FloatVector
from common.problems import Unavailable


class VectorsUnavailable(Unavailable):
    """The vector index does not answer. Searches can go on without it: `Index.search(only_lexical=True)`."""

    type = "/problems/vectors-unavailable"
    title = "The vector index is not available"


class VectorsLost(VectorsUnavailable):
    """The vector index was emptied or replaced. It can be asked again, and `KnowledgeStore` fills it."""


class VectorsDamaged(VectorsUnavailable):
    """The vector index cannot be read any more. `KnowledgeStore.repair` builds it again from the database."""

    type = "/problems/vectors-damaged"
    title = "The vector index is damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorEntry:
    """A chunk's unit-length vector under its id, and what searches may filter it by."""

    id: str
    vector: FloatVector
    attributes: Mapping[str, str]


class VectorIndex(Protocol):
    """Each tenant's vectors by id, apart from all others', searched by cosine. Safe to share between threads.

    Everything raises `VectorsUnavailable` where the index is out of reach, `VectorsDamaged` where it is broken,
    `VectorsLost` where it was found emptied. Asking for a tenant who has no vectors finds nothing and leaves nothing.
    """

    def upsert(self, tenant: str, entries: Sequence[VectorEntry]) -> None:
        """Store these, over whatever has the same ids."""

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        """Forget these; unknown ids are no error."""

    def search(self, tenant: str, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
        """Cosine by id, best first, of the `limit` nearest whose attributes match `where`; approximate."""

    def count(self, tenant: str) -> int:
        """How many vectors there are, whether current or not."""

    def ids(self, tenant: str) -> set[str]:
        """All ids."""

    def tenants(self) -> set[str]:
        """For whom something was stored; all of it may be deleted by now."""

    def drop(self, tenant: str) -> None:
        """Forget the tenant with all vectors; unknown tenants are no error."""

    def reset(self) -> None:
        """Throw everything of every tenant away, damaged or not, and start empty."""


class MemoryVectors:
    """Exact search over a matrix in memory for each tenant."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._lock = threading.Lock()
        self._tenants: dict[str, _Rows] = {}

    def upsert(self, tenant: str, entries: Sequence[VectorEntry]) -> None:
        """See `VectorIndex`."""
        if not entries:
            return
        with self._lock:
            rows = self._tenants.setdefault(tenant, _Rows(self._dimensions))
            rows.entries.update({entry.id: entry for entry in entries})
            rows.matrix = None

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        """See `VectorIndex`."""
        with self._lock:
            rows = self._rows(tenant)
            for one in ids:
                rows.entries.pop(one, None)
            rows.matrix = None

    def search(self, tenant: str, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
        """See `VectorIndex`."""
        with self._lock:
            entries, matrix = self._rows(tenant).stacked()
        cosines = matrix @ vector
        kept = [row for row, entry in enumerate(entries) if _matches(entry, where)] if where else range(len(entries))
        rows = np.fromiter(kept, dtype=np.intp)
        best = rows[np.argsort(-cosines[rows], kind="stable")[:limit]]
        return {entries[row].id: float(cosines[row]) for row in best}

    def count(self, tenant: str) -> int:
        """See `VectorIndex`."""
        with self._lock:
            return len(self._rows(tenant).entries)

    def ids(self, tenant: str) -> set[str]:
        """See `VectorIndex`."""
        with self._lock:
            return set(self._rows(tenant).entries)

    def tenants(self) -> set[str]:
        """See `VectorIndex`."""
        with self._lock:
            return set(self._tenants)

    def drop(self, tenant: str) -> None:
        """See `VectorIndex`."""
        with self._lock:
            self._tenants.pop(tenant, None)

    def reset(self) -> None:
        """See `VectorIndex`."""
        with self._lock:
            self._tenants.clear()

    def _rows(self, tenant: str) -> "_Rows":
        return self._tenants.get(tenant) or _Rows(self._dimensions)


@dataclass(slots=True)
class _Rows:
    """One tenant's entries, and the matrix of their vectors in the same order; None: to be made again."""

    dimensions: int
    entries: dict[str, VectorEntry] = field(default_factory=dict)
    matrix: FloatMatrix | None = None

    def stacked(self) -> tuple[list[VectorEntry], FloatMatrix]:
        entries = list(self.entries.values())
        if self.matrix is None:
            vectors = [entry.vector for entry in entries]
            self.matrix = np.array(vectors, dtype=np.float32).reshape(-1, self.dimensions)
            entries = [
                VectorEntry(id=entry.id, vector=row, attributes=entry.attributes)
                for entry, row in zip(entries, self.matrix, strict=True)
            ]
            self.entries = {entry.id: entry for entry in entries}  # each vector is here once, as a row of the matrix
        return entries, self.matrix


def _matches(entry: VectorEntry, where: Filter) -> bool:
    return all(entry.attributes.get(name) == value for name, value in where.items())
