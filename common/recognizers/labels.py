"""What the words beside a number say it is: "call me at", `"ssn":`, "order no.".

Only the nearest word that says something counts. A key (`phone=`, `"routing_number":`, `<phone>`) answers for its own
value alone, so that the label of one field does not leak into the next.
"""

import re
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from common.recognizers.label_words import PARTS_OF_PHONE, WORDS
from common.recognizers.patterns import pattern

_BEFORE = 64  # code points that are looked at before a number
_AFTER = 32
_WORDS_BEFORE = 9
_WORDS_AFTER = 4
_LONGEST_HEADER = 1000


class Label(Enum):
    PHONE = auto()
    CONTACT = auto()  # says "phone" weakly: "my number is"
    PLACE = auto()  # so does this, and is not counted itself: "office"
    SSN = auto()
    CARD = auto()
    ROUTING = auto()
    ACCOUNT = auto()
    ID = auto()  # anything that people number and that is nobody's personal data
    VERSION = auto()
    UNIT = auto()  # what is counted: "438949666 bytes"
    FILLER = auto()  # "at", "is", "no.": stands between a label and its number


class Labelled(NamedTuple):
    """What a number is called; `direct` where nothing but a filler, or a word before a filler, stands between."""

    label: Label | None
    direct: bool


_NOTHING = Labelled(None, direct=False)
_LABEL_OF = {word: Label[name] for name, words in WORDS.items() for word in words.split()}
_NO_PHONES = frozenset({"iphone", "microphone", "headphone", "headphones", "saxophone", "smartphone"})
_SHARED = pattern(r"[\s,;/&|+()'\"\-]{0,8}(?:or|and|und|oder|y|o|et|ou|e|en|или|и)?[\s,;/&|+()'\"\-]{0,8}\Z")
_NUMBER = pattern(r"\d[\d .()\-/]{5,64}\d|\[[A-Z_]{2,11}(?::[0-9a-f]{8})?\]", re.ASCII)  # or the marker of one
_SOURCE_FILE = pattern(r"\w\.(?:[ch]|cc|cpp|cs|go|java|js|kt|php|py|rb|rs|ts)\Z")

# `homePhone`, `PHONE_NO` and `téléphone` are two, two and one words.
_WORD = pattern(r"iPhone|[A-Z]?[a-z\u00b5-\u024f]{1,30}|[A-Z]{1,30}(?![a-z])|[^\W\d_A-Za-z]{1,30}")
_BESIDE_KEYS = " \t\r\n\"'`([{<+*\\_"
_FIELD_ENDS = pattern(r"[,;:{}&|\n\t?]")
_AROUND_WORDS = "\"'`()[]{}<>*#:;,.!?~=|/\\-\u201c\u201d\u2018\u2019\u00bf\u00a1\u3001\u3002\uff0c\uff1a"
_STRONG = frozenset({Label.PHONE, Label.SSN, Label.CARD, Label.ROUTING, Label.ACCOUNT})
_NEXT_FIELD = frozenset({"", *",;&|}]\n"})
_GOES_ON = (", that", ", which", ", it's my", ", it is my")
_SAID_AFTER = frozenset({Label.PHONE, Label.SSN, Label.ROUTING, Label.ACCOUNT, Label.UNIT})
_DELIMITERS = ",;\t|"


def label_before(text: str, start: int) -> Labelled:
    """What the words before `text[start]`, or those over its column, call the number there."""
    window = text[max(0, start - _BEFORE) : start]
    bare = window.rstrip(_BESIDE_KEYS)
    if not bare:
        return _of_column(text, start)
    if bare[-1] in ":=":
        key = _FIELD_ENDS.split(bare[:-1].rstrip(_BESIDE_KEYS))[-1]
        if _SOURCE_FILE.search(key) is not None:  # what follows is a line's number
            return _NOTHING
        return _nearest(_WORD.findall(key.strip().rpartition(" ")[2] if bare[-1] == "=" else key))
    if bare[-1] == ">":
        return _nearest(_WORD.findall(bare))
    found = _nearest(window.rpartition("\n")[2].split() or bare.rpartition("\n")[2].split())
    if found.label is None:
        return _of_column(text, start)
    return found if _belongs_here(window) else _NOTHING


