"""What a document must be, whoever hands it in. A whole batch is checked before anything of it is written."""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from common.problems import FieldError, InvalidRequest

Scalar = str | int | float | bool

MAX_ID_CHARACTERS = 256
MAX_TITLE_CHARACTERS = 512
MAX_SOURCE_CHARACTERS = 2_048
MAX_ATTRIBUTES = 32
MAX_ATTRIBUTE_CHARACTERS = 1_024
MAX_ERRORS = 20
# Each gets a vector: a text of nothing but headings would take a hundred times the memory of prose of its length. Prose
# of five million characters has some 70,000 sentences, on as many lines.
MAX_SENTENCES_AND_LINES = 200_000

_PART = r"[\w.~@()+,:;=&'!$%\[\]-]+( +[\w.~@()+,:;=&'!$%\[\]-]+)*"
ID_PATTERN = rf"^{_PART}(/{_PART})*$"
ATTRIBUTE_NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
RESERVED_ATTRIBUTES = frozenset({"document_id"})

_ID = re.compile(ID_PATTERN[:-1] + r"\Z")
_ATTRIBUTE_NAME = re.compile(ATTRIBUTE_NAME_PATTERN[:-1] + r"\Z")
_WORD = re.compile(r"[^\W_]")
# Control characters other than white space, and halves of surrogate pairs: text has none, and databases refuse some.
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
_SENTENCE_END = re.compile(r"[.!?;:]\s")
_DOTS = {".", ".."}
# Letters of Hangul that show nothing. Other characters without a look of their own are no letters, so no id has them.
_INVISIBLE = re.compile(r"[\u115f\u1160\u3164\uffa0]")
# Set the direction of what follows, so that a source reads as another one does: https://trojansource.codes
_DIRECTION = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


class Documented(Protocol):
    """The fields that are checked."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def source(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, Scalar]: ...


def check_documents(documents: Sequence[Documented]) -> None:
    """
    Raises:
        InvalidRequest: names each broken rule by a pointer such as /documents/3/id, up to `MAX_ERRORS` of them.
    """
    errors = [
        FieldError(pointer=f"/documents/{index}/{field}", detail=reason)
        for index, document in enumerate(documents)
        for field, reason in _broken(document)
    ]
    errors += [
        FieldError(pointer=f"/documents/{index}/id", detail="is the id of an earlier document of this request")
        for index in _repeated([document.id for document in documents])
    ]
    if errors:
        raise InvalidRequest("Each entry of `errors` names a field and the reason.", errors=errors[:MAX_ERRORS])


def _broken(document: Documented) -> Iterator[tuple[str, str]]:
    """Fields of one document that break a rule, and the rule."""
    if not (_ID.match(document.id) and not _DOTS & set(document.id.split("/"))):
        yield "id", "must be letters, digits and signs such as . _ - in parts separated by /, none of them . or .."
    elif _INVISIBLE.search(document.id) or not unicodedata.is_normalized("NFKC", document.id):
        # One look, one id: "é" in two characters, a full-width "A" or the sign for "fi" would make a second document.
        yield "id", "must be in Unicode's plainest form (NFKC), without invisible letters"
    yield from _too_long("id", document.id, MAX_ID_CHARACTERS)
    yield from _unreadable("title", document.title)
    yield from _misleading("title", document.title)
    yield from _too_long("title", document.title, MAX_TITLE_CHARACTERS)
    yield from _unreadable("text", document.text)
    if document.text.count("\n") + len(_SENTENCE_END.findall(document.text)) > MAX_SENTENCES_AND_LINES:
        yield "text", f"has more than {MAX_SENTENCES_AND_LINES:,} sentences and lines"
    if document.source is not None:
        yield from _unreadable("source", document.source)
        yield from _misleading("source", document.source)
        yield from _too_long("source", document.source, MAX_SOURCE_CHARACTERS)
    yield from _broken_metadata(document.metadata)


def _unreadable(field: str, value: str) -> Iterator[tuple[str, str]]:
    if _BINARY.search(value):
        yield field, "holds control characters, so it is no text"
    elif not value.strip():
        yield field, "is empty"
    elif not _WORD.search(value):
        yield field, "holds no letter and no digit"


def _misleading(field: str, value: str) -> Iterator[tuple[str, str]]:
    if _DIRECTION.search(value):
        yield field, "holds characters that set the direction of writing"


def _too_long(field: str, value: str, limit: int) -> Iterator[tuple[str, str]]:
    if len(value) > limit:
        yield field, f"is longer than {limit:,} characters"


def _broken_metadata(metadata: Mapping[str, Scalar]) -> Iterator[tuple[str, str]]:
    if len(metadata) > MAX_ATTRIBUTES:
        yield "metadata", f"holds more than {MAX_ATTRIBUTES} values"
    for name, value in metadata.items():
        if not _ATTRIBUTE_NAME.match(name) or name in RESERVED_ATTRIBUTES:
            # The name is the caller's own text, so it is not said again.
            yield "metadata", "a name must be a letter and up to 63 letters, digits, _ . -, and not document_id"
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"metadata/{name}", "is no finite number"
        elif len(str(value)) > MAX_ATTRIBUTE_CHARACTERS:
            yield f"metadata/{name}", f"is longer than {MAX_ATTRIBUTE_CHARACTERS:,} characters"
        elif isinstance(value, str) and _BINARY.search(value):
            yield f"metadata/{name}", "holds control characters, so it is no text"


def _repeated(ids: Sequence[str]) -> Iterator[int]:
    seen: set[str] = set()
    for index, one in enumerate(ids):
        if one in seen:
            yield index
        seen.add(one)
