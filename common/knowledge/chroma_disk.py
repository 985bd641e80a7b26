"""Chroma in a folder that several processes use at once, as when documents are ingested while the emulator runs.

Chroma keeps a folder's index in each process's memory and never looks again: what another process writes is not found,
and two that write spoil each other's files. Nor does it survive being killed while it saves (all tried on 1.5.9). So:
writers take turns by a file lock; a stamp in the same file tells the others to open the folder again (some 70 ms for
5,000 vectors); a folder that cannot be opened or searched is `VectorsDamaged`, and the database can fill it again.
"""

import fcntl
import os
import shutil
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.knowledge.vectors import VectorsDamaged, VectorsUnavailable

if TYPE_CHECKING:
    from common.knowledge.chroma_local import LocalChroma, LocalCollection

LOCK_SECONDS = 60.0  # a writer holds the lock for one batch, which takes a second or two
READ_SECONDS = 5.0  # for a reader whose load is out of date
_POLL_SECONDS = 0.02
_LOCK_FILE = "writers.lock"
_STAMP = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Writes that began and that finished, by all processes; they differ during a write, and after a killed one."""

    begun: int
    finished: int


class ChromaFolder:
    """A collection on disk. Readers see every write that was finished when they came.

    For that they open the folder again after a write of another process, and wait where the next one is already under
    way, a second at most: results of an older load would be taken, and cached, for the database's new state.
    """

    def __init__(self, folder: Path, collection: "Callable[[LocalChroma], LocalCollection]") -> None:
        """`collection` finds or makes the collection in a folder that was just opened."""
        self._folder = folder.absolute()
        self._find_collection = collection
        self._gate = threading.Condition()
        self._readers = 0
        self._draining = False  # no reader may enter: the folder is about to be opened again
        self._opened: tuple[LocalChroma, LocalCollection, Stamp] | None = None

    @contextmanager
    def reading(self) -> "Iterator[LocalCollection]":
        """The collection, opened again if another process has written since."""
        collection = self._enter()
        try:
            yield collection
        finally:
            self._leave()

    @contextmanager
    def quiet(self) -> "Iterator[LocalCollection]":
        """The collection, up to date with all writes, while there is no writer."""
        with self._lock(READ_SECONDS) as lock:
            stamp = _read_stamp(lock)
            if self._opened is None or self._opened[2] != stamp:
                self._reopen(stamp)
            assert self._opened is not None
            with self._gate:
                self._readers += 1
            try:
                yield self._opened[1]
            finally:
                self._leave()

    @contextmanager
    def writing(self) -> "Iterator[LocalCollection]":
        """The collection, with no other writer, up to date with all earlier ones."""
        with self._lock(LOCK_SECONDS) as lock:
            stamp = _read_stamp(lock)
            if self._opened is None or self._opened[2].begun != stamp.begun:
                self._reopen(stamp)
            assert self._opened is not None
            chroma, collection, _ = self._opened
            begun = Stamp(begun=stamp.begun + 1, finished=stamp.finished)
            _write_stamp(lock, begun)
            yield collection  # an exception leaves the stamp as after a kill: everybody, we too, opens it again
            done = Stamp(begun=begun.begun, finished=begun.begun)
            self._opened = chroma, collection, done
            _write_stamp(lock, done)

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

    def _enter(self) -> "LocalCollection":
        """The collection for one more reader, who has to leave afterwards."""
        while True:
            with self._gate:
                self._gate.wait_for(lambda: not self._draining)
                if self._opened is not None and not self._is_behind(self._opened[2]):
                    self._readers += 1
                    return self._opened[1]
            self._refresh()

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

    def _refresh(self) -> None:
        """Open the folder again, between two writes, unless another thread did so by then."""
        with self._lock(LOCK_SECONDS if self._opened is None else READ_SECONDS) as lock:
            stamp = _read_stamp(lock)
            if self._opened is None or self._opened[2] != stamp:
                self._reopen(stamp)

    def _reopen(self, stamp: Stamp) -> None:
        """Load the folder as it is now; the caller holds the lock."""
        with self._alone():
            self._close()
            with _as_damage():
                chroma = self._open_folder()
            try:
                with _as_damage():
                    collection = self._find_collection(chroma)
                    _probe(collection)
            except BaseException:
                chroma.close()
                raise
            self._opened = chroma, collection, stamp

    def _open_folder(self) -> "LocalChroma":
        from common.knowledge.chroma_local import LocalChroma

        return LocalChroma(self._folder)

    def _close(self) -> None:
        if self._opened is not None:
            chroma, self._opened = self._opened[0], None
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


def _is_chromas(error: BaseException) -> bool:
    """Whether Chroma says that it cannot go on. A panic of its Rust part is no `Exception`, and has no public type."""
    from chromadb.errors import ChromaError

    return isinstance(error, ChromaError) or type(error).__name__ == "PanicException"


def _damaged() -> VectorsDamaged:
    return VectorsDamaged("the vectors in DATA_DIR/chroma cannot be read; they are built again at the next start")


def _unusable(error: OSError) -> VectorsUnavailable:
    return VectorsUnavailable(f"the vectors' folder DATA_DIR/chroma cannot be used: {error.strerror}")
