"""Keeping the vector index to what the database says: after a killed write, a move, a reset, a loss."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection, Engine, delete, func, select, update

from common.database.engine import read, write
from common.database.tables import chunks, documents, knowledge_state, revisions
from common.knowledge.stored_vectors import current_counts, current_ids, is_of, stored_entries
from common.knowledge.vectors import VectorIndex, VectorsDamaged, VectorsLost, VectorsUnavailable
from common.llm.embeddings import Embedder
from common.logging import component_logger

WRITING, DOOMED = "writing", "doomed"  # states of a revision

log = component_logger("knowledge")


class Repairer:
    """Safe to share between threads, and beside writes of this or another process."""

    def __init__(self, engine: Engine, vectors: VectorIndex, embedder: Embedder) -> None:
        self._engine = engine
        self._vectors = vectors
        self._embedder = embedder

    def repair(self) -> None:
        """See `KnowledgeStore.repair`."""
        with write(self._engine) as connection:
            take_turn(connection)
            connection.execute(update(revisions).values(state=DOOMED))
        self._warn_of_other_embedders()
        self.recovering(self.delete_doomed)
        self.recovering(self._match)

    def fill(self, tenant: str) -> None:
        """Bring back the vectors that the index has lost; where it has lost none this costs some counts.

        A write of `tenant` asks this first. Of other tenants it finds only that all were lost, and equal counts may
        hide a loss behind as many left-overs: everything is found by `repair` alone.
        """
        self.recovering(lambda: self._fill(tenant))

    def recovering(self, action: Callable[[], None]) -> None:
        """Do it; where the vector index turns out emptied or damaged, fill it again and do it then."""
        try:
            action()
        except VectorsLost:
            self._match()
            action()
        except VectorsDamaged:  # by a process that was killed while it saved
            self._vectors.reset()
            self._match()
            action()

    def clear_doomed(self) -> None:
        """`delete_doomed`, put off where the vector index is out of reach: the next write or start does it."""
        with contextlib.suppress(VectorsUnavailable):
            self.delete_doomed()

    def delete_doomed(self) -> None:
        """Delete the vectors of all doomed revisions, whoever doomed them, and then their rows."""
        query = select(revisions.c.tenant, revisions.c.revision, revisions.c.chunks).where(revisions.c.state == DOOMED)
        with read(self._engine) as connection:
            doomed = connection.execute(query).all()
        if not doomed:
            return
        of_tenants: dict[str, list[str]] = defaultdict(list)
        for row in doomed:
            of_tenants[row.tenant] += [vector_id(row.revision, ordinal) for ordinal in range(row.chunks)]
        for tenant, ids in of_tenants.items():
            self._vectors.delete(tenant, ids)
        with write(self._engine) as connection:
            take_turn(connection)
            for some in slices([row.revision for row in doomed]):
                connection.execute(delete(revisions).where(revisions.c.revision.in_(some)))

    def _fill(self, tenant: str) -> None:
        expected = self._expected()
        if self._vectors.count(tenant) < expected.get(tenant, 0) or not expected.keys() <= self._vectors.tenants():
            self._match()

    def _match(self) -> None:
        """Add to the vector index what it misses, delete what belongs to nothing."""
        for tenant in sorted(self._vectors.tenants() | self._expected().keys()):
            self._match_tenant(tenant)

    def _match_tenant(self, tenant: str) -> None:
        present = self._vectors.ids(tenant)
        with read(self._engine) as connection:  # after `ids`: what is written since then is in none of the two
            current = current_ids(connection, tenant, self._embedder)
            of_tenant = select(revisions.c.revision).where(revisions.c.tenant == tenant)
            announced = set(connection.execute(of_tenant).scalars())
        if not current and not announced:
            self._drop(tenant)
            return
        stray = [one for one in present - current if one.partition(":")[0] not in announced]
        self._vectors.delete(tenant, stray)
        for some in slices(sorted(current - present)):
            with read(self._engine) as connection:
                entries = stored_entries(connection, tenant, some, self._embedder)
            self._vectors.upsert(tenant, entries)

    def _drop(self, tenant: str) -> None:
        """Forget a tenant without vectors, unless a write of its first one has been announced by now.

        Announcements wait for their turn as well: none comes between the look and the deed.
        """
        with write(self._engine) as connection:
            take_turn(connection)
            ours = select(func.count()).select_from(revisions).where(revisions.c.tenant == tenant)
            usable = select(func.count()).where(chunks.c.tenant == tenant, is_of(self._embedder))
            if not any(connection.execute(query).scalar_one() for query in (ours, usable)):
                self._vectors.drop(tenant)

    def _expected(self) -> dict[str, int]:
        """How many vectors each tenant should have; without those who should have none."""
        with read(self._engine) as connection:
            return current_counts(connection, self._embedder)

    def _warn_of_other_embedders(self) -> None:
        others = select(func.count()).select_from(documents).where(documents.c.embedder != self._embedder.name)
        with read(self._engine) as connection:
            count = connection.execute(others).scalar_one()
        if count:  # found by their words alone until they are handed in again
            log.warning("knowledge.embedded_by_another_embedder", count=count, embedder=self._embedder.name)


def vector_id(revision: str, ordinal: int) -> str:
    """A chunk's key in the vector index."""
    return f"{revision}:{ordinal}"


def take_turn(connection: Connection) -> None:
    """Wait for other writers, who might lock the same rows in another order. SQLite has one writer anyway."""
    connection.execute(select(knowledge_state.c.id).with_for_update())


def slices(items: Sequence[str], size: int = 1000) -> Iterator[Sequence[str]]:
    """For IN lists, whose length databases limit."""
    return (items[start : start + size] for start in range(0, len(items), size))