def label_after(text: str, end: int) -> Label | None:
    """What the words after a number call it: "4155550132 (cell)", "... is my phone", "... bytes"."""
    window = text[end : end + _AFTER]
    if window.lstrip("\"' ")[:1] in _NEXT_FIELD and not window.startswith(_GOES_ON):
        return None
    for word in window.lstrip(",").partition("\n")[0].split()[:_WORDS_AFTER]:
        label = _label_of(word)
        if label in _SAID_AFTER:
            return label
        if label is not Label.FILLER:
            return None
    return None


def _nearest(words: list[str]) -> Labelled:
    """The last of `words` that says something.

    A weak one gives way to what it is the number of ("order number", "phone number"), and to a phone further before;
    an id counts only right before the number.
    """
    adjacent = direct = True
    weak = False
    nearest_first = [_label_of(word) for word in reversed(words[-_WORDS_BEFORE:])]
    for distance, label in enumerate(nearest_first):
        if label is None or label is Label.UNIT:
            adjacent = False
            direct = direct and distance > 0
        elif label is Label.CONTACT or label is Label.PLACE:
            weak = True
            adjacent = adjacent and label is Label.CONTACT
        elif label is Label.ID:
            if nearest_first[distance + 1 : distance + 2] == [Label.SSN]:
                continue  # "taxpayer id"
            if adjacent:
                return Labelled(Label.ID, direct=True)
            break
        elif label is not Label.FILLER and (label in _STRONG or not weak or adjacent):
            return Labelled(label, direct)
    return Labelled(Label.CONTACT, direct) if weak else _NOTHING


def _belongs_here(window: str) -> bool:
    """Whether no other number stands between the label and the end of `window`, unless an "or" shares the label."""
    numbers = list(_NUMBER.finditer(window))
    return not numbers or _SHARED.match(window, numbers[-1].end()) is not None or _has_label(window, numbers[-1].end())


def _has_label(window: str, start: int) -> bool:
    return _nearest(window[start:].split()).label is not None


def _of_column(text: str, start: int) -> Labelled:
    """The label in the first line of a table, over the column in which `start` stands."""
    first_end = text.find("\n", 0, _LONGEST_HEADER)
    line_start = text.rfind("\n", max(0, start - _LONGEST_HEADER), start) + 1
    if first_end < 0 or line_start == 0:
        return _NOTHING
    header = text[:first_end]
    line = text[line_start:start]
    delimiter = max(_DELIMITERS, key=header.count)
    cells = header.split(delimiter)
    column = line.count(delimiter)
    if len(cells) < 2 or column >= len(cells):
        return _NOTHING
    return _nearest(_WORD.findall(cells[column]))


@lru_cache(maxsize=8192)
def _label_of(word: str) -> Label | None:
    """The label of a word with the punctuation around it; of words in one, as in "Phone/Fax:", the last."""
    word = word.strip(_AROUND_WORDS)
    if not word or word[0].isdigit():
        return Label.FILLER
    label = _LABEL_OF.get(word.lower())
    if label is not None or word.lower() in _NO_PHONES:
        return label
    if any(part in word.lower() for part in PARTS_OF_PHONE) and not _is_identifier(word):
        return Label.PHONE
    if "/" in word or "'" in word or "=" in word:
        last = _WORD.findall(word)[-1:]
        return _LABEL_OF.get(last[0].lower()) if last else None
    return None


def _is_identifier(word: str) -> bool:
    """Whether `word` is a name in a program: checkCallerPackage, phone_book.c."""
    return any(sign in word for sign in "_|.$") or (
        word.isascii() and not word.istitle() and not word.islower() and not word.isupper()
    )
