"""DOCX to text: heading styles as `#` lines, list paragraphs with a dash, tables row by row.

Headers, footers, footnotes, comments and text boxes are left out; inserted text counts, deleted text does not.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from local.formats.content import Content, Unreadable, not_a_heading, one_line, sensible_title, too_large
from local.formats.plain import first_heading

if TYPE_CHECKING:
    from docx.document import Document
    from docx.oxml.xmlchemy import BaseOxmlElement

_XML_SHARE = 40  # characters of XML that one character of text may bring with it; more is a packed bomb
_MOST_PACKED = 10  # times that a picture shrinks
_HEADING_STYLE = re.compile(r"heading (\d)", re.IGNORECASE)


def read_docx(path: Path, limit: int) -> Content:
    from docx import Document

    if not zipfile.is_zipfile(path):
        raise Unreadable("not a .docx file, or protected by a password")
    with zipfile.ZipFile(path) as package:
        if sum(map(_unpacked_bytes, package.infolist())) > limit * _XML_SHARE:
            raise too_large(limit)
    with path.open("rb") as file:
        document = Document(file)
    text = _join(_blocks(document), limit)
    title = first_heading(text) or sensible_title(document.core_properties.title)
    return Content(text=text, title=title)


def _unpacked_bytes(entry: zipfile.ZipInfo) -> int:
    """What `entry` weighs in the limit. Pictures weigh nothing: they hardly shrink, so what is packed small is none."""
    is_picture = (
        not entry.filename.endswith((".xml", ".rels")) and entry.file_size <= entry.compress_size * _MOST_PACKED
    )
    return 0 if is_picture else entry.file_size


def _join(blocks: Iterator[tuple[str, str]], limit: int) -> str:
    parts: list[str] = []
    before, characters = "", 0
    for kind, words in blocks:
        characters += len(words) + 2
        if characters > limit:
            raise too_large(limit)
        parts.append("\n" if kind == before and kind in ("item", "row") else "\n\n")
        parts.append(words)
        before = kind
    return "".join(parts[1:])


def _blocks(document: "Document") -> Iterator[tuple[str, str]]:
    """(kind, text) of each paragraph and table row, in order, those inside content controls too."""
    styles = {style.style_id: str(style.name) for style in document.styles}
    for element in document.element.body.xpath("//w:body//w:p[not(ancestor::w:tbl) and not(ancestor::w:txbxContent)]"
                                               " | //w:body//w:tbl[not(ancestor::w:tbl)]"):  # fmt: skip
        if element.tag.endswith("}tbl"):
            yield from (("row", row) for row in _rows(element))
        else:
            yield from _paragraph(element, styles)


def _paragraph(element: "BaseOxmlElement", styles: dict[str, str]) -> Iterator[tuple[str, str]]:
    words = _text(element)
    if not words:
        return
    style = next(iter(element.xpath("./w:pPr/w:pStyle/@w:val")), "")
    name = styles.get(style, style)
    level = _HEADING_STYLE.fullmatch(name)
    if level or name.lower() == "title":
        yield "heading", "#" * min(int(level[1]) if level else 1, 6) + " " + one_line(words)
    elif element.xpath("./w:pPr/w:numPr") or name.lower().startswith("list"):
        yield "item", "- " + words
    else:
        yield "paragraph", not_a_heading(words)


def _rows(table: "BaseOxmlElement") -> Iterator[str]:
    for row in table.xpath("./w:tr"):
        cells = [
            " ".join(filter(None, (one_line(_text(paragraph)) for paragraph in cell.xpath(".//w:p"))))
            for cell in row.xpath("./w:tc | ./w:sdt/w:sdtContent/w:tc")
        ]
        if any(cells):
            yield not_a_heading(" | ".join(cells))


def _text(paragraph: "BaseOxmlElement") -> str:
    pieces = paragraph.xpath("(.//w:r/w:t | .//w:r/w:tab | .//w:r/w:br)[not(ancestor::w:txbxContent)]")
    return "".join(_piece(piece) for piece in pieces).strip()


def _piece(piece: "BaseOxmlElement") -> str:
    if piece.tag.endswith("}t"):
        return piece.text or ""
    return "\n" if piece.tag.endswith("}br") else " "
