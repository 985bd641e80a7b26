"""PDF to text: lines joined into paragraphs, running heads and page numbers left out, bookmarks as headings.

Only text that stands in the file is read: a scanned page has none.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from local.formats.content import Content, Unreadable, not_a_heading, one_line, sensible_title, too_large

if TYPE_CHECKING:
    from pypdf import PdfReader

_EDGE_LINES = 3  # running heads stand among the first or last lines of a page
_RUNNING_SHARE = 0.5  # come back on at least half of the pages
_RUNNING_CHARACTERS = 80  # and are short
_FULL_LINE_SHARE = 0.75  # of the usual line's length: a shorter line that ends a sentence ends the paragraph
_SHORT_LINE_SHARE = 0.5  # a shorter line before a capital is a heading, a cell or a paragraph's end
_PARAGRAPH_CHARACTERS = 20_000  # no paragraph is longer: a file without any breaks is cut at its lines
_LIST_MARK = re.compile(r"(\(\w{1,5}\)|\d{1,3}[.)]|[a-zA-Z][.)]|[•▪◦–*-])\s")
_SENTENCE_END = re.compile(r"[.!?:;]['\")”’]?$")
_ITEM_END = re.compile(r"[.;:!?]\W*$|[;,] (and|or)$")


def read_pdf(path: Path, limit: int) -> Content:
    """The text of all pages; a title from the properties, where it is one.

    Raises:
        Unreadable: encrypted with a password, or no text.
    """
    from pypdf import PasswordType, PdfReader

    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns of each oddity that it gets over
    with path.open("rb") as file:
        reader = PdfReader(file)
        # An owner's password only restricts printing and copying; the empty user's password opens such a file.
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise Unreadable("encrypted: it needs a password")
        pages = list(_pages(reader, limit))
        headings = _bookmarks(reader)
        metadata = reader.metadata
    text = "\n\n".join(_paragraphs(_without_running_lines(pages), headings))
    if not text:
        raise Unreadable("no text in it: scanned pages need text recognition first")
    return Content(text=text, title=sensible_title(metadata.title if metadata else None))


def _pages(reader: "PdfReader", limit: int) -> Iterator[list[str]]:
    characters = 0
    for page in reader.pages:
        text = page.extract_text().replace("\0", "")
        characters += len(text)
        if characters > limit:
            raise too_large(limit)
        yield [one_line(line) for line in text.strip().split("\n")]


def _bookmarks(reader: "PdfReader") -> dict[str, int]:
    """Bookmark titles in lower case, each with its depth from 1."""
    found: dict[str, int] = {}
    entries: list[tuple[Any, int]] = [(entry, 1) for entry in reversed(reader.outline)]  # lists in lists
    while entries:
        entry, level = entries.pop()
        if isinstance(entry, list):
            entries.extend((one, level + 1) for one in reversed(entry))
        elif words := one_line(str(entry.title or "")):
            found.setdefault(words.lower(), min(level, 6))
    return found


def _without_running_lines(pages: Sequence[list[str]]) -> list[str]:
    """All pages' lines in order, without what comes back at the same place of the pages' edges, numbers aside.

    A bare number on a page or two may be a page's number or a table's last cell, and stays.
    """
    places = Counter(place for page in pages for place in _edges(page).values())
    least = max(3, len(pages) * _RUNNING_SHARE)
    often = {place for place, count in places.items() if count >= least and len(place[1]) <= _RUNNING_CHARACTERS}
    lines: list[str] = []
    for page in pages:
        edges = _edges(page)
        lines += [line for number, line in enumerate(page) if edges.get(number) not in often]
    return lines


def _edges(page: list[str]) -> dict[int, tuple[int, str]]:
    """Line number to (place counted from its edge, the line with every number alike), of the page's edges."""
    shapes = {number: re.sub(r"\d+", "0", line.lower()) for number, line in enumerate(page)}
    top = {number: (number, shapes[number]) for number in range(min(_EDGE_LINES, len(page)))}
    bottom = {number: (number - len(page), shapes[number]) for number in range(len(page))[-_EDGE_LINES:]}
    return bottom | top


def _paragraphs(lines: Sequence[str], headings: dict[str, int]) -> Iterator[str]:
    width = _usual_length(lines)
    paragraph, ended = "", False
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        level = headings.get(line.lower())
        if paragraph and (ended or not line or level or _begins_item(paragraph, line)):
            yield not_a_heading(paragraph)
            paragraph = ""
        if level:
            yield "#" * level + " " + line
        elif line:
            paragraph = _join(paragraph, line)
            ended = _ends_paragraph(line, following, width) or len(paragraph) > _PARAGRAPH_CHARACTERS
    if paragraph:
        yield not_a_heading(paragraph)


def _ends_paragraph(line: str, following: str, width: float) -> bool:
    """A line that leaves room ends the paragraph after a sentence; one that leaves much, before a capital too."""
    if len(line) < width * _FULL_LINE_SHARE and _SENTENCE_END.search(line):
        return True
    return len(line) < width * _SHORT_LINE_SHARE and not line.endswith(("-", ",")) and not following[:1].islower()


def _usual_length(lines: Sequence[str]) -> float:
    """The width of the text in characters: nine of ten lines are no longer."""
    lengths = [len(line) for line in lines if line]
    return quantiles(lengths, n=10)[-1] if len(lengths) > 1 else 0.0


def _begins_item(paragraph: str, line: str) -> bool:
    return _LIST_MARK.match(line) is not None and _ITEM_END.search(paragraph[-20:]) is not None


def _join(paragraph: str, line: str) -> str:
    """`line` goes on with `paragraph`; a word cut at the line's end is put together again.

    "non-" before a capital or a digit keeps its hyphen: it stands for more than the end of the line.
    """
    if not paragraph:
        return line
    if re.search(r"[a-z]-$", paragraph[-2:]) and line[0].islower():
        return paragraph[:-1] + line
    return paragraph + ("" if re.search(r"\w-$", paragraph[-2:]) else " ") + line
