"""The two checks that are code, not model: each quote stands in its source, each figure stands in what is cited.

They hold for every model, the embedded one too. What they find is left out of the answer, and the answer says so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.knowledge.sentences import split_sentences
from common.llm.chat import Passage
from common.llm.draft import Draft
from functions.query.agent import Citation, Reply
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

    White space and the shape of quotation marks and dashes may differ, nothing else. A quote has three words at
    least, unless it is the whole text.
    """
    words = quote.translate(_SAME_LETTERS).split()
    if not words or len(quote) > MAX_QUOTE_CHARACTERS:
        return None
    if len(words) < MIN_QUOTE_WORDS and quote.split() != text.split():
        return None
    # The translation maps one letter to one letter, so that offsets stay those of `text`.
    found = re.search(r"\s+".join(re.escape(word) for word in words), text.translate(_SAME_LETTERS))
    return text[found.start() : found.end()] if found else None


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
    sources = figures(" \n".join(source_text(passage) for passage in cited.values()))
    kept, failed = [], []
    for sentence in sentences_with_marks(answer):
        marked = {int(number) for number in _MARK.findall(sentence)}
        if not any(letter.isalnum() for letter in _MARKS.sub("", sentence)):
            continue
        if not marked & cited.keys():
            failed.append("A statement marks no passage whose quote was found.")
        elif unsupported := unsupported_figures(sentence, sources):
            failed.append(f"The cited passages do not hold the figure {unsupported[0]}.")
        else:
            kept.append(sentence)
    return kept, failed


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
    may repeat those of `message`. Where a citation fails, or no sentence is left, the answer is withheld.
    """
    if not all(_stands(citation, passages) for citation in reply.citations):
        return replace(reply, answer=WITHHELD, answered=False, citations=())
    sources = figures("\n".join([*_shown(reply, passages), *([] if reply.answered else [message])]))
    pieces = sentences_with_marks(reply.answer)
    kept = [piece for piece in pieces if not unsupported_figures(piece, sources)]
    if len(kept) == len(pieces):
        return reply
    if not kept:
        return replace(reply, answer=WITHHELD, answered=False, citations=())
    return replace(reply, answer="".join(kept).strip() + "\n\n" + left_out(len(pieces) - len(kept)))


def _stands(citation: Citation, passages: Sequence[Passage]) -> bool:
    return any(citation.quote in passage.text for passage in passages if passage.document_id == citation.document_id)


def _shown(reply: Reply, passages: Sequence[Passage]) -> list[str]:
    """Everything that may bear out a figure; where nothing is answered, also the titles of what was looked at."""
    if not reply.answered:
        return [*reply.calculation, *(passage.title for passage in passages)]
    cited = {citation.document_id for citation in reply.citations}
    return [*reply.calculation, *(source_text(one) for one in passages if one.document_id in cited)]


def left_out(count: int) -> str:
    noun = "one statement" if count == 1 else f"{count} statements"
    return f"(Left out: {noun} that the cited passages do not bear out.)"
