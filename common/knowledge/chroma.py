"""`ChromaIndex`: vectors in ChromaDB, on disk or on a server, with our own embeddings always given.

The tenant is the collection that is asked, and no filter on one: a search touches nothing of another tenant's.

Chroma's own embedding function would download a model; it is never used. Its telemetry is off.
"""

import contextlib
import hashlib
import re
import threading
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
from common.settings import InvalidSettings
from common.tracing import inject

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.collection_configuration import HNSWConfiguration
    from chromadb.api.models.Collection import Collection

    from common.knowledge.chroma_local import LocalCollection

Item = TypeVar("Item")

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 30.0  # of the server; an upsert of a full batch into a large index takes some of them

_PAGE = 10_000  # ids read at once
_PREFIX = "tenant"  # of all names of collections
KNOWN_COLLECTIONS = 1_000  # of a server; one more request finds another one
# Measured on 5,000 random unit vectors, the hardest case: the true 100 nearest were found to 85 % with 16 neighbours
# and ef 200, to 99.9 % with these; a search takes 5 ms instead of 3.
_HNSW: "HNSWConfiguration" = {"space": "cosine", "max_neighbors": 32, "ef_construction": 200, "ef_search": 400}


class ChromaAccess(Protocol):
    """How a collection is reached by its name. Everything raises `VectorsUnavailable` or `VectorsDamaged`."""

    def reading(self, name: str) -> "AbstractContextManager[Collection | LocalCollection | None]":
        """The collection; None where there is none."""

    def quiet(self, name: str) -> "AbstractContextManager[Collection | LocalCollection | None]":
        """As `reading`, while nobody writes where that can be had."""

    def writing(self, name: str) -> "AbstractContextManager[Collection | LocalCollection]":
        """The collection, made where there is none."""

    def deleting(self, name: str) -> "AbstractContextManager[Collection | LocalCollection | None]":
        """As `writing`; None where there is none."""

    def names(self) -> set[str]:
        """All collections, of every embedder."""

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one."""

    def reset(self) -> None:
        """Delete every collection of this embedder, damaged or not."""


class ChromaIndex:
    """One collection for each embedder and tenant, so that vectors of two models or two tenants never meet."""

    def __init__(self, access: ChromaAccess, embedder: Embedder) -> None:
        self._access = access
        self._embedder = embedder

    @classmethod
    def on_disk(cls, folder: Path, embedder: Embedder) -> "ChromaIndex":
        """Chroma in `folder`, which is made where it is missing; several processes may use it at once."""
        return cls(ChromaFolder(folder, {"hnsw": _HNSW}, former_names(embedder)), embedder)

    @classmethod
    def on_server(cls, url: str, embedder: Embedder, token: str | None = None) -> "ChromaIndex":
        """Chroma behind `url`; `token` goes along in the header `x-chroma-token`.

        Raises:
            InvalidSettings: `url` is no http(s) URL, or has more than scheme, host and port.
        """
        return cls(_ChromaServer(url, token, embedder), embedder)

    def upsert(self, tenant: str, entries: Sequence[VectorEntry]) -> None:
        """See `VectorIndex`."""
        if not entries:
            return
        with self._access.writing(self._name(tenant)) as collection, _as_problem():
            for batch in _batches(entries, _max_batch(collection)):
                collection.upsert(
                    ids=[entry.id for entry in batch],
                    embeddings=np.stack([entry.vector for entry in batch]),
                    metadatas=[dict(entry.attributes) for entry in batch],
                )

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        """See `VectorIndex`."""
        if not ids:
            return
        # By id: by a metadata filter it took seconds in a collection of 5,000, by id milliseconds (1.5.9).
        with self._access.deleting(self._name(tenant)) as collection, _as_problem():
            if collection is not None:
                for batch in _batches(ids, _max_batch(collection)):
                    collection.delete(ids=list(batch))

    def search(self, tenant: str, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
        """See `VectorIndex`."""
        name = self._name(tenant)
        for access in (self._access.reading, self._access.quiet):
            with access(name) as collection, _as_problem():
                try:
                    return _nearest(collection, vector, limit, where)
                except Exception as error:
                    if not _came_between(error):
                        raise
        with self._access.quiet(name) as collection, _as_problem():
            return _nearest(collection, vector, limit, where)

    def count(self, tenant: str) -> int:
        """See `VectorIndex`."""
        with self._access.reading(self._name(tenant)) as collection, _as_problem():
            return 0 if collection is None else int(collection.count())

    def ids(self, tenant: str) -> set[str]:
        """See `VectorIndex`."""
        found: set[str] = set()
        with self._access.reading(self._name(tenant)) as collection, _as_problem():
            while collection is not None and (page := _ids(collection, offset=len(found))):
                found.update(page)
        return found

    def tenants(self) -> set[str]:
        """See `VectorIndex`."""
        found = (tenant_of(name, self._embedder) for name in self._access.names())
        return {tenant for tenant in found if tenant is not None}

    def drop(self, tenant: str) -> None:
        """See `VectorIndex`."""
        self._access.drop(self._name(tenant))

    def reset(self) -> None:
        """See `VectorIndex`."""
        self._access.reset()

    def _name(self, tenant: str) -> str:
        return collection_name(self._embedder, tenant)


def collection_name(embedder: Embedder, tenant: str) -> str:
    """Name for the tenant's vectors of `embedder`, as Chroma allows it; different for each tenant and embedder.

    Neither a tenant nor what follows it has a dot, and the last part ends in a digit or letter, as Chroma wants it.
    """
    return f"{_PREFIX}.{tenant}.{_suffix(embedder)}"


def former_names(embedder: Embedder) -> tuple[str, ...]:
    """Collections of the times before tenants, and before each had one; they are deleted where they are met."""
    return tuple(f"{prefix}chunks-{_suffix(embedder)}" for prefix in ("", "t1-"))


def _suffix(embedder: Embedder) -> str:
    """Different for each model and number of dimensions."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", embedder.name).strip("-")[:64]
    distinct = hashlib.sha256(embedder.name.encode()).hexdigest()[:8]
    return f"{readable}-{embedder.dimensions}-{distinct}"


