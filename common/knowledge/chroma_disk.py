"""Chroma in a folder that several processes use at once, as when documents are ingested while the emulator runs.

Chroma keeps a folder's index in each process's memory and never looks again: what another process writes is not found,
and two that write spoil each other's files. Nor does it survive being killed while it saves (all tried on 1.5.9). So:
writers take turns by a file lock; a stamp in the same file tells the others to open the folder again, and each
collection when it is asked for (some 70 ms for 5,000 vectors); a folder that cannot be opened or searched is
`VectorsDamaged`, and the database can fill it again.
"""

import fcntl
import os
import shutil
import struct
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.knowledge.vectors import VectorsDamaged, VectorsLost, VectorsUnavailable

if TYPE_CHECKING:
    from common.knowledge.chroma_local import LocalChroma, LocalCollection

LOCK_SECONDS = 60.0  # a writer holds the lock for one batch, which takes a second or two
READ_SECONDS = 5.0  # for a reader whose load is out of date
LOADED_COLLECTIONS = 32  # at once, each with 3 MB or more and open files; one more has the folder opened again
_POLL_SECONDS = 0.02
_LOCK_FILE = "writers.lock"
_STAMP = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Writes that began and that finished, by all processes; they differ during a write, and after a killed one."""

    begun: int
    finished: int


@dataclass(slots=True)
class _Opened:
    """The folder as it was at `stamp`, or as this process has changed it since."""

    chroma: "LocalChroma"
    stamp: Stamp
    collections: "dict[str, LocalCollection]"  # all that there are
    loaded: set[str] = field(default_factory=set)  # those whose index Chroma has read

    def can_be_asked(self, name: str | None) -> bool:
        """Whether nothing has to be read from the folder for that: what is not there need not be."""
        return name is None or name in self.loaded or name not in self.collections


class ChromaFolder:
    """Collections on disk. Readers see every write that was finished when they came.

    For that they open the folder again after a write of another process, and wait where the next one is already under
    way, a second at most: results of an older load would be taken, and cached, for the database's new state.
    """

    def __init__(self, folder: Path, configuration: Mapping[str, object], former: Collection[str] = ()) -> None:
        """Collections are made with `configuration`, in Chroma's form; those named `former` are deleted where met."""
        self._folder = folder.absolute()
        self._configuration = configuration
        self._former = former
        self._gate = threading.Condition()
        self._readers = 0
        self._draining = False  # no reader may enter: the folder is about to be opened again
        self._opened: _Opened | None = None

    @contextmanager
    def reading(self, name: str) -> "Iterator[LocalCollection | None]":
        """The collection, opened again if another process has written since; None where there is none."""
        opened = self._enter(name)
        try:
            with _as_loss():
                yield opened.collections.get(name)
        finally:
            self._leave()

    @contextmanager
    def quiet(self, name: str) -> "Iterator[LocalCollection | None]":
        """As `reading`, up to date with all writes, while there is no writer."""
        with self._lock(READ_SECONDS) as lock:
            opened = self._load(name, _read_stamp(lock))
            with self._gate:
                self._readers += 1
            try:
                yield opened.collections.get(name)
            finally:
                self._leave()

    @contextmanager
    def writing(self, name: str) -> "Iterator[LocalCollection]":
        """The collection, made where there is none, with no other writer, up to date with all earlier ones."""
        with self._changing(name) as opened:
            if name not in opened.collections:
                made = opened.chroma.collection(name, self._configuration)
                opened.loaded.add(name)  # nothing of it is on disk
                opened.collections[name] = made
            yield opened.collections[name]

    @contextmanager
    def deleting(self, name: str) -> "Iterator[LocalCollection | None]":
        """As `writing`; None where there is none."""
        with self._changing(name) as opened:
            yield opened.collections.get(name)

    def names(self) -> set[str]:
        """All collections, of every embedder."""
        opened = self._enter(None)
        try:
            return set(opened.collections)
        finally:
            self._leave()

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one. Other processes notice at their next search."""
        with self._changing(None) as opened, self._alone():
            if opened.collections.pop(name, None) is not None:
                opened.loaded.discard(name)
                with _as_damage():
                    opened.chroma.delete(name)

    def reset(self) -> None:
        """Delete what is in the folder. Other processes notice at their next search."""
        with self._lock(LOCK_SECONDS) as lock, self._alone():
            self._close()
            stamp = _read_stamp(lock)
            try:
                for path in self._folder.iterdir():
                    if path.name != _LOCK_FILE:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
            except OSError as error:
                raise _unusable(error) from None
            _write_stamp(lock, Stamp(begun=stamp.begun + 1, finished=stamp.begun + 1))

    @contextmanager
    def _changing(self, name: str | None) -> Iterator[_Opened]:
        """The folder with no other writer, `name` loaded where it is there, and others told of the change."""
        with self._lock(LOCK_SECONDS) as lock:
            stamp = _read_stamp(lock)
            opened = self._load(name, stamp)
            begun = Stamp(begun=stamp.begun + 1, finished=stamp.finished)
            _write_stamp(lock, begun)
            yield opened  # an exception leaves the stamp as after a kill: everybody, we too, opens it again
            opened.stamp = Stamp(begun=begun.begun, finished=begun.begun)
            _write_stamp(lock, opened.stamp)

    def _enter(self, name: str | None) -> _Opened:
        """The folder for one more reader of that collection, who has to leave afterwards."""
        while True:
            with self._gate:
                self._gate.wait_for(lambda: not self._draining)
                opened = self._opened
                if opened is not None and not self._is_behind(opened.stamp) and opened.can_be_asked(name):
                    self._readers += 1
                    return opened
            self._refresh(name)

    def _leave(self) -> None:
        with self._gate:
            self._readers -= 1
            self._gate.notify_all()

    def _is_behind(self, seen: Stamp) -> bool:
        try:
            with (self._folder / _LOCK_FILE).open("rb") as lock:
                return _read_stamp(lock.fileno()).finished != seen.finished
        except FileNotFoundError:  # the folder was deleted
            return True

    def _refresh(self, name: str | None) -> None:
        """Open the folder again, between two writes, and load the collection, unless another thread did so by then."""
        with self._lock(LOCK_SECONDS if self._opened is None else READ_SECONDS) as lock:
            self._load(name, _read_stamp(lock))

    def _load(self, name: str | None, stamp: Stamp) -> _Opened:
        """The folder as it is at `stamp`, with that collection's index in memory; the caller holds the lock."""
        opened = self._opened
        if opened is None or opened.stamp != stamp:
            opened = self._reopen(stamp)
        if name is None or name in opened.loaded:
            return opened
        if len(opened.loaded) >= LOADED_COLLECTIONS:
            opened = self._reopen(stamp)
        if name in opened.collections:
            with _as_damage():
                _probe(opened.collections[name])
            opened.loaded.add(name)
        return opened

    def _reopen(self, stamp: Stamp) -> _Opened:
        """Nothing of it is loaded yet."""
        with self._alone():
            self._close()
            with _as_damage():
                chroma = self._open_folder()
            try:
                with _as_damage():
                    opened = _Opened(chroma=chroma, stamp=stamp, collections=chroma.collections())
                    for name in self._former:
                        if opened.collections.pop(name, None) is not None:
                            chroma.delete(name)
            except BaseException:
                chroma.close()
                raise
            self._opened = opened
            return opened

    def _open_folder(self) -> "LocalChroma":
        from common.knowledge.chroma_local import LocalChroma

        return LocalChroma(self._folder)

    def _close(self) -> None:
        if self._opened is not None:
            chroma, self._opened = self._opened.chroma, None
            chroma.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No reader of this process is inside, and none enters."""
        with self._gate:
            self._draining = True
            self._gate.wait_for(lambda: self._readers == 0)
        try:
            yield
        finally:
            with self._gate:
                self._draining = False
                self._gate.notify_all()

    @contextmanager
    def _lock(self, seconds: float) -> Iterator[int]:
        """The writers' lock, as a file descriptor."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unusable(error) from None
        try:
            if not _flock(lock, seconds):
                raise VectorsUnavailable(f"other processes have written to the vectors' folder for {seconds:.0f} s")
            yield lock
        finally:
            os.close(lock)


