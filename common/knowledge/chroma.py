"""`ChromaIndex`: vectors in ChromaDB, on disk or on a server, with our own embeddings always given.

Chroma's own embedding function would download a model; it is never used. Its telemetry is off.
"""

import contextlib
import functools
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import SplitResult, urlsplit

import numpy as np

from common.knowledge.chroma_disk import ChromaFolder
from common.knowledge.lexical import Filter
from common.knowledge.vectors import VectorEntry, VectorsLost, VectorsUnavailable
from common.llm.embeddings import Embedder, FloatVector
from common.once import once
from common.settings import InvalidSettings, settings
from common.tracing import inject

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.collection_configuration import HNSWConfiguration
    from chromadb.api.models.Collection import Collection

    from common.knowledge.chroma_local import LocalChroma, LocalCollection

Item = TypeVar("Item")

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 30.0  # of the server; an upsert of a full batch into a large index takes some of them

_FORMAT = "t1"  # entries carry their tenant
_PAGE = 10_000  # ids read at once
# Measured on 5,000 random unit vectors, the hardest case: the true 100 nearest were found to 85 % with 16 neighbours
# and ef 200, to 99.9 % with these; a search takes 5 ms instead of 3.
_HNSW: "HNSWConfiguration" = {"space": "cosine", "max_neighbors": 32, "ef_construction": 200, "ef_search": 400}


class ChromaAccess(Protocol):
    """How a collection is reached. Both contexts raise `VectorsUnavailable` or `VectorsDamaged`."""

    def reading(self) -> "AbstractContextManager[Collection | LocalCollection]": ...

    def writing(self) -> "AbstractContextManager[Collection | LocalCollection]": ...

    def quiet(self) -> "AbstractContextManager[Collection | LocalCollection]":
        """As `reading`, while nobody writes where that can be had."""

    def reset(self) -> None:
        """Start with an empty collection."""


