"""HTML to text: headings as `#` lines, lists with their marks, tables row by row; scripts and navigation left out."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from local.formats.content import Content, Unreadable, not_a_heading, one_line
from local.formats.plain import decode, first_heading, read_bytes

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag
    from bs4.element import PageElement

_MARKUP_SHARE = 2  # characters of markup that one character of text may bring with it
_CLOSED_BY = ((re.compile(r"<[a-zA-Z/!?]"), ">"), (re.compile(r"<!--"), "-->"))
_MOST_OPEN = 10  # at the end of a file that was cut off there may be one
_LEFT_OUT = frozenset(
    "script style noscript template iframe object svg math canvas form button select head title nav footer".split()
)
_LEFT_OUT_ROLES = frozenset(("navigation", "search", "contentinfo"))
_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure header hr "
    "html legend main ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NOT_IN_DATA_TABLES = frozenset(("table", "ul", "ol", "pre", *_HEADINGS))


def read_html(path: Path, limit: int) -> Content:
    """The page's main part where it marks one, else its body.

    UTF-8, or what a byte order mark or the page itself declares.

    Raises:
        Unreadable: no text in that encoding, or markup that does not end.
    """
    from bs4 import BeautifulSoup
    from bs4.dammit import EncodingDetector

    raw = read_bytes(path, limit * _MARKUP_SHARE)
    declared = EncodingDetector.find_declared_encoding(raw, is_html=True)
    text = _decode(raw, declared)
    _check_ends(text)
    soup = BeautifulSoup(text, "html.parser")
    page_title, source = _title(soup), _canonical(soup)
    text = _render(soup.main or soup.body or soup)
    return Content(text=text, title=first_heading(text) or page_title, source=source)


def _decode(raw: bytes, declared: str | None) -> str:
    try:
        return decode(raw)
    except Unreadable:
        if declared is None or declared.lower().startswith("utf"):
            raise
        return decode(raw, declared)


def _check_ends(text: str) -> None:
    """Python's parser looks for the end of each tag and comment up to the end of the text: a file that opens many and
    ends none would take hours (CVE-2025-6069).

    Raises:
        Unreadable: it is such a file.
    """
    for opening, closing in _CLOSED_BY:
        if sum(1 for _ in islice(opening.finditer(text, text.rfind(closing) + 1), _MOST_OPEN + 1)) > _MOST_OPEN:
            raise Unreadable("damaged: tags or comments in it do not end")


def _title(soup: "BeautifulSoup") -> str | None:
    return one_line(soup.title.get_text()) or None if soup.title else None


def _canonical(soup: "BeautifulSoup") -> str | None:
    link = soup.find("link", rel="canonical")
    href = str(link.get("href", "")) if link else ""
    return href if href.startswith(("https://", "http://")) else None


def _render(root: "Tag") -> str:
    writer = _Writer()
    for step in _steps(root):
        step(writer)
    return writer.text()


class _Writer:
    """Collects inline text and closes it into blocks; list items and table rows stay line by line."""

    def __init__(self) -> None:
        self._blocks: list[tuple[str, str]] = []  # (kind, text)
        self._inline: list[str] = []
        self._kind, self._mark = "paragraph", ""
        self._lists: list[Iterator[str]] = []

    def add(self, text: str) -> None:
        self._inline.append(text)

    def close(self) -> None:
        """End the block that is being written, if it holds anything."""
        lines = [one_line(line) for line in "".join(self._inline).split("\n")]
        self._inline.clear()
        words = "\n".join(line for line in lines if line)
        if words:
            words = one_line(words) if self._kind == "heading" else not_a_heading(words)
            self._blocks.append((self._kind, self._mark + words))
            self._kind, self._mark = "paragraph", ""

    def begin(self, kind: str, mark: str) -> None:
        self.close()
        self._kind, self._mark = kind, mark

    def verbatim(self, text: str) -> None:
        self.close()
        self._blocks.append(("verbatim", text.strip("\n")))

    def row(self, cells: list[str]) -> None:
        self.close()
        if any(cells):
            self._blocks.append(("row", not_a_heading(" | ".join(cells))))

    def begin_list(self, marks: Iterator[str]) -> None:
        self.close()
        self._lists.append(marks)

    def end_list(self) -> None:
        self.close()
        self._lists.pop()

    def begin_item(self) -> None:
        marks = self._lists[-1] if self._lists else iter(("- ",))
        self.begin("item", "  " * (len(self._lists) - 1) + next(marks))

    def text(self) -> str:
        self.close()
        parts: list[str] = []
        before = ""
        for kind, words in self._blocks:
            parts.append("\n" if kind == before and kind in ("item", "row") else "\n\n")
            parts.append(words)
            before = kind
        return "".join(parts[1:])


_Step = Callable[[_Writer], None]


def _steps(root: "Tag") -> Iterator[_Step]:
    """What to write, in the page's order. A stack of its own: pages nest deeper than Python's calls may."""
    from bs4.element import CData, NavigableString, Tag

    layout = _layout_tables(root)
    stack: list[PageElement | _Step] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, Tag):
            if _is_left_out(node):
                continue
            opening, children, closing = _parts(node, is_layout=id(node) in layout)
            yield opening
            stack.append(closing)
            stack.extend(reversed(children))
        elif type(node) in (NavigableString, CData):  # comments and declarations are subclasses
            words = re.sub(r"\s+", " ", str(node))
            yield partial(_Writer.add, text=words)
        elif callable(node):
            yield node


def _is_left_out(tag: "Tag") -> bool:
    if tag.name in _LEFT_OUT:
        return True
    attributes = tag.attrs
    return bool(attributes) and (
        "hidden" in attributes or attributes.get("aria-hidden") == "true" or attributes.get("role") in _LEFT_OUT_ROLES
    )


def _layout_tables(root: "Tag") -> set[int]:
    """The ids of tables that lay out a page: another table, a list or a heading stands in them.

    All in one pass: to ask each table by itself takes hours where thousands lie in each other.
    """
    from bs4.element import Tag

    found: set[int] = set()
    stack: list[tuple[Tag, Tag | None]] = [(root, None)]  # with the table that it stands in
    while stack:
        tag, table = stack.pop()
        if table is not None and tag.name in _NOT_IN_DATA_TABLES:
            found.add(id(table))
        inner = tag if tag.name == "table" else table
        stack.extend((child, inner) for child in tag.contents if isinstance(child, Tag))
    return found


def _parts(tag: "Tag", *, is_layout: bool) -> tuple[_Step, list["PageElement"], _Step]:
    """What opens `tag`, what stands in it, and what closes it. `is_layout`: it is a table of that kind."""
    name = tag.name
    if name in _HEADINGS:
        mark = "#" * _HEADINGS[name] + " "
        return (lambda writer: writer.begin("heading", mark)), tag.contents, _Writer.close
    if name in ("ul", "ol"):
        marks = _numbers(tag) if name == "ol" else _bullets()
        return (lambda writer: writer.begin_list(marks)), tag.contents, _Writer.end_list
    if name == "li":
        return _Writer.begin_item, tag.contents, _Writer.close
    if name == "br":
        return (lambda writer: writer.add("\n")), [], _nothing
    if name == "pre":
        return (lambda writer: writer.verbatim(tag.get_text())), [], _nothing
    if name == "table" and not is_layout:
        return (lambda writer: _write_rows(writer, tag)), [], _nothing
    if name in _BLOCKS:
        return _Writer.close, tag.contents, _Writer.close
    return _nothing, tag.contents, _nothing


def _nothing(_writer: _Writer) -> None:
    """An inline element begins and ends without a break."""


def _write_rows(writer: _Writer, table: "Tag") -> None:
    """Row by row. In one pass, and by what opens alone: rows and cells that nobody closes lie in each other."""
    from bs4.element import CData, NavigableString, Tag

    caption: list[str] = []
    rows: list[list[list[str]]] = []
    stack: list[tuple[PageElement, list[str] | None]] = [(one, None) for one in reversed(table.contents)]
    while stack:
        node, cell = stack.pop()  # with the cell that it stands in
        if isinstance(node, Tag) and not _is_left_out(node):
            if node.name == "caption":
                cell = caption
            elif node.name == "tr":
                cell = None
                rows.append([])
            elif node.name in ("td", "th"):
                cell = []
                (rows or [[]])[-1].append(cell)
            stack.extend((one, cell) for one in reversed(node.contents))
        elif cell is not None and type(node) in (NavigableString, CData):
            cell.append(str(node))
    if caption:
        writer.begin("paragraph", "")
        writer.add(" ".join(caption))
    for row in rows:
        writer.row([one_line(" ".join(cell)) for cell in row])


def _bullets() -> Iterator[str]:
    while True:
        yield "- "


def _numbers(tag: "Tag") -> Iterator[str]:
    """Marks of an ordered list: 1. 2., or (a) (b) and (i) (ii), as statutes number their paragraphs."""
    start = str(tag.get("start", "1"))
    number = int(start) if start.isdecimal() and len(start) < 7 else 1
    kind = str(tag.get("type", "1"))
    while True:
        yield f"({_letters(number, kind)}) " if kind in ("a", "A", "i", "I") and 0 < number <= 26 else f"{number}. "
        number += 1


def _letters(number: int, kind: str) -> str:
    letters = chr(ord("a") + number - 1) if kind in ("a", "A") else "x" * (number // 10) + _ROMAN[number % 10]
    return letters.upper() if kind in ("A", "I") else letters


_ROMAN = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