def _flock(lock: int, seconds: float) -> bool:
    """Try for so long; the lock goes with the file descriptor, so a killed process leaves none behind."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True


def _read_stamp(lock: int) -> Stamp:
    written = os.pread(lock, _STAMP.size, 0)
    begun, finished = _STAMP.unpack(written) if len(written) == _STAMP.size else (0, 0)
    return Stamp(begun=begun, finished=finished)


def _write_stamp(lock: int, stamp: Stamp) -> None:
    os.pwrite(lock, _STAMP.pack(stamp.begun, stamp.finished), 0)


def _probe(collection: "LocalCollection") -> None:
    """Make Chroma load the index, which it puts off until somebody searches."""
    found = collection.get(limit=1, include=["embeddings"])["embeddings"]
    if found is not None and len(found):
        collection.query(query_embeddings=np.asarray(found[:1], dtype=np.float32), n_results=1, include=[])


@contextmanager
def _as_damage() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if _is_chromas(error):
            raise _damaged() from error
        raise


@contextmanager
def _as_loss() -> Iterator[None]:
    """For a reader whose collection another process deletes meanwhile: its documents are gone, or will come back."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ == "NotFoundError":  # by its name: the import would take half a second
            raise VectorsLost("the collection was deleted from DATA_DIR/chroma") from None
        raise


def _is_chromas(error: BaseException) -> bool:
    """Whether Chroma says that it cannot go on. A panic of its Rust part is no `Exception`, and has no public type."""
    from chromadb.errors import ChromaError

    return isinstance(error, ChromaError) or type(error).__name__ == "PanicException"


def _damaged() -> VectorsDamaged:
    return VectorsDamaged("the vectors in DATA_DIR/chroma cannot be read; they are built again at the next start")


def _unusable(error: OSError) -> VectorsUnavailable:
    return VectorsUnavailable(f"the vectors' folder DATA_DIR/chroma cannot be used: {error.strerror}")
