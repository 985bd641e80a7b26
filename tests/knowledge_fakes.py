"""What tests of the knowledge base share: a tenant, an embedder without a model, clocks, stores over any backend."""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Engine

from common.knowledge.lexical import Filter
from common.knowledge.store import Document, KnowledgeStore
from common.knowledge.vectors import VectorEntry, VectorIndex
from common.llm.embeddings import FloatMatrix, FloatVector

DIMENSIONS = 32
TENANT = "acme"


class WordEmbedder:
    """A bag of hashed words, of unit length: texts that share words are near. Late chunking leaves out the context."""

    max_tokens = 10_000

    def __init__(self, name: str = "words-1", dimensions: int = DIMENSIONS) -> None:
        self.name = name
        self.dimensions = dimensions
        self.embedded: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        self.embedded += texts
        return np.stack([self._vector(text) for text in texts]) if texts else self._none()

    def embed_query(self, text: str) -> FloatVector:
        return self._vector(text)

    def embed_spans(self, text: str, spans: Sequence[tuple[int, int]]) -> FloatMatrix:
        self.embedded.append(text)
        return np.stack([self._vector(text[start:end]) for start, end in spans])

    def _none(self) -> FloatMatrix:
        return np.empty((0, self.dimensions), dtype=np.float32)

    def _vector(self, text: str) -> FloatVector:
        vector = np.full(self.dimensions, 0.01, dtype=np.float32)
        for word in text.lower().split():
            digest = hashlib.sha256(word.strip(".,;:?()").encode()).digest()
            vector[digest[0] % self.dimensions] += 1
            vector[digest[1] % self.dimensions] += 0.5
        unit: FloatVector = vector / np.linalg.norm(vector)
        return unit


class Clock:
    """Each reading is a second later."""

    def __init__(self) -> None:
        self._seconds = itertools.count()

    def __call__(self) -> datetime:
        return datetime(2026, 11, 23, 12, 0, tzinfo=UTC) + timedelta(seconds=next(self._seconds))


def revisions_named(prefix: str) -> Callable[[], str]:
    """Revisions prefix1, prefix2, ...; each process or store of a test has a prefix of its own."""
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers)}"


def store_over(
    engine: Engine, vectors: VectorIndex, embedder: WordEmbedder | None = None, prefix: str = "r"
) -> KnowledgeStore:
    return KnowledgeStore(
        engine, vectors, embedder or WordEmbedder(), clock=Clock(), new_revision=revisions_named(prefix)
    )


def document(
    document_id: str = "policy/land", *, says: str = "Raw land is lent on up to 65 percent of its value."
) -> Document:
    """A document of two sections, each of which says so."""
    filler = "The lender keeps the appraisal with the file and reviews it each year before the loan is renewed. " * 4
    text = f"# Lending policy\n\n## Limits\n\n{says} {filler}\n\n## Exceptions\n\n{says} {filler}\n"
    return Document(
        id=document_id, title="Lending policy", text=text, source="https://example.com/p", metadata={"year": 2024}
    )


class Spying:
    """A vector index that does something before and after each write of another one."""

    def __init__(
        self,
        inner: VectorIndex,
        *,
        before_upsert: Callable[[], None] = lambda: None,
        after_upsert: Callable[[], None] = lambda: None,
        before_delete: Callable[[], None] = lambda: None,
        after_delete: Callable[[], None] = lambda: None,
    ) -> None:
        self._inner = inner
        self._before_upsert, self._after_upsert = before_upsert, after_upsert
        self._before_delete, self._after_delete = before_delete, after_delete

    def upsert(self, tenant: str, entries: Sequence[VectorEntry]) -> None:
        self._before_upsert()
        self._inner.upsert(tenant, entries)
        self._after_upsert()

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        self._before_delete()
        self._inner.delete(tenant, ids)
        self._after_delete()

    def search(self, tenant: str, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
        return self._inner.search(tenant, vector, limit, where)

    def count(self, tenant: str) -> int:
        return self._inner.count(tenant)

    def ids(self, tenant: str) -> set[str]:
        return self._inner.ids(tenant)

    def tenants(self) -> set[str]:
        return self._inner.tenants()

    def drop(self, tenant: str) -> None:
        self._inner.drop(tenant)

    def reset(self) -> None:
        self._inner.reset()
