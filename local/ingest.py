"""Files and folders into the knowledge base, in batches, naming each file that could not be read."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.knowledge.store import Document, PutResult
from common.problems import AssistantError
from local.formats.content import Unreadable
from local.readers import can_read, read_document
from local.refusal import Refused

BATCH_DOCUMENTS = 16
BATCH_CHARACTERS = 400_000

Put = Callable[[Sequence[Document]], PutResult]
Progress = Callable[[int], None]
"""Told how many more files are done: stored, or found unreadable."""


class BadPath(Refused):
    """A path that was asked for and cannot be used at all; the message names it and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that is to be read, and the id that its document gets."""

    path: Path
    document_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A file that gave no document, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the paths hold. `ignored` counts files in folders whose format is not read here."""

    sources: tuple[Source, ...]
    failures: tuple[Failure, ...]
    ignored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is stored: `documents` accepted, of `chunks` in all, `unchanged` of them as they were before."""

    documents: int
    chunks: int
    unchanged: int
    failures: tuple[Failure, ...]
    ignored: int

    def __str__(self) -> str:
        parts = [
            f"{self.documents:,} documents",
            f"{self.chunks:,} chunks",
            f"{self.unchanged:,} unchanged",
            f"{len(self.failures):,} could not be read",
        ]
        return ", ".join(parts + ([f"{self.ignored:,} ignored"] if self.ignored else []))


def find(paths: Sequence[Path], base: Path | None = None) -> Found:
    """Files to read, folders with all that is below them, in order of name.

    A document's id is its path below `base`, else below the folder that was named, without its suffix and with -
    for blanks; a file named by itself has its own name. Hidden files and folders are passed over, links to folders
    not followed, nor links in a folder to files outside it.

    Raises:
        BadPath: a path that is not there, or not below `base`.
    """
    search = _Search()
    for path in paths:
        _check(path, base)
        if base is not None:
            path, top = path.resolve(), base.resolve()
        else:
            top = path if path.is_dir() else path.parent
        if path.is_file():
            search.file(path, top)
        else:
            search.folder(path, top)
    return search.found()


def ingest(found: Found, put: Put, *, max_characters: int, progress: Progress = lambda _files: None) -> Outcome:
    """Read and store what was `found`. When `progress` hears of a document, it is stored for good.

    A document that the store refuses is a failure like a file that cannot be read.
    """
    failures = list(found.failures)
    documents = chunks = unchanged = 0
    for batch in _batches(_read(found.sources, failures, max_characters, progress)):
        for part in _stored(batch, put, failures):
            documents += part.documents
            chunks += part.chunks
            unchanged += part.unchanged
        progress(len(batch))
    return Outcome(
        documents=documents, chunks=chunks, unchanged=unchanged, failures=tuple(failures), ignored=found.ignored
    )


def _check(path: Path, base: Path | None) -> None:
    if not path.exists():
        raise BadPath(f"{path}: no such file or folder")
    if not path.is_file() and not path.is_dir():
        raise BadPath(f"{path}: neither a file nor a folder")
    if base is not None and not path.resolve().is_relative_to(base.resolve()):
        raise BadPath(f"{path}: not below {base}")


class _Search:
    """Collects what `find` comes across."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._failures: list[Failure] = []
        self._ignored = 0

    def folder(self, folder: Path, top: Path) -> None:
        for parent, folders, names in os.walk(folder, onerror=self._closed):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for path in (Path(parent, name) for name in sorted(names) if not name.startswith(".")):
                # A link that leads nowhere is named as unreadable; a pipe or a device would never end.
                if can_read(path) and _leads_out(path, folder):
                    self._failures.append(Failure(path=path, reason="is a link to a file outside the folder"))
                elif can_read(path) and (path.is_file() or not path.exists()):
                    self.file(path, top)
                else:
                    self._ignored += 1

    def file(self, path: Path, top: Path) -> None:
        document_id = _id_of(path.relative_to(top))
        earlier = self._sources.setdefault(document_id, Source(path=path, document_id=document_id))
        if earlier.path.absolute() != path.absolute():
            reason = f"its id, {document_id}, is already that of {earlier.path}"
            self._failures.append(Failure(path=path, reason=reason))

    def found(self) -> Found:
        return Found(sources=tuple(self._sources.values()), failures=tuple(self._failures), ignored=self._ignored)

    def _closed(self, error: OSError) -> None:
        self._failures.append(Failure(path=Path(error.filename), reason=error.strerror or type(error).__name__))


def _leads_out(path: Path, folder: Path) -> bool:
    """Whether `path` is a link to a file that is not below `folder`: whoever fills a folder does not choose that."""
    return path.is_symlink() and path.is_file() and not path.resolve().is_relative_to(folder.resolve())


def _id_of(path: Path) -> str:
    """`path` without its suffix, in the characters that ids have: "Über uns.md" is Uber-uns, 中.md is ~4e2d."""
    plain = unicodedata.normalize("NFKD", path.with_suffix("").as_posix())
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    kept = re.sub(r"[^A-Za-z0-9._~@()+,:=/\u0080-\U0010ffff-]+", "-", letters)
    return re.sub(r"[^\x00-\x7f]", lambda letter: f"~{ord(letter[0]):x}", kept)


def _read(
    sources: Sequence[Source], failures: list[Failure], max_characters: int, progress: Progress
) -> Iterator[tuple[Source, Document]]:
    for source in sources:
        try:
            document = read_document(source.path, document_id=source.document_id, max_characters=max_characters)
        except Unreadable as error:
            failures.append(Failure(path=source.path, reason=str(error)))
            progress(1)
        else:
            yield source, document


def _batches(read: Iterator[tuple[Source, Document]]) -> Iterator[list[tuple[Source, Document]]]:
    batch: list[tuple[Source, Document]] = []
    characters = 0
    for source, document in read:
        if batch and (len(batch) == BATCH_DOCUMENTS or characters + len(document.text) > BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append((source, document))
        characters += len(document.text)
    if batch:
        yield batch


def _stored(batch: Sequence[tuple[Source, Document]], put: Put, failures: list[Failure]) -> Iterator[PutResult]:
    """Results of storing `batch`: whole, or one by one where the store refuses it, to name the one that it refuses."""
    try:
        yield put([document for _, document in batch])
    except AssistantError as error:
        if error.status >= 500:
            raise
        if len(batch) == 1:
            failures.append(Failure(path=batch[0][0].path, reason=_refusal(error)))
            return
        for one in batch:
            yield from _stored([one], put, failures)


def _refusal(error: AssistantError) -> str:
    reasons = [f"{one.pointer} {one.detail}" for one in error.errors] or [error.detail or error.title]
    return f"refused: {'; '.join(reasons)}"
