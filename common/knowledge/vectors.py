"""The vector side of the knowledge index: the `VectorIndex` seam, and one in memory for benchmarks and small sets.

What lies here is a copy: the database holds each current vector as well and decides which ones count. A vector index
may hold vectors of replaced or half-written revisions for a while, and it can be thrown away and built again.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    """Vectors by id, searched by cosine. Safe to share between threads.

    Everything raises `VectorsUnavailable` where the index is out of reach, `VectorsDamaged` where it is broken,
    `VectorsLost` where it was found emptied.
    """

    def upsert(self, entries: Sequence[VectorEntry]) -> None:
        """Store these, over whatever has the same ids."""

    def delete(self, ids: Sequence[str]) -> None:
        """Forget these; unknown ids are no error."""

    def search(self, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
        """Cosine by id, best first, of the `limit` nearest whose attributes match `where`; approximate."""

    def count(self) -> int:
        """How many vectors there are, whether current or not."""

    def ids(self) -> set[str]:
        """All ids."""

    def reset(self) -> None:
        """Throw everything away, damaged or not, and start empty."""


class MemoryVectors:
    """Exact search over a matrix in memory."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._lock = threading.Lock()
        self._entries: dict[str, VectorEntry] = {}
        self._matrix: FloatMatrix | None = None  # of all entries in their order; None: to be made again

    def upsert(self, entries: Sequence[VectorEntry]) -> None:
        """See `VectorIndex`."""
        with self._lock:
            self._entries.update({entry.id: entry for entry in entries})
            self._matrix = None

    def delete(self, ids: Sequence[str]) -> None:
        """See `VectorIndex`."""
        with self._lock:
            for one in ids:
                self._entries.pop(one, None)
            self._matrix = None

    def search(self, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
        """See `VectorIndex`."""
        with self._lock:
            entries, matrix = list(self._entries.values()), self._rows()
        cosines = matrix @ vector
        kept = [row for row, entry in enumerate(entries) if _matches(entry, where)] if where else range(len(entries))
        rows = np.fromiter(kept, dtype=np.intp)
        best = rows[np.argsort(-cosines[rows], kind="stable")[:limit]]
        return {entries[row].id: float(cosines[row]) for row in best}

    def count(self) -> int:
        """See `VectorIndex`."""
        return len(self._entries)

    def ids(self) -> set[str]:
        """See `VectorIndex`."""
        with self._lock:
            return set(self._entries)

    def reset(self) -> None:
        """See `VectorIndex`."""
        with self._lock:
            self._entries.clear()
            self._matrix = None

    def _rows(self) -> FloatMatrix:
        if self._matrix is None:
            vectors: Iterable[FloatVector] = (entry.vector for entry in self._entries.values())
            self._matrix = np.array(list(vectors), dtype=np.float32).reshape(-1, self._dimensions)
        return self._matrix


def _matches(entry: VectorEntry, where: Filter) -> bool:
    return all(entry.attributes.get(name) == value for name, value in where.items())