class ChromaIndex:
    """One collection for each embedder, named after it, so that vectors of two models never meet.

    It holds the vectors of all tenants, and `Index` never searches it without the tenant's attribute. That costs: of
    5,000 vectors a search takes 8 ms instead of 1, of 13,000 23 instead of 2 (1.5.9), beside the full text's.
    """

    def __init__(self, access: ChromaAccess) -> None:
        self._access = access

    @classmethod
    def on_disk(cls, folder: Path, embedder: Embedder) -> "ChromaIndex":
        """Chroma in `folder`, which is made where it is missing; several processes may use it at once."""
        find = functools.partial(_local_collection, name=collection_name(embedder), former=_former_name(embedder))
        return cls(ChromaFolder(folder, find))

    @classmethod
    def on_server(cls, url: str, embedder: Embedder, token: str | None = None) -> "ChromaIndex":
        """Chroma behind `url`; `token` goes along in the header `x-chroma-token`.

        Raises:
            InvalidSettings: `url` is no http(s) URL, or has more than scheme, host and port.
        """
        return cls(_ChromaServer(url, token, collection_name(embedder), _former_name(embedder)))

    def upsert(self, entries: Sequence[VectorEntry]) -> None:
        """See `VectorIndex`."""
        if not entries:
            return
        with self._access.writing() as collection, _as_problem():
            for batch in _batches(entries, _max_batch(collection)):
                collection.upsert(
                    ids=[entry.id for entry in batch],
                    embeddings=np.stack([entry.vector for entry in batch]),
                    metadatas=[dict(entry.attributes) for entry in batch],
                )

    def delete(self, ids: Sequence[str]) -> None:
        """See `VectorIndex`."""
        if not ids:
            return
        # By id: by a metadata filter it took seconds in a collection of 5,000, by id milliseconds (1.5.9).
        with self._access.writing() as collection, _as_problem():
            for batch in _batches(ids, _max_batch(collection)):
                collection.delete(ids=list(batch))

    def search(self, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
        """See `VectorIndex`."""
        for access in (self._access.reading, self._access.quiet):
            with access() as collection, _as_problem():
                try:
                    return _nearest(collection, vector, limit, where)
                except Exception as error:
                    if not _came_between(error):
                        raise
        with self._access.quiet() as collection, _as_problem():
            return _nearest(collection, vector, limit, where)

    def count(self) -> int:
        """See `VectorIndex`."""
        with self._access.reading() as collection, _as_problem():
            return int(collection.count())

    def ids(self) -> set[str]:
        """See `VectorIndex`."""
        found: set[str] = set()
        with self._access.reading() as collection, _as_problem():
            while page := collection.get(include=[], limit=_PAGE, offset=len(found))["ids"]:
                found.update(page)
        return found

    def reset(self) -> None:
        """See `VectorIndex`."""
        self._access.reset()


def collection_name(embedder: Embedder) -> str:
    """Name for the vectors of `embedder`, as Chroma allows it; different for each model and number of dimensions.

    `_FORMAT` is a part of it: after a change of what entries carry, the repair at the start fills a new collection.
    """
    return f"{_FORMAT}-{_former_name(embedder)}"


def _former_name(embedder: Embedder) -> str:
    """The collection of the time before entries carried their tenant; it is deleted where it is met."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", embedder.name).strip("-")[:64]
    distinct = hashlib.sha256(embedder.name.encode()).hexdigest()[:8]
    return f"chunks-{readable}-{embedder.dimensions}-{distinct}"


@once
def vector_index() -> ChromaIndex:
    """This instance's vectors, by the settings: on a server where CHROMA_URL names one, else in DATA_DIR/chroma."""
    from common.llm.models import embedder

    here = settings()
    if here.chroma_url is None:
        return ChromaIndex.on_disk(here.data_dir / "chroma", embedder())
    token = here.chroma_token.get_secret_value() if here.chroma_token else None
    return ChromaIndex.on_server(here.chroma_url, embedder(), token)


class _ChromaServer:
    """A collection on a server, opened at first use and again after the server lost it."""

    def __init__(self, url: str, token: str | None, name: str, former: str) -> None:
        parts = _server_address(url)
        self._host, self._tls = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._headers = {"x-chroma-token": token} if token else {}
        self._name = name
        self._former = former
        self._opened: tuple[ClientAPI, Collection] | None = None

    @contextmanager
    def reading(self) -> "Iterator[Collection]":
        """See `ChromaAccess`."""
        from chromadb.errors import NotFoundError

        try:
            yield self._open()[1]
        except NotFoundError:
            # A server that was emptied or replaced: the next call makes the collection there, the next write fills it.
            self._opened = None
            raise VectorsLost("the Chroma server has lost the collection") from None

    quiet = writing = reading  # the server itself puts writers in order

    def reset(self) -> None:
        """See `ChromaAccess`."""
        with _as_problem():
            client = self._opened[0] if self._opened else self._connect()
            self._opened = None
            _forget(client, self._name)

    def _open(self) -> "tuple[ClientAPI, Collection]":
        if self._opened is None:  # two threads at once open it twice, which is harmless
            with _as_problem():
                client = self._connect()
                collection = _collection(client, name=self._name)
                if self._former:
                    _forget(client, self._former)
                self._opened, self._former = (client, collection), ""
        return self._opened

    def _connect(self) -> "ClientAPI":
        import chromadb
        import httpx
        from chromadb.config import Settings

        # Chroma's client waits for ever and has no setting for it (1.5.9, chromadb/api/fastapi.py): so ask whether
        # somebody is there before it is made, and set its session's bounds afterwards.
        httpx.get(f"{self._url}/api/v2/heartbeat", timeout=CONNECT_SECONDS).raise_for_status()
        client = chromadb.HttpClient(
            host=self._host,
            port=self._port,
            ssl=self._tls,
            headers=dict(self._headers),
            settings=Settings(anonymized_telemetry=False),
        )
        session: httpx.Client = client._server._session  # type: ignore[attr-defined]  # it has no way to set these
        session.timeout = httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS)
        session.event_hooks["request"].append(lambda request: inject(request.headers))
        return client


