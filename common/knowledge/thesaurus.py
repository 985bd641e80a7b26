"""What people say and what regulations, policies and contracts call it: the lending words of `thesaurus.txt`.

A word in a line's everyday part stands for its plurals and verb forms too; "-" and " " are the same.
"""

import re
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_suffix(".txt")
_WORD = re.compile(r"[a-z0-9$()/']+")
_ENDINGS = ("ing", "ed", "es", "s", "d", "ly")


def expansion(question: str) -> tuple[str, ...]:
    """The texts' words for what `question` says in everyday words, each once, in the order of the thesaurus."""
    words = [_stem(word) for word in _WORD.findall(question.lower())]
    said = " ".join(words)
    padded = f" {said} "
    return tuple(formal for everyday, formal in _thesaurus() if any(f" {one} " in padded for one in everyday))


@cache
def _thesaurus() -> tuple[tuple[tuple[str, ...], str], ...]:
    """Pairs of stemmed everyday phrases and the words for them."""
    text = _FILE.read_text(encoding="utf-8")
    lines = (line.split(" = ") for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(
        (tuple(" ".join(map(_stem, _WORD.findall(one.lower()))) for one in everyday.split(", ")), formal)
        for everyday, formal in lines
    )


def _stem(word: str) -> str:
    """`word` without a common ending; both sides pass through here, so it need not be a word any more."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
