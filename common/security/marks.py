"""Marks: keyed hashes of the identifiers in what is sealed, by which all that speaks of a person is found again.

What is sealed cannot be searched, and a plain hash of a phone number is found by trying all numbers. A mark needs the
key ring's key. It is the same for one identifier however it is written: "(415) 555-0123", "+1 415.555.0123" and
"4155550123"; "Jane@X.com" and "jane@x.com". Names, places and IP addresses have none: they tell no one person.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from common.pii import PiiKind, detect_all

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from common.security.keyring import KeyRing

LONGEST_IDENTIFIER = 320  # an e-mail address's 64, its @ and its 255
MARKED = frozenset(PiiKind) - {PiiKind.IP, PiiKind.SECRET}

_AT_ONCE = 500  # values in one statement; SQLite takes some thousands
_LEAST_DIGITS = 7
_MANY = 11  # digits, from which on 00 before them stands for a plus
_NORTH_AMERICAN = re.compile(r"1?([2-9]\d{2}[2-9]\d{6})", re.ASCII)
_EXTENSION = re.compile(r"(?<=\d)[^\w+]*(?:[a-z#,;].*)", re.IGNORECASE | re.DOTALL)
_BARE_NUMBER = re.compile(r"(?<![\w$\u20ac\u00a3.,])\d{7,19}(?!\w|[.,]\d)")  # no amount, as far as it says so
_TRUNK_ZERO = "(0)"  # +44 (0)20: dialled within the country only


class NotAnIdentifier(ValueError):
    """The text is none of the things that marks are made of."""

    def __init__(self) -> None:
        super().__init__("that is no e-mail address, phone, social security, card, account, routing number or IBAN")


class Marks:
    """Marks by the key of one ring. Safe to share between threads."""

    def __init__(self, ring: "KeyRing") -> None:
        self._ring = ring

    def of(self, *texts: str) -> frozenset[str]:
        """The marks of all identifiers in `texts`, 64 hexadecimal digits each, and of numbers that may be one.

        A number without a word that says what it is ("What about 4155550132?") is not taken for personal data, but
        whoever asks for theirs means it too.
        """
        identifiers = {
            _canonical(span.kind, text[span.start : span.end])
            for text in texts
            for span in detect_all(text)
            if span.kind in MARKED
        }
        bare = {f"NUMBER {_number(found[0])}" for text in texts for found in _BARE_NUMBER.finditer(text)}
        return frozenset(map(self._mark, identifiers | bare))

    def of_identifier(self, identifier: str) -> str:
        """The mark of one identifier as a person types it, which needs no words around that say what it is.

        Raises:
            NotAnIdentifier: it is none.
        """
        text = identifier.strip()
        if len(text) > LONGEST_IDENTIFIER:
            raise NotAnIdentifier
        spans = [span for span in detect_all(text) if span.kind in MARKED]
        if len(spans) == 1:
            return self._mark(_canonical(spans[0].kind, text[spans[0].start : spans[0].end]))
        number = _number(text)
        if spans or len(number) < _LEAST_DIGITS or re.search(r"[^\W\d]", _EXTENSION.sub("", text)):
            raise NotAnIdentifier
        return self._mark(f"NUMBER {number}")

    def note(self, connection: "Connection", tenant: str, holder: str, uid: str, texts: Iterable[str]) -> None:
        """Store whom `texts` speak of, in the transaction of `connection`; noting it again changes nothing.

        `holder` is the table ("turns") and `uid` the row that hold them.
        """
        from sqlalchemy.dialects import postgresql, sqlite

        from common.database.tables import subject_marks

        found = self.of(*texts)
        if not found:
            return
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        rows = [{"tenant": tenant, "mark": mark, "holder": holder, "uid": uid} for mark in sorted(found)]
        connection.execute(insert(subject_marks).on_conflict_do_nothing(), rows)

    def _mark(self, canonical: str) -> str:
        return self._ring.mac("mark", canonical.encode())


def marks_of(text: str) -> frozenset[str]:
    """The marks of all identifiers in `text`, by this instance's key ring."""
    return _marks().of(text)


def mark_of(identifier: str) -> str:
    """The mark of one identifier as a person types it, by this instance's key ring: as `Marks.of_identifier`."""
    return _marks().of_identifier(identifier)


def texts_in(value: object) -> Iterator[str]:
    """All texts within a JSON value, names of its fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from texts_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts_in(one)


def forget_marks(connection: "Connection", holder: str, uids: Sequence[str]) -> None:
    """Delete what was noted for these rows, in the transaction of `connection`, as the rows themselves are."""
    from sqlalchemy import delete

    from common.database.tables import subject_marks

    for start in range(0, len(uids), _AT_ONCE):
        some = uids[start : start + _AT_ONCE]
        connection.execute(delete(subject_marks).where(subject_marks.c.holder == holder, subject_marks.c.uid.in_(some)))


def _marks() -> Marks:
    from common.security.keyring import key_ring

    return Marks(key_ring())


def _canonical(kind: PiiKind, value: str) -> str:
    """One spelling for all that mean the same."""
    if kind is PiiKind.EMAIL:
        return f"EMAIL {value.casefold().replace('%40', '@')}"
    if kind is PiiKind.IBAN:
        return f"IBAN {''.join(filter(str.isalnum, _ascii(value))).upper()}"
    return f"NUMBER {_number(value)}"


def _number(value: str) -> str:
    """Digits alone, whatever kind of number it is: who types one need not say, and may not know.

    So all kinds follow the rules that phones need: no extension, no 00 or trunk zero, no 1 before ten digits that are
    a number of North America.
    """
    text = _EXTENSION.sub("", _ascii(value).replace(_TRUNK_ZERO, ""))
    digits = "".join(filter(str.isdigit, text))
    if len(digits) >= _MANY:
        digits = digits.removeprefix("00")
    american = _NORTH_AMERICAN.fullmatch(digits)
    return digits if american is None else american[1]


def _ascii(value: str) -> str:
    from common.recognizers.plain import plain

    return value if value.isascii() and "%" not in value else plain(value)
