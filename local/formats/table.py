"""CSV: each record a paragraph "header: value; header: value", so that a record is found and quoted by itself."""

import csv
import io
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from local.formats.content import Content, Unreadable, not_a_heading, one_line, too_large
from local.formats.plain import decode, read_bytes

_SAMPLE_CHARACTERS = 8_192


def read_csv(path: Path, limit: int) -> Content:
    """Comma, semicolon, tab or bar; the first record names the columns.

    Raises:
        Unreadable: no record under the names, or more than `limit` characters once the names stand in each record.
    """
    text = decode(read_bytes(path, limit))
    try:
        records = list(_records(text, limit))
    except csv.Error as error:
        raise Unreadable(f"not CSV: {error}") from None
    if not records:
        raise Unreadable("no records under its header")
    return Content(text="\n\n".join(records))


def _records(text: str, limit: int) -> Iterator[str]:
    rows = csv.reader(io.StringIO(text), delimiter=_delimiter(text), strict=True)
    header = [one_line(name) for name in next((row for row in rows if any(row)), [])]
    characters = 0
    for row in rows:
        record = "; ".join(_pair(number, name, value) for number, (name, value) in _cells(header, row))
        characters += len(record) + 2
        if characters > limit:
            raise too_large(limit)
        if record:
            yield not_a_heading(record)


def _cells(header: list[str], row: list[str]) -> Iterator[tuple[int, tuple[str, str]]]:
    pairs = zip_longest(header, map(one_line, row), fillvalue="")
    return ((number, (name, value)) for number, (name, value) in enumerate(pairs, 1) if value)


def _pair(number: int, name: str, value: str) -> str:
    return f"{name or f'column {number}'}: {value}"


def _delimiter(text: str) -> str:
    try:
        return csv.Sniffer().sniff(text[:_SAMPLE_CHARACTERS], delimiters=",;\t|").delimiter
    except csv.Error:  # one column, or a sample that fits no rule: the comma is the format's own
        return ","