def tenant_of(name: str, embedder: Embedder) -> str | None:
    """Whose collection of this embedder that is; None for any other collection."""
    _, dot, rest = name.partition(".")
    tenant, _, _ = rest.partition(".")
    return tenant if dot and name == collection_name(embedder, tenant) else None


class _ChromaServer:
    """Collections on a server, found at first use and again after the server lost them."""

    def __init__(self, url: str, token: str | None, embedder: Embedder) -> None:
        parts = _server_address(url)
        self._host, self._tls = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._headers = {"x-chroma-token": token} if token else {}
        self._embedder = embedder
        self._client: ClientAPI | None = None
        self._lock = threading.Lock()
        self._found: dict[str, Collection] = {}

    @contextmanager
    def reading(self, name: str) -> "Iterator[Collection | None]":
        """See `ChromaAccess`."""
        with self._as_loss():
            yield self._find(name)

    quiet = deleting = reading  # the server itself puts writers in order

    @contextmanager
    def writing(self, name: str) -> "Iterator[Collection]":
        """See `ChromaAccess`."""
        with self._as_loss():
            yield self._find(name) or self._make(name)

    def names(self) -> set[str]:
        """See `ChromaAccess`."""
        with _as_problem():
            return {one.name for one in self._open().list_collections()}

    def drop(self, name: str) -> None:
        """See `ChromaAccess`."""
        with self._lock:
            self._found.pop(name, None)
        with _as_problem():
            _forget(self._open(), name)

    def reset(self) -> None:
        """See `ChromaAccess`."""
        for name in self.names():
            if tenant_of(name, self._embedder) is not None:
                self.drop(name)

    @contextmanager
    def _as_loss(self) -> Iterator[None]:
        from chromadb.errors import NotFoundError

        try:
            yield
        except NotFoundError:
            # A server that was emptied or replaced has lost the others too: the next call looks, the next write fills.
            with self._lock:
                self._found.clear()
            raise VectorsLost("the Chroma server has lost the collection") from None

    def _find(self, name: str) -> "Collection | None":
        from chromadb.errors import NotFoundError

        with self._lock:
            known = self._found.get(name)
        if known is not None:
            return known
        try:
            with _as_problem():
                return self._keep(name, self._open().get_collection(name, embedding_function=None))
        except NotFoundError:
            return None

    def _make(self, name: str) -> "Collection":
        with _as_problem():
            made = self._open().get_or_create_collection(name, configuration={"hnsw": _HNSW}, embedding_function=None)
            return self._keep(name, made)

    def _keep(self, name: str, collection: "Collection") -> "Collection":
        with self._lock:
            if len(self._found) >= KNOWN_COLLECTIONS:
                del self._found[next(iter(self._found))]  # the oldest
            self._found[name] = collection
        return collection

    def _open(self) -> "ClientAPI":
        if self._client is None:  # two threads at once open it twice, which is harmless
            client = self._connect()
            for name in former_names(self._embedder):
                _forget(client, name)
            self._client = client
        return self._client

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


def _forget(client: "ClientAPI", name: str) -> None:
    """Delete the collection of that name, if there is one."""
    from chromadb.errors import NotFoundError

    with contextlib.suppress(NotFoundError):
        client.delete_collection(name)


def _max_batch(collection: "Collection | LocalCollection") -> int:
    """Most entries of one request. Of a server's collection only its client knows it."""
    from common.knowledge.chroma_local import LocalCollection

    if isinstance(collection, LocalCollection):
        return collection.max_batch_size()
    return int(collection._client.get_max_batch_size())


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _ids(collection: "Collection | LocalCollection", *, offset: int) -> list[str]:
    return list(collection.get(include=[], limit=_PAGE, offset=offset)["ids"])


def _where(where: Filter | None) -> Any:
    """`where` in Chroma's form, whose type is a recursive dictionary."""
    conditions: list[Any] = [{name: {"$eq": value}} for name, value in (where or {}).items()]
    return {"$and": conditions} if len(conditions) > 1 else next(iter(conditions), None)


def _nearest(
    collection: "Collection | LocalCollection | None", vector: FloatVector, limit: int, where: Filter | None
) -> dict[str, float]:
    if collection is None:
        return {}
    found = collection.query(
        query_embeddings=vector[np.newaxis], n_results=limit, where=_where(where), include=["distances"]
    )
    distances = found["distances"] or [[]]
    return {one: 1.0 - distance for one, distance in zip(found["ids"][0], distances[0], strict=True)}


def _came_between(error: Exception) -> bool:
    """Whether a write may have. For a filtered search Chroma asks two stores, first which ids have the attributes, then
    where their vectors lie; "Error finding id" is all it says of one that the second has no more, or not yet (1.5.9).
    """
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
