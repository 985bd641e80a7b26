"""Sentence boundaries in legal and business English: knows abbreviations, section marks and citations."""

import re
from collections.abc import Iterator

Span = tuple[int, int]
"""Half-open offsets, in code points."""

MAX_CHARACTERS = 2_000  # what is longer and has lines is no sentence, but a table or a list without full stops

# Possessive, and only from the first mark of a run: else a long run of dots or spaces takes quadratic time.
_BOUNDARY = re.compile(r"""(?<![.!?])[.!?]++["'”’)\]]*+(?=\s)|\n(?=[^\S\n]*+\n|[ \t]*+\|)""")
_ABBREVIATION = re.compile(
    r"""(?:\b(?:U\.?S|U\.S\.C|C\.F\.R|Stat|Pub\.\s*L|Fed|Reg|Regs|Sec|Secs|No|Nos|Art|App|Par|Para|Ch|Vol|Ex|Fig
        |Inc|Corp|Co|Ltd|Bros|Assn|Dept|Div|Ave|St|Blvd|Rd|Mr|Mrs|Ms|Dr|Jr|Sr|Prof|Hon|Gov|Rep|Sen
        |e\.g|i\.e|cf|viz|vs|v|etc|al|et\s+seq|seq|approx|est|max|min|a\.m|p\.m
        |Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)
      |\b[A-Za-z](?:\.[A-Za-z])*   # initials, as in J. or N.W.
      |^\s*\(?(?:\d{1,3}|[ivxlc]{1,6}|[A-Za-z])\)?  # the number of a paragraph
    )\.$""",
    re.VERBOSE,
)
_ENDS_ANYWAY = re.compile(r"\b(?:etc|a\.m|p\.m|U\.S|Inc|Corp|Co|Ltd|seq)\.$")
_CLAUSE_END = re.compile(r"[,;:](?=\s)")
_STARTS_SENTENCE = re.compile(r"""\s+["'“‘(\[]*[A-Z§\d(]""")
_STARTS_NEW_THOUGHT = re.compile(
    r"""\s+["'“‘]?(?:The|A|An|If|In|This|That|These|For|It|When|No|Any|Each|Such|However|Under)\b"""
)


def split_sentences(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Sentences of `text[start:end]`, left to right, without the space around them; never empty.

    In doubt two sentences stay together: a cut one cannot be quoted. A full stop after an abbreviation, an
    initial or a paragraph's number ends nothing, nor does one that a lower-case word follows.
    """
    end = len(text) if end is None else end
    spans, begin = [], start
    for match in _BOUNDARY.finditer(text, start, end):
        if _ends_sentence(text, begin, match.end(), end):
            spans.append((begin, match.end()))
            begin = match.end()
    spans.append((begin, end))
    lines = (line for span in spans for line in _lines(text, *span))
    return [trimmed for span in lines if (trimmed := trim(text, *span))[0] < trimmed[1]]


def split_clauses(text: str, span: Span, max_words: int) -> list[Span]:
    """The sentence at `span` in parts of at most `max_words`, cut after commas, colons and semicolons.

    A clause that is longer by itself stays whole.
    """
    start, end = span
    stops = [match.end() for match in _CLAUSE_END.finditer(text, start, end)] + [end]
    parts: list[Span] = []
    before = start
    for stop in stops:
        if before > start and len(text[start:stop].split()) > max_words:
            parts.append(trim(text, start, before))
            start = before
        before = stop
    return [*parts, trim(text, start, end)]


def trim(text: str, start: int, end: int) -> Span:
    """The span without the white space at its ends."""
    part = text[start:end]
    left = len(part) - len(part.lstrip())
    return (start + left, start + left + len(part.strip())) if part.strip() else (start, start)


def _lines(text: str, start: int, end: int) -> Iterator[Span]:
    """The span, or its lines where it is too long for a sentence."""
    while end - start > MAX_CHARACTERS and (stop := text.find("\n", start, end)) >= 0:
        yield start, stop
        start = stop + 1
    yield start, end


def _ends_sentence(text: str, begin: int, stop: int, end: int) -> bool:
    """Whether the mark before `stop` ends the sentence that begins at `begin`."""
    if text[stop - 1] == "\n":
        return True
    if not _STARTS_SENTENCE.match(text, stop, end):
        return False
    said = text[max(begin, stop - 24) : stop].rstrip("\"'”’)]")
    if max(begin, stop - 24) > begin:
        said = "-" + said  # keep ^ from matching in the middle of a sentence
    if not _ABBREVIATION.search(said):
        return True
    return bool(_ENDS_ANYWAY.search(said) and _STARTS_NEW_THOUGHT.match(text, stop, end))