def _server_address(url: str) -> SplitResult:
    """The parts of CHROMA_URL: scheme, host and port, for Chroma's client takes nothing else along."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InvalidSettings("CHROMA_URL: the host or the port is none") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidSettings("CHROMA_URL: must begin with http:// or https:// and name a host")
    if "@" in parts.netloc:
        raise InvalidSettings("CHROMA_URL: must not hold a user or password; CHROMA_TOKEN is for that")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise InvalidSettings("CHROMA_URL: must end after host and port; Chroma's client cannot use a path")
    return parts


def _collection(client: "ClientAPI", *, name: str) -> "Collection":
    return client.get_or_create_collection(name, configuration={"hnsw": _HNSW}, embedding_function=None)


def _forget(client: "ClientAPI", name: str) -> None:
    """Delete the collection of that name, if there is one."""
    from chromadb.errors import NotFoundError

    with contextlib.suppress(NotFoundError):
        client.delete_collection(name)


def _local_collection(chroma: "LocalChroma", *, name: str, former: str) -> "LocalCollection":
    """Folders are opened under the writers' lock, so nobody is writing to the former collection."""
    if former in chroma.names():
        chroma.delete(former)
    return chroma.collection(name, {"hnsw": _HNSW})


def _max_batch(collection: "Collection | LocalCollection") -> int:
    """Most entries of one request. Of a server's collection only its client knows it."""
    from common.knowledge.chroma_local import LocalCollection

    if isinstance(collection, LocalCollection):
        return collection.max_batch_size()
    return int(collection._client.get_max_batch_size())


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _where(where: Filter | None) -> Any:
    """`where` in Chroma's form, whose type is a recursive dictionary."""
    conditions: list[Any] = [{name: {"$eq": value}} for name, value in (where or {}).items()]
    return {"$and": conditions} if len(conditions) > 1 else next(iter(conditions), None)


def _nearest(
    collection: "Collection | LocalCollection", vector: FloatVector, limit: int, where: Filter | None
) -> dict[str, float]:
    found = collection.query(
        query_embeddings=vector[np.newaxis], n_results=limit, where=_where(where), include=["distances"]
    )
    distances = found["distances"] or [[]]
    return {one: 1.0 - distance for one, distance in zip(found["ids"][0], distances[0], strict=True)}


def _came_between(error: Exception) -> bool:
    """Whether a write may have. Chroma asks two stores, first which ids have the attributes, then where their vectors
    lie; "Error finding id" is all it says of one that the second has no more, or not yet (1.5.9)."""
    from chromadb.errors import InternalError

    return isinstance(error, InternalError)


@contextmanager
def _as_problem() -> Iterator[None]:
    """Turns what Chroma and its transport raise into `VectorsUnavailable`; a mistake of ours passes."""
    try:
        yield
    except Exception as error:
        problem = _problem_of(error)
        if problem is None:
            raise
        raise VectorsUnavailable(problem) from error


def _problem_of(error: Exception) -> str | None:
    """In our own words; None for a mistake of ours. Whoever has no error need not wait for these imports."""
    import httpx
    from chromadb.errors import ChromaAuthError, ChromaError, InvalidArgumentError, NotFoundError

    if isinstance(error, InvalidArgumentError | NotFoundError):
        return None
    if isinstance(error, httpx.HTTPError):
        return "the Chroma server does not answer"
    if isinstance(error, ChromaAuthError):
        return "the Chroma server does not accept CHROMA_TOKEN"
    if isinstance(error, ChromaError):
        return "Chroma cannot do this now"
    # What the client makes of a 5xx answer it does not know: a bare Exception with the body (base_http_client.py).
    return "the Chroma server failed" if type(error) is Exception else None
