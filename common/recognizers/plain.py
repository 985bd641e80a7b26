"""The same text, character by character, in the digits and separators that the recognisers know.

Offsets do not move: every character becomes exactly one character, a percent-encoded one (`%20`) three. So a span in
the plain text is a span in the text itself. In what looks like a form or a query (`q=my+card+is+4111+1111`) a plus
behind a word is a space.
"""

import re
import sys
import unicodedata
from functools import cache

from common.recognizers.patterns import pattern

_NOT_ASCII = pattern(r"[^\x00-\x7f]")
_ENCODED = pattern(r"%(?:2[0BbDdEe89Ff])")
# Not one that ten to fifteen digits follow behind a digit: it may begin a phone number.
_FORM_SPACE = pattern(r"\+(?:(?<=[A-Za-z_)]\+)|(?<=\)  \+)|(?<=[0-9]\+)(?!\d{10,15}(?!\d)))(?=[\w%(+])", re.ASCII)
# Cards and social security numbers, in the groups that they are printed in.
_UNDERSCORED = pattern(
    r"(?<!\d)(?<!\d_)_?(?:\d{4}_\d{4}_\d{4}_\d{1,7}|\d{4}_\d{6}_\d{4,5}|\d{3}_\d\d_\d{4})(?!\d|_\d)", re.ASCII
)
_DECODED = {"%20": "   ", "%2b": "  +", "%2d": "  -", "%2e": "  .", "%28": "  (", "%29": ")  ", "%2f": "  /"}

# Dash punctuation, and what else is typed for a hyphen; spaces; and the marks that hide around copied phone numbers.
_HYPHENS = "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d\u30fc"
_DOTS = "\u00b7\u2022\u2024\u2027\u22c5\u30fb\uff0e\u3002"
_MARKS = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_OTHERS = {"\uff0b": "+", "\ufe62": "+", "\uff08": "(", "\uff09": ")", "\uff0f": "/", "\u2044": "/", "\u2215": "/",
           "\uff20": "@", "\ufe6b": "@", "\uff1a": ":"}  # fmt: skip


@cache
def _plain_character(character: str) -> str:
    """The ASCII character that stands for `character`, or itself."""
    if character in _OTHERS:
        return _OTHERS[character]
    if character in _HYPHENS:
        return "-"
    if character in _DOTS:
        return "."
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Zs" or character in _MARKS:
        return " "
    if "\uff21" <= character <= "\uff5a":  # full-width letters
        return unicodedata.normalize("NFKC", character)
    return sys.intern(character)


def plain(text: str) -> str:
    """`text` with Unicode digits, dashes, spaces and percent-encoded separators as ASCII; as long as `text`."""
    if not text.isascii():
        text = _NOT_ASCII.sub(lambda found: _plain_character(found[0]), text)
    if "%2" in text:
        text = _ENCODED.sub(lambda found: _DECODED[found[0].lower()], text)
    return _FORM_SPACE.sub(" ", text) if may_be_form(text) else text


def may_be_form(text: str) -> bool:
    """Whether a plus in `text` could be a space in a form or a query."""
    return "+" in text and ("=" in text or "?" in text or "&" in text)


def without_underscores(text: str) -> str:
    """`text` with hyphens for the underscores between the groups of what may be a card or a social security number."""
    return _UNDERSCORED.sub(lambda found: found[0].replace("_", "-"), text)
