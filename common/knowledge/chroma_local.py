"""Chroma's engine for a folder, without Chroma's Python client.

The client is a thin layer over the same bindings (chromadb/api/rust.py), but importing it takes half a second of every
instance's first answer: for other model providers' embedding functions, an exporter of traces, an asynchronous client
and checks of its own class hierarchy, none of which we use. What is done here is what the client does, with the same
engine and files; tests hold the two together, over what each of them has written.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from common.llm.embeddings import FloatMatrix

_PLACE = ("default_tenant", "default_database")
_FILE = "chroma.sqlite3"
# Far more than `ChromaFolder` ever has open: an index that Chroma let go of by itself it would read again at a moment
# when another process may be writing it.
_OPEN_INDEXES = 1_000


class Found(TypedDict):
    """Ids with, where asked for, their vectors."""

    ids: list[str]
    embeddings: FloatMatrix | None


class Nearest(TypedDict):
    """For each vector that was asked for, the nearest ids and their distances, nearest first."""

    ids: list[list[str]]
    distances: list[list[float]] | None


class LocalChroma:
    """A folder of Chroma, opened in this process. What Chroma cannot do raises `chromadb.errors`, or its Rust panic."""

    def __init__(self, folder: Path) -> None:
        """`folder` has to be there; it is filled where it is empty, and brought up to this version of Chroma."""
        import chromadb_rust_bindings as chroma  # type: ignore[import-untyped]  # ships no types

        files = chroma.SqliteDBConfig(
            hash_type=chroma.MigrationHash.MD5,
            migration_mode=chroma.MigrationMode.Apply,
            url=str(folder / _FILE),
        )
        self._bindings: Any = chroma.Bindings(
            allow_reset=False, sqlite_db_config=files, persist_path=str(folder), hnsw_cache_size=_OPEN_INDEXES
        )

    @property
    def bindings(self) -> Any:
        return self._bindings

    def close(self) -> None:
        """Lets go of the files; collections of this folder cannot be used any more."""
        del self._bindings

    def collections(self) -> "dict[str, LocalCollection]":
        """All of them by name; a hundred and fifty microseconds for each (1.5.9)."""
        return {
            one.name: LocalCollection(self, str(one.id)) for one in self._bindings.list_collections(None, None, *_PLACE)
        }

    def delete(self, name: str) -> None:
        """Delete this collection, which has to be there, and its files."""
        self._bindings.delete_collection(name, *_PLACE)

    def collection(self, name: str, configuration: Mapping[str, object]) -> "LocalCollection":
        """The collection of that name; made with `configuration`, in Chroma's form, where there is none yet."""
        text = json.dumps({**configuration, "spann": None, "embedding_function": {"type": "legacy"}})  # as the client
        made = self._bindings.create_collection(name, text, None, None, True, *_PLACE)
        return LocalCollection(self, str(made.id))


class LocalCollection:
    """The methods of `chromadb.Collection` that we use, with its names."""

    def __init__(self, chroma: LocalChroma, number: str) -> None:
        self._chroma = chroma
        self._number = number

    def upsert(self, ids: list[str], embeddings: FloatMatrix, metadatas: "Sequence[dict[str, Any]]") -> None:
        self._chroma.bindings.upsert(self._number, ids, list(embeddings), list(metadatas), None, None, *_PLACE)

    def delete(self, ids: list[str]) -> None:
        self._chroma.bindings.delete(self._number, ids, None, None, None, *_PLACE)

    def query(self, query_embeddings: FloatMatrix, n_results: int, include: list[str], where: Any = None) -> Nearest:
        """`where` in Chroma's form."""
        found = self._chroma.bindings.query(
            self._number, None, list(query_embeddings), n_results, json.dumps(where) if where else None, None, include,
            *_PLACE,
        )  # fmt: skip
        return {"ids": found.ids, "distances": found.distances}

    def get(self, limit: int, include: list[str], offset: int = 0) -> Found:
        found = self._chroma.bindings.get(self._number, None, None, limit, offset, None, include, *_PLACE)
        vectors = None if found.embeddings is None else np.asarray(found.embeddings, dtype=np.float32)
        return {"ids": found.ids, "embeddings": vectors}

    def count(self) -> int:
        return int(self._chroma.bindings.count(self._number, *_PLACE))

    def max_batch_size(self) -> int:
        """Most entries of one write: SQLite's limit on parameters."""
        return int(self._chroma.bindings.get_max_batch_size())
