"""Files to documents: one reader a format, and the words for each file that cannot be read."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from common.knowledge.store import Document
from local.formats.content import Content, Unreadable, too_large
from local.formats.pdf import read_pdf
from local.formats.plain import read_markdown, read_plain
from local.formats.table import read_csv
from local.formats.web import read_html
from local.formats.word import read_docx

READERS: Mapping[str, Callable[[Path, int], Content]] = {
    ".md": read_markdown,
    ".txt": read_plain,
    ".html": read_html,
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".csv": read_csv,
}
"""Suffix to reader. A reader takes a path and the most characters of text, and raises `Unreadable`."""


def can_read(path: Path) -> bool:
    return path.suffix.lower() in READERS


def read_document(path: Path, *, document_id: str, max_characters: int) -> Document:
    """The document in `path`; its title is its own, else the file's name.

    Raises:
        Unreadable: says why, in words for the person who named the file.
    """
    if not can_read(path):
        raise Unreadable(f"a {path.suffix or 'nameless'} format; readable are {' '.join(READERS)}")
    content = _read(path, max_characters)
    text = content.text.strip()
    if not text:
        raise Unreadable("empty")
    if len(text) > max_characters:
        raise too_large(max_characters)
    title = content.title or re.sub(r"[_\s-]+", " ", path.stem).strip() or path.stem
    metadata = dict(content.metadata)
    return Document(id=document_id, title=title, text=text, source=content.source, metadata=metadata)


def _read(path: Path, max_characters: int) -> Content:
    try:
        if path.stat().st_size == 0:
            raise Unreadable("empty")
        return READERS[path.suffix.lower()](path, max_characters)
    except Unreadable:
        raise
    except OSError as error:
        raise Unreadable(error.strerror or type(error).__name__) from error
    # Parsers of foreign files fail with whatever they stumble over: the file is named, and the others go on.
    except Exception as error:
        raise Unreadable(f"damaged: it does not parse as {path.suffix.lower()} ({type(error).__name__})") from error
