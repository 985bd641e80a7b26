"""The checks that are code, not model: each quote stands in its source, each figure stands in what is cited, and
nothing leaves that no source is a reason for (`functions/query/disclosure.py`).

They hold for every model, the embedded one too. What they find is left out of the answer, and the answer says so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.invisible import visible, visible_offsets
from common.knowledge.sentences import split_sentences
from common.llm.chat import Passage
from common.llm.draft import Draft
from functions.query.agent import Citation, Reply
from functions.query.disclosure import decides, foreign_links, harmless_source, inactive, repeats_instructions
from functions.query.figures import Figure, figures, is_supported

WITHHELD = "The answer is withheld: its sources do not bear it out."
MIN_QUOTE_WORDS = 3
MAX_QUOTE_CHARACTERS = 2_000

_MARK = re.compile(r"\[(\d{1,3})\]")
_MARKS = re.compile(r"(?:\s*\[\d{1,3}\])+")
_LIST_NUMBER = re.compile(r"(?m)^\s*(?:\d{1,2}[.)]|[-*•])\s+")
_ONLY_LIST_NUMBER = re.compile(r"\s*(?:\d{1,2}[.)]|[-*•])\s*")
_SAME_LETTERS = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\u00a0": " "})


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounded:
    """What is left of a draft. `findings` says, for the next round, what failed; it may hold the model's words."""

    answer: str
    citations: tuple[Citation, ...]
    findings: tuple[str, ...]
    removed: int  # statements left out


def find_quote(quote: str, text: str) -> str | None:
    """The words of `text` that `quote` copies, exactly as they stand there; None where they don't.

    White space, the shape of quotation marks and dashes, and characters that nobody sees (no model was shown them)
    may differ, nothing else. A quote has three words at least, unless it is the whole text.
    """
    words = visible(quote).translate(_SAME_LETTERS).split()
    if not words or len(quote) > MAX_QUOTE_CHARACTERS:
        return None
    shown = visible(text)
    if len(words) < MIN_QUOTE_WORDS and visible(quote).split() != shown.split():
        return None
    # The translation maps one letter to one letter, so that offsets stay those of `shown`.
    found = re.search(r"\s+".join(re.escape(word) for word in words), shown.translate(_SAME_LETTERS))
    if found is None:
        return None
    if shown is text:
        return text[found.start() : found.end()]
    offsets = visible_offsets(text)
    return text[offsets[found.start()] : offsets[found.end() - 1] + 1]


def ground(draft: Draft, passages: Sequence[Passage]) -> Grounded:
    """`draft` without what its passages don't bear.

    A citation stays when its quote stands in its passage. A sentence stays when it marks a passage that is still
    cited and every figure in it stands in a cited passage. Marks are renumbered in the order of the citations.
    """
    by_number = {passage.number: passage for passage in passages}
    cited: dict[int, list[str]] = {}
    findings: list[str] = []
    for one in draft.citations:
        passage = by_number.get(one.passage)
        quote = find_quote(one.quote, passage.text) if passage else None
        if quote is None:
            findings.append(f"The quote given for passage [{one.passage}] does not stand there word for word.")
        elif quote not in cited.setdefault(one.passage, []):
            cited[one.passage].append(quote)
    kept, failed = _kept_sentences(draft.answer, {number: by_number[number] for number in cited})
    findings += failed
    used = [number for number in cited if any(f"[{number}]" in sentence for sentence in kept)]
    order, citations = _citations(used, cited, by_number)
    answer = "".join(_MARK.sub(lambda mark: order.get(mark[0], ""), sentence) for sentence in kept).strip()
    return Grounded(answer=answer, citations=citations, findings=tuple(findings), removed=len(failed))


def _citations(
    used: Sequence[int], cited: dict[int, list[str]], by_number: dict[int, Passage]
) -> tuple[dict[str, str], tuple[Citation, ...]]:
    """The citations of the used passages, and the new marks of each old one: a citation for each quote."""
    marks: dict[str, str] = {}
    citations: list[Citation] = []
    for number in used:
        passage = by_number[number]
        first = len(citations) + 1
        citations += [
            Citation(
                document_id=passage.document_id,
                title=passage.title,
                quote=quote,
                score=round(passage.score, 4),
                source=passage.source,
            )
            for quote in cited[number]
        ]
        marks[f"[{number}]"] = "".join(f"[{index}]" for index in range(first, len(citations) + 1))
    return marks, tuple(citations)


