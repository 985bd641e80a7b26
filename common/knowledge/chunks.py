"""Documents cut along their own structure: headings, numbered paragraphs, comment numbers. No sentence is ever cut.

A chunk knows the path above it. For a list item that path holds the words that lead in to the list ("A creditor
shall notify an applicant within:"), without which the item says nothing.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from common.knowledge.sentences import Span, split_sentences, trim

CHUNKER = "structure-5"
"""Part of every document's content hash: a new name makes the next ingest cut and embed everything again."""

TARGET_WORDS = 150  # a chunk takes in its neighbours up to here; with its path it still fits an embedder of 256 tokens
MAX_SENTENCE_WORDS = 600  # what is longer is no sentence
_WORD = re.compile(r"\S{1,2000}")
MIN_WORDS = 60  # and does not end before here where the next paragraph still belongs to it
_LEAD_WORDS = 24  # most words of one step of the path
_STEP_CHARACTERS = 500  # nor is one longer: each chunk below repeats it
_RUN_IN_WORDS = 9  # "(1) When notification is required." is a heading, though it stands in the paragraph

_BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_STARTS_BLOCK = re.compile(r"\n(?=[ \t]*(?:#{1,6}\s|[-*•]\s|\(?[A-Za-z0-9]{1,4}[).]\s))")
_MARKDOWN = re.compile(r"(#{1,6})\s+")
_LABEL = re.compile(r"(?:Paragraph\s+)?\d+[A-Za-z]?((?:\([A-Za-z0-9]{1,5}\))+)(?:[-–]\d+)?[\s.]|Paragraph\s+\S+$")
_MARKER = re.compile(r"\(([A-Za-z]{1,5}|\d{1,3})\)(?=\s|\()|(\d{1,3}|[ivxlc]{1,6}|[A-Z])\.(?=\s)|([-*•])\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A part of a document: `text == document_text[start:end]`; offsets count code points.

    `heading` is the path above it joined by " > ", without the document's title, "" at the top. `sentences`
    are half-open offsets into `text`, in order, never overlapping; a paragraph's number belongs to its sentence.
    """

    ordinal: int
    heading: str
    start: int
    end: int
    text: str
    sentences: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph, list item or heading. `depth` 0 is the document itself; `path` are the steps above it."""

    start: int
    end: int
    depth: int
    path: tuple[str, ...]
    parent: int | None  # index of the block above it
    is_heading: bool
    words: int


def chunk(title: str, text: str) -> list[Chunk]:
    """The chunks of a document, in order; together they hold every word of `text` but its first heading."""
    chunks: list[Chunk] = []
    for group in _groups(piece for block in blocks(text) for piece in _pieces(text, block)):
        start, end = group[0].start, group[-1].end
        spans = tuple((a - start, b - start) for block in group for a, b in _sentences(text, block))
        path = [step for step in group[0].path if step != title]
        chunks.append(
            Chunk(
                ordinal=len(chunks),
                heading=" > ".join(path),
                start=start,
                end=end,
                text=text[start:end],
                sentences=spans,
            )
        )
    return chunks


def context(title: str, chunk: Chunk) -> str:
    """What is embedded and indexed for a chunk: title, path and text. It ends with `chunk.text`."""
    return "\n".join(part for part in (title, chunk.heading, chunk.text) if part)


def blocks(text: str) -> list[Block]:
    """Paragraphs, list items and headings of `text` in order, each with the path of steps above it."""
    found: list[Block] = []
    stack: list[tuple[int, tuple[str, str] | None, int, str]] = []  # level, marker, index, step of the path
    spans = list(_block_spans(text))
    markers = [_marker(text[start:end]) for start, end in spans]
    romans = _start_romans(markers)
    for index, (start, end) in enumerate(spans):
        part = text[start:end]
        level, marker, is_heading = _level(part, stack, markers[index], starts_roman=romans[index])
        while stack and stack[-1][0] >= level:
            stack.pop()
        found.append(
            Block(
                start=start,
                end=end,
                depth=len(stack),
                path=tuple(step for *_, step in stack if step),
                parent=stack[-1][2] if stack else None,
                is_heading=is_heading,
                words=len(part.split()),
            )
        )
        if level < _PLAIN:
            stack.append((level, marker, index, _step(part, is_heading)))
    return found


_LABELS, _SHORT, _MARKED, _PLAIN = 10, 20, 30, 100  # levels: 1-6 markdown, then these and what lies below them


def _block_spans(text: str) -> Iterator[Span]:
    """Paragraphs between blank lines, cut further where a line starts a heading or a list item."""
    begin = 0
    ends = [(m.start(), m.end()) for m in _BLANK.finditer(text)] + [(len(text), len(text))]
    for stop, after in ends:
        cuts = [begin, *(m.end() for m in _STARTS_BLOCK.finditer(text, begin, stop)), stop]
        for start, end in pairwise(cuts):
            span = trim(text, start, end)
            if span[0] < span[1]:
                yield span
        begin = after


def _level(
    part: str,
    stack: list[tuple[int, tuple[str, str] | None, int, str]],
    marker: tuple[str, str] | None,
    *,
    starts_roman: bool,
) -> tuple[int, tuple[str, str] | None, bool]:
    """Level of a block below the ones on `stack` (small is high), its marker, and whether it is a heading."""
    if found := _MARKDOWN.match(part):
        return len(found[1]), None, True
    if (found := _LABEL.match(part)) and len(part.split()) <= 20:
        return _LABELS + (found[1] or "(").count("("), None, True
    if marker is not None:
        return _marker_level(marker, stack, starts_roman=starts_roman), marker, False
    if len(part) <= 90 and "\n" not in part and re.search(r"[\w)”’]$", part) and part[0].isupper():
        return _SHORT, None, True
    return _PLAIN, None, False


def _marker(part: str) -> tuple[str, str] | None:
    """Style and value of the number that a block starts with, as ("()", "a") or (".", "12")."""
    found = _MARKER.match(part)
    if not found:
        return None
    if found[3]:
        return "-", "-"
    return ("()", found[1]) if found[1] else (".", found[2])


def _marker_level(
    marker: tuple[str, str],
    stack: list[tuple[int, tuple[str, str] | None, int, str]],
    *,
    starts_roman: bool,
) -> int:
    """The level whose numbering `marker` continues, or one below the deepest where it starts a list."""
    open_lists = [(level, one) for level, one, *_ in stack if one is not None]
    deepest = max([level for level, *_ in stack if level >= _MARKED], default=_MARKED - 1)
    follows = next((level for level, one in reversed(open_lists) if _follows(one, marker)), None)
    starts = marker[1] in ("a", "A", "1", "i", "I") and (not open_lists or open_lists[-1][1] != marker)
    if follows is not None and not (starts and starts_roman):
        return follows
    if starts or not open_lists:
        return min(deepest + 1, _PLAIN - 1)
    kinds = _kinds(marker)
    same_kind = (level for level, one in reversed(open_lists) if _kinds(one) & kinds)
    return next(same_kind, min(deepest + 1, _PLAIN - 1))


def _follows(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether `other` is the next number after `one` in the same list."""
    if one[0] != other[0]:
        return False
    return one[0] == "-" or other[1] in _successors(one[1])


@functools.lru_cache(maxsize=1024)  # asked again and again, for each list that is open above a block
def _successors(value: str) -> tuple[str, ...]:
    return _next_letter(value), _next_number(value), _next_roman(value)


def _next_letter(value: str) -> str:
    return chr(ord(value[-1]) + 1) * len(value) if value.isalpha() and len(set(value)) == 1 else ""


def _next_number(value: str) -> str:
    return str(int(value) + 1) if value.isdigit() else ""


def _next_roman(value: str) -> str:
    lowered = value.lower()
    after = _ROMANS[_ROMANS.index(lowered) + 1] if lowered in _ROMANS[:-1] else ""
    return after if value.islower() else after.upper()


def _kinds(marker: tuple[str, str]) -> set[str]:
    """Which kinds of number `marker` can be; "i" is both a letter and a Roman number."""
    style, value = marker
    kinds = {"digit"} if value.isdigit() else {"lower"} if value.islower() else {"upper"}
    if value.lower() in _ROMANS:
        kinds.add("roman" if value.islower() else "ROMAN")
    return {style + kind for kind in kinds}


def _start_romans(markers: Sequence[tuple[str, str] | None]) -> list[bool]:
    """For each marker whether an "i" there starts a list (ii follows before j), and does not come after h.

    One pass from the end: looking ahead from each "i" would take quadratic time.
    """
    starts: list[bool] = []
    ahead: dict[str, str] = {}  # by style: which of "ii" and "j" comes next
    for marker in reversed(markers):
        style, value = marker or ("", "")
        starts.append(ahead.get(style) != "j")
        if value.lower() in ("ii", "j"):
            ahead[style] = value.lower()
    return starts[::-1]


def _roman(number: int) -> str:
    tens, ones = divmod(number, 10)
    return "x" * tens + ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")[ones]


_ROMANS = [_roman(number) for number in range(1, 40)]


def _step(part: str, is_heading: bool) -> str:
    """What a block gives to the path of the blocks below it: its own heading, and its lead-in to a list."""
    if is_heading:
        return " ".join(part.lstrip("# ").split())[:_STEP_CHARACTERS]
    sentences = [part[start:end] for start, end in split_sentences(part)]
    step = [sentences[0]] if len(sentences[0].split()) <= _RUN_IN_WORDS else []
    if sentences[-1].endswith((":", "—", "–", "-")) or len(sentences) == 1:
        step = step if step and len(sentences) == 1 else [*step, sentences[-1]]
    words = " ".join(step).split()
    if len(words) > _LEAD_WORDS:  # the beginning says what it is about, the end leads in
        words = [*words[: _LEAD_WORDS // 2], "…", *words[-_LEAD_WORDS // 2 :]]
    return " ".join(words)[:_STEP_CHARACTERS]


def _pieces(text: str, block: Block) -> Iterator[Block]:
    """The block, or where it is longer than a chunk, runs of its sentences."""
    if block.words <= TARGET_WORDS:
        yield block
        return
    start, end, words = block.start, block.start, 0
    for sentence_start, sentence_end in _sentences(text, block):
        more = len(text[sentence_start:sentence_end].split())
        if words and words + more > TARGET_WORDS:
            yield replace(block, start=start, end=end, words=words)
            start, words = sentence_start, 0
        end = sentence_end
        words += more
    yield replace(block, start=start, words=words)


def _groups(found: Iterable[Block]) -> Iterator[list[Block]]:
    """Neighbouring blocks that make a chunk: a heading stays with what it heads, short paragraphs come together."""
    group: list[Block] = []
    for block in found:
        if group and _breaks(group, block):
            text_ends = max((place for place, one in enumerate(group, 1) if not one.is_heading), default=len(group))
            yield group[:text_ends]
            group = group[text_ends:]
        group.append(block)
    if group:
        yield group


def _breaks(group: list[Block], block: Block) -> bool:
    """Whether a chunk ends before `block`."""
    words = sum(one.words for one in group)
    if words + block.words > TARGET_WORDS:
        return words >= MIN_WORDS or not all(one.is_heading for one in group)
    if all(one.is_heading for one in group):
        return False
    leaves = block.depth < group[0].depth or (block.is_heading and block.depth <= group[0].depth)
    return leaves and words >= MIN_WORDS


def _sentences(text: str, block: Block) -> Iterator[Span]:
    """Sentences of a block; a heading that runs in to the paragraph stays with the sentence after it."""
    spans = split_sentences(text, block.start, block.end)
    if len(spans) > 1 and len(text[slice(*spans[0])].split()) <= _RUN_IN_WORDS:
        spans[:2] = [(spans[0][0], spans[1][1])]
    for start, end in spans:
        yield from _bounded(text, start, end)


def _bounded(text: str, start: int, end: int) -> Iterator[Span]:
    """The span, or pieces of it at white space where it is longer than any sentence: a table, data, text without
    full stops."""
    words = list(_WORD.finditer(text, start, end)) if end - start > MAX_SENTENCE_WORDS else []
    if len(words) <= MAX_SENTENCE_WORDS:
        yield start, end
        return
    for first in range(0, len(words), MAX_SENTENCE_WORDS):
        last = words[min(first + MAX_SENTENCE_WORDS, len(words)) - 1]
        yield words[first].start(), last.end()
