"""Placeholders that stand for personal data in what a model reads, and the way back in what it writes.

`[EMAIL_K7Q2AB]`: the kind, and a keyed hash of the value, so that a model sees that two mentions mean the same, and
nobody without the key can tell what, or whether two conversations mean the same. Another spelling of that value has
two characters more (`[EMAIL_K7Q2AB_5D]`): quotes are compared with documents letter by letter, so each spelling comes
back as it was.
"""

import base64
import hmac
import json
import re
import secrets

from common.pii import PiiKind
from common.recognizers.patterns import pattern

NAME, ADDRESS, BIRTH_DATE, ID_NUMBER, TEXT = "NAME", "ADDRESS", "BIRTH_DATE", "ID_NUMBER", "TEXT"
KINDS = (*PiiKind, NAME, ADDRESS, BIRTH_DATE, ID_NUMBER, TEXT)

_ID_CHARACTERS = 6  # 30 bits: among a hundred values of one request, two meet once in 200,000 requests
_SPELLING_CHARACTERS = 2
_BODY = (
    "(?:" + "|".join(kind.replace("_", "UNDERSCORE") for kind in KINDS) + ")"
    rf"UNDERSCORE[A-Z2-7]{{{_ID_CHARACTERS}}}(?:UNDERSCORE[A-Z2-7]{{{_SPELLING_CHARACTERS}}})?"
)


def _written(backslash: str) -> re.Pattern[str]:
    r"""What a placeholder looks like, also in another case or escaped for Markdown: `\[EMAIL\_K7Q2AB\]`."""
    body = _BODY.replace("UNDERSCORE", f"(?:{backslash})?_")
    return pattern(rf"{backslash}\[{body}{backslash}\]|\[{body}\]", re.IGNORECASE | re.ASCII)


_IN_TEXT = _written(r"\\")
_IN_JSON = _written(r"\\\\")
_UNFINISHED = pattern(r"\\{0,2}\[[A-Z2-7_\\]*\Z|\\{1,2}\Z", re.IGNORECASE | re.ASCII)
_WORD = pattern(r"\w+")
_LONGEST = 64  # characters: no placeholder is longer, escapes included


def lookalikes(text: str) -> list[tuple[int, int]]:
    """Where `text` holds what looks like a placeholder: half-open offsets, left to right."""
    if "[" not in text or "_" not in text:
        return []
    return [found.span() for found in _IN_TEXT.finditer(text)]


class Placeholders:
    """The placeholders of one request. One thread.

    The same value has the same placeholder in every request of a conversation. Without one (""), each request is a
    conversation of its own.
    """

    def __init__(self, key: bytes, conversation: str) -> None:
        self._key = key
        self._salt = conversation or secrets.token_hex(16)
        self._values: dict[str, tuple[str, str]] = {}  # by the id: kind and the usual spelling
        self._originals: dict[str, str] = {}  # by the placeholder
        self._given: dict[tuple[str, str], str] = {}  # by kind and spelling: the placeholder

    def __bool__(self) -> bool:
        """Whether any was given out."""
        return bool(self._originals)

    def of(self, kind: str, value: str) -> str:
        """The placeholder for `value`, spelled just so."""
        placeholder = self._given.get((kind, value))
        if placeholder is None:
            placeholder = self._given[kind, value] = self._new(kind, value)
            self._originals[placeholder] = value
        return placeholder

    def _new(self, kind: str, value: str) -> str:
        usual = _usual_spelling(kind, value)
        attempt = 0
        while True:
            name = self._hash(kind, usual, str(attempt), _ID_CHARACTERS)
            spelling = (
                "" if value == usual else "_" + self._hash(kind, value, f"{attempt} spelled", _SPELLING_CHARACTERS)
            )
            placeholder = f"[{kind}_{name}{spelling}]"
            is_free = self._values.setdefault(name, (kind, usual)) == (kind, usual)
            if is_free and placeholder not in self._originals:
                return placeholder
            attempt += 1  # another value has it: as likely as two in a hundred million

    def _hash(self, kind: str, value: str, purpose: str, characters: int) -> str:
        message = "\0".join((self._salt, kind, purpose, value)).encode("utf-8", "surrogatepass")
        return base64.b32encode(hmac.digest(self._key, message, "sha256")).decode()[:characters]

    def restored(self, text: str, *, is_json: bool) -> str:
        """`text` with the values for the placeholders given out here, escaped where it `is_json`; others stay."""
        if not self._originals:
            return text
        return (_IN_JSON if is_json else _IN_TEXT).sub(lambda found: self._original(found[0], is_json=is_json), text)

    def _original(self, written: str, *, is_json: bool) -> str:
        value = self._originals.get(_plain(written))
        if value is None:
            return written
        return json.dumps(value)[1:-1] if is_json else value

    def unfinished(self, text: str) -> int:
        """Where the end of `text` begins that may still become one of these placeholders; its length where none."""
        tail = _UNFINISHED.search(text, max(0, len(text) - _LONGEST))
        if tail is None:
            return len(text)
        begun = _plain(tail[0])
        return tail.start() if any(one.startswith(begun) for one in self._originals) else len(text)


class Restoration:
    """A stream of text with the values in place, whichever way the placeholders are cut. One thread.

    What comes out, joined, is what `Placeholders.restored` makes of what goes in, joined.
    """

    def __init__(self, placeholders: Placeholders, *, is_json: bool) -> None:
        self._placeholders = placeholders
        self._is_json = is_json
        self._held = ""

    def add(self, piece: str) -> str:
        """What is certain after `piece`: all but an end that may still become a placeholder."""
        text = self._held + piece
        certain = self._placeholders.unfinished(text)
        self._held = text[certain:]
        return self._placeholders.restored(text[:certain], is_json=self._is_json)

    def end(self) -> str:
        """What was held back."""
        text, self._held = self._held, ""
        return self._placeholders.restored(text, is_json=self._is_json)


def _plain(written: str) -> str:
    return written.replace("\\", "").upper()


def _usual_spelling(kind: str, value: str) -> str:
    """One spelling for all that mean the same, in the form in which it is mostly written."""
    match kind:
        case PiiKind.EMAIL | PiiKind.IP:
            return value.lower()
        case PiiKind.SSN | PiiKind.PHONE | PiiKind.CREDIT_CARD | PiiKind.IBAN | PiiKind.US_BANK:
            return _usual_number(kind, "".join(filter(str.isalnum, value)).upper())
        case "NAME":
            return value.capitalize()
        case "ADDRESS":
            return " ".join(_WORD.findall(value)).title()
        case "ID_NUMBER":
            return "".join(filter(str.isalnum, value)).upper()
        case _:
            return value


def _usual_number(kind: str, joined: str) -> str:
    if kind == PiiKind.SSN and len(joined) == 9:
        return f"{joined[:3]}-{joined[3:5]}-{joined[5:]}"
    if kind == PiiKind.PHONE:
        digits = joined.removeprefix("1") if len(joined) == 11 else joined
        return f"{digits[:3]}-{digits[3:6]}-{digits[6:]}" if len(digits) == 10 else digits
    return joined