def _kept_sentences(answer: str, cited: dict[int, Passage]) -> tuple[list[str], list[str]]:
    """The sentences that are borne out, each with the white space before it, and why the others are not."""
    sources = " \n".join(source_text(passage) for passage in cited.values())
    known = figures(sources)
    kept, failed = [], []
    for sentence in sentences_with_marks(answer):
        marked = {int(number) for number in _MARK.findall(sentence)}
        if not any(letter.isalnum() for letter in _MARKS.sub("", sentence)):
            continue
        if not marked & cited.keys():
            failed.append("A statement marks no passage whose quote was found.")
        elif unsupported := unsupported_figures(sentence, known):
            failed.append(f"The cited passages do not hold the figure {unsupported[0]}.")
        elif reason := _must_not_leave(sentence, sources):
            failed.append(reason)
        else:
            kept.append(sentence)
    return kept, failed


def _must_not_leave(sentence: str, sources: str) -> str | None:
    """Why `sentence` is left out although it marks its sources, in words of ours; None where it is not."""
    said = _MARKS.sub(" ", sentence)
    if foreign_links(said, sources):
        return "A statement gives an address that the cited passages do not hold."
    if repeats_instructions(said):
        return "A statement repeats the instructions."
    if decides(said):
        return "A statement decides on an application."
    return None


def sentences_with_marks(answer: str) -> list[str]:
    """The sentences of `answer`, each with the white space and list number before it and the marks behind it."""
    pieces: list[str] = []
    end = 0
    for _, sentence_end in split_sentences(answer):
        marks = _MARKS.match(answer, sentence_end)
        stop = marks.end() if marks else sentence_end
        if stop > end and not _ONLY_LIST_NUMBER.fullmatch(answer, end, stop):
            pieces.append(answer[end:stop])
            end = stop
    return pieces


def source_text(passage: Passage) -> str:
    return f"{passage.title}\n{passage.heading}\n{passage.source or ''}\n{passage.text}"


def unsupported_figures(text: str, sources: frozenset[Figure]) -> list[str]:
    """The figures of `text` that `sources` does not hold, as text; marks and list numbers are no figures."""
    plain = _LIST_NUMBER.sub(" ", _MARKS.sub(" ", text))
    return sorted(
        f"{figure.value:f} {figure.unit or ''}".strip()
        for figure in figures(plain, bare_words=False)
        if not is_supported(figure, sources)
    )


def hold(reply: Reply, message: str, passages: Sequence[Passage]) -> Reply:
    """`reply`, from whichever agent, with only what its sources bear out.

    A citation stays when its quote stands word for word in one of the retrieved `passages`, of its document. A
    sentence stays when its figures stand in what is cited, or in the shown calculation; a reply that only asks back
    may repeat those of `message`; and when it gives no other address than what is cited or calculated, and no
    decision: the title of a document that was only looked at is anybody's words. Where a citation fails, the whole
    repeats our instructions, or no sentence is left, the answer is withheld. What stays is plain text.
    """
    if not all(_stands(citation, passages) for citation in reply.citations):
        return _withheld(reply)
    reply = _with_harmless_sources(reply)
    shown = "\n".join(_shown(reply, passages))
    sources = figures(shown if reply.answered else f"{shown}\n{message}")
    addresses = shown if reply.answered else "\n".join(reply.calculation)
    pieces = sentences_with_marks(reply.answer)
    kept = [piece for piece in pieces if not (unsupported_figures(piece, sources) or _must_not_leave(piece, addresses))]
    # Over the whole once more: a run of words may go on from one sentence to the next.
    if (pieces and not kept) or repeats_instructions(_MARKS.sub(" ", "".join(kept))):
        return _withheld(reply)
    if len(kept) == len(pieces):
        plain = inactive(reply.answer)
        return reply if plain == reply.answer else replace(reply, answer=plain)
    plain = inactive("".join(kept)).strip()
    return replace(reply, answer=f"{plain}\n\n{left_out(len(pieces) - len(kept))}")


def _with_harmless_sources(reply: Reply) -> Reply:
    given = tuple(replace(one, source=harmless_source(one.source)) for one in reply.citations)
    return reply if given == reply.citations else replace(reply, citations=given)


def _withheld(reply: Reply) -> Reply:
    return replace(reply, answer=WITHHELD, answered=False, citations=())


def _stands(citation: Citation, passages: Sequence[Passage]) -> bool:
    return any(citation.quote in passage.text for passage in passages if passage.document_id == citation.document_id)


def _shown(reply: Reply, passages: Sequence[Passage]) -> list[str]:
    """What may bear out a figure; where nothing is answered, also the titles of what was looked at."""
    if not reply.answered:
        return [*reply.calculation, *(passage.title for passage in passages)]
    cited = {citation.document_id for citation in reply.citations}
    return [*reply.calculation, *(source_text(one) for one in passages if one.document_id in cited)]


def left_out(count: int) -> str:
    noun = "one statement" if count == 1 else f"{count} statements"
    return f"(Left out: {noun} that the cited passages do not bear out.)"
