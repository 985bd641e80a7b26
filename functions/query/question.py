"""What a question asks for, read in code: its parts, the kind of answer it expects, whom it names."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from common.knowledge.thesaurus import expansion

Expectation = Literal["deadline", "quantity", "ruling"]
"""An answer that holds a time, a figure, or a word of duty or permission."""

MIN_PART_WORDS = 2  # words that say something; with fewer, a part cannot be searched for by itself

_STOP_WORDS = frozenset(
    """a an the of to in on for is are be do does did i we they he she it my our your me us you them their his her its
    this that these those and or not no with at by from as if how what when where who which why must may can could
    should would will shall have has had was were been there any some than then so about up out into over just got get
    also ever yet am too very s t m re ve ll d don doesn isn aren""".split()
)
_WORD = re.compile(r"\d+(?:[.,]\d+)+|[a-z0-9]+")
_NEXT_PART = re.compile(
    r"\?\s+(?=\w)"
    r"|[,;]?\s+and\s+(?=(?:how|when|what|who|which|where|why|by when|over what|can|may|must|do|does|is|are)\b)",
    re.IGNORECASE,
)
_SETTING = re.compile(r"^(?P<setting>.*?[.:]\s)(?=\S)", re.DOTALL)  # "Loan paid in full: when ..." sets the scene

_EXPECTATIONS: tuple[tuple[Expectation, re.Pattern[str]], ...] = (
    (
        "deadline",
        re.compile(
            r"how (?:long|soon|quick|fast|late|early|old|fresh|often|far ahead|far in advance)"
            r"|how many (?:\w+ )?(?:days?|months?|years?|hours?|weeks?|business)"
            r"|how much (?:time|notice|warning)|by when|(?:by |over )?what (?:day|dates?|time)|which (?:date|day)"
            r"|\bwhen\b.{0,40}\b(?:due|must|have to|need|do|does|is|get|may|can)\b"
            r"|deadline|(?:minimum|maximum) time|time limit|within|timeline|expire|lapse|last\b",
            re.IGNORECASE,
        ),
    ),
    (
        "quantity",
        re.compile(
            r"how (?:much|many|high|low|large|small|big)|what (?:share|percent\w*|rate|amount|number|size|stake)"
            r"|limit|max|min\b|minimum|most\b|least|threshold|cut-?off|cap\b|ceiling|from which|at what|size",
            re.IGNORECASE,
        ),
    ),
    (
        "ruling",
        re.compile(
            r"^(?:\w+,? ){0,3}?(?:may|can|could|must|should|do|does|is|are|am|will|did|has|have)\b"
            r"|\b(?:may|can|must|should|do|does|are|is) (?:we|i|they|a|an|the|my|our|it|that|this)\b"
            r"|\bok\b|legal|allowed|permitted",
            re.IGNORECASE,
        ),
    ),
)
# What no document can know: the state of a market, or the asker's own future.
_LIVE = re.compile(
    r"\b(?:current(?:ly)?|today(?:'s)?|right now|at the moment|these days|nowadays|latest"
    r"|this (?:year|month|week)(?:'s)?"
    r"|next (?:year|month|week|spring|summer|fall|autumn|winter)|20[23]\d|cheapest|best (?:rate|bank|lender|deal|time)"
    r"|average|predict|forecast|will (?:\w+ ){0,4}(?:go up|go down|rise|fall|drop|be approved)"
    r"|my (?:credit )?(?:score|home|house) (?:\w+ )?(?:go up|go down|rise|fall|drop|improve|worth))\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[^.?!:\s]\s)[A-Z][\w&'’-]*|\b[A-Z]{2,}\b")
_ENDINGS = ("ations", "ation", "ings", "ing", "ment", "ies", "ied", "ed", "es", "er", "ly", "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A question within the message. `formal` are the texts' words for its everyday words."""

    text: str
    formal: str
    expects: frozenset[Expectation]
    terms: tuple[str, ...]  # words that say something, each once, as written (lower case)
    formal_terms: tuple[str, ...]  # those of `formal` that `terms` lacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`names` are proper names and abbreviations that the thesaurus does not know; `is_live` as in `_LIVE`."""

    text: str
    parts: tuple[Part, ...]
    names: tuple[str, ...]
    is_live: bool


def read_question(text: str) -> Question:
    """Pure; any text is a question."""
    return Question(
        text=text,
        parts=tuple(_part(part) for part in _split(text)),
        names=tuple(dict.fromkeys(name for name in _NAME.findall(text) if _is_unknown_name(name))),
        is_live=bool(_LIVE.search(text)),
    )


def terms(text: str) -> tuple[str, ...]:
    """The words of `text` that say something, each once, in lower case."""
    return tuple(dict.fromkeys(word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS))


def stems(text: str) -> frozenset[str]:
    """The stems of all words of `text`."""
    return frozenset(stem(word) for word in _WORD.findall(text.lower()))


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """`word` without a common ending, so that its forms are one; need not be a word any more."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word[:-1] if word.endswith(("e", "y")) and len(word) > 4 else word


def _part(text: str) -> Part:
    formal = " ".join(expansion(text))
    own = terms(text)
    own_stems = {stem(term) for term in own}
    return Part(
        text=text,
        formal=formal,
        expects=frozenset(kind for kind, pattern in _EXPECTATIONS if pattern.search(text)),
        terms=own,
        formal_terms=tuple(term for term in terms(formal) if stem(term) not in own_stems),
    )


def _split(text: str) -> list[str]:
    """The questions in `text`, each with the words that set the scene; one where a part says too little alone."""
    setting = _SETTING.match(text)
    before = setting["setting"] if setting else ""
    parts = [part for part in _NEXT_PART.split(text[len(before) :]) if part.strip()]
    if len(parts) < 2 or any(len(terms(part)) < MIN_PART_WORDS for part in parts):
        return [text]
    return [before + part for part in parts]


def _is_unknown_name(name: str) -> bool:
    return name.lower() not in _STOP_WORDS and name not in ("OK", "US", "USA", "TV") and not expansion(name)
