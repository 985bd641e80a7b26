"""The embedded chat model: the best-supported sentences of the passages, word for word, cited. It costs nothing."""

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from common.knowledge.chunks import Block, blocks
from common.knowledge.sentences import split_sentences
from common.llm.chat import ChatAnswer, ChatChunk, ChatRequest, Evidence, Lane, Passage
from common.llm.draft import Draft, DraftCitation

NAME = "extractive"
THRESHOLD = 0.5  # support of the best evidence below which the passages do not answer the question
MAX_DOCUMENTS = 3
_POINTS_BACK = re.compile(r"(?:It|Its|That|This|These|Those|They|Their|Such|He|She|Example)\b|…")
# Of the best one's support, for a further sentence. With 0 answers fill their length: on the regulation questions
# they have 5 to 10 words more on average, and hold a fact more in one question of 75.
MIN_SHARE = 0.05
MAX_LEAD_WORDS = 25  # a longer lead-in is left out
NOT_ANSWERED = "The passages do not answer this question."

_MARKER = re.compile(r"\s*(?:(?:\((?:[A-Za-z]{1,5}|\d{1,3})\)\s*)+|(?:\d{1,3}|[ivxlc]{1,6}|[A-Z])\.\s+|[-*•]\s+|#+\s+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    """What is said of a passage: `quote` stands in its text, `words` may have the lead-in of a list before it."""

    passage: Passage
    start: int  # in its passage
    quote: str
    words: str

    @property
    def points_back(self) -> bool:
        """Whether it speaks of what was said before it, and so makes a poor beginning."""
        return bool(_POINTS_BACK.match(self.words))


class ExtractiveModel:
    """Answers by quoting. It reads the passages' evidence alone, so instruction, history and question do nothing."""

    provider = "embedded"
    model = NAME

    def __init__(self, *, answer_words: int = 150) -> None:
        """`answer_words` is the length of the longest answer, in words, its marks included."""
        self._answer_words = answer_words

    def model_on(self, _lane: Lane) -> str:
        return NAME

    def generate(self, request: ChatRequest) -> ChatAnswer:
        """A `Draft` as JSON: up to three documents, the best-supported first; not answered below `THRESHOLD`."""
        return ChatAnswer(text=self._draft(request.passages).model_dump_json(), model=NAME, asked=NAME)

    def stream(self, request: ChatRequest) -> Generator[ChatChunk, None, None]:
        """The same in one piece: there is nothing to wait for."""
        answer = self.generate(request)
        yield ChatChunk(text=answer.text, answer=answer)

    def _draft(self, passages: Sequence[Passage]) -> Draft:
        ranked = sorted(
            ((one, passage) for passage in passages for one in passage.evidence), key=lambda pair: -pair[0].support
        )
        is_supported = bool(ranked) and ranked[0][0].support >= THRESHOLD
        chosen = _choose(ranked, self._answer_words) if is_supported else []
        if not chosen:
            return Draft(answered=False, answer=NOT_ANSWERED, citations=[])
        lead = next((one for one in chosen if not one.points_back), chosen[0])
        numbers = list(dict.fromkeys(statement.passage.number for statement in (lead, *chosen)))
        # After the lead as they follow each other in their documents, so that "It" comes after what it speaks of.
        rest = sorted(
            (one for one in chosen if one is not lead), key=lambda one: (numbers.index(one.passage.number), one.start)
        )
        shown = [lead, *rest]
        return Draft(
            answered=True,
            answer="\n\n".join(f"{statement.words} [{statement.passage.number}]" for statement in shown),
            citations=[DraftCitation(passage=number, quote=_best_of(number, chosen).quote) for number in numbers],
        )


def _best_of(number: int, chosen: Sequence["_Statement"]) -> "_Statement":
    """The best-supported statement of a passage, one that can stand alone where there is one."""
    own = [one for one in chosen if one.passage.number == number]
    return next((one for one in own if not one.points_back), own[0])


def _choose(ranked: Sequence[tuple[Evidence, Passage]], limit: int) -> list[_Statement]:
    """The best statement of each of the best documents, then the best others of these, within `limit` words."""
    documents = list(dict.fromkeys(passage.document_id for _, passage in ranked))[:MAX_DOCUMENTS]
    firsts = [next(pair for pair in ranked if pair[1].document_id == document) for document in documents]
    enough = MIN_SHARE * ranked[0][0].support
    others = [
        pair for pair in ranked if pair[1].document_id in documents and pair[0].support >= enough and pair not in firsts
    ]
    chosen: list[_Statement] = []
    said: set[str] = set()
    for evidence, passage in (*firsts, *others):
        if _is_heading(passage.text, evidence.start):
            continue
        if len(passage.text[evidence.start : evidence.end].split()) > limit:
            continue  # cheap to see; a statement takes a look at the structure of its whole passage
        statement = _statement(evidence, passage)
        words = len(statement.words.split()) + 1  # its mark
        if words <= limit and statement.quote not in said:
            chosen.append(statement)
            said.add(statement.quote)
            limit -= words
    return chosen


def _is_heading(text: str, start: int) -> bool:
    return text[text.rfind("\n", 0, start) + 1 : start + 1].lstrip().startswith("#")


def _statement(evidence: Evidence, passage: Passage) -> _Statement:
    """Dots stand where the sentence goes on before or after the quote."""
    quote = passage.text[evidence.start : evidence.end]
    starts_inside = _goes_on(passage.text[: evidence.start])
    before = "…" if starts_inside else _lead_in(passage, evidence.start)
    words = _joined(_unnumbered(quote))
    after = "…" if words.endswith(",") else ""
    return _Statement(
        passage=passage,
        start=evidence.start,
        quote=quote,
        words=f"{before}{'' if starts_inside or not before else ' '}{words.rstrip(',')}{after}",
    )


def _goes_on(before: str) -> bool:
    """Whether a sentence that was begun in `before` is cut in the middle of a line, after a clause."""
    return before.rstrip(" ").endswith((",", ";", ":")) and not before.endswith("\n")


def _lead_in(passage: Passage, start: int) -> str:
    """The words that lead in to the list whose item begins at `start`, "" where it is no list item."""
    found = blocks(passage.text)
    item = next((block for block in found if block.start <= start < block.end), None)
    if item is None or not _MARKER.match(passage.text, item.start) or start != item.start:
        return ""
    lead = _last_sentence(passage.text, found[item.parent]) if item.parent is not None else ""
    if item.parent is None:
        lead = passage.heading.rsplit(" > ", 1)[-1]
        lead = lead[slice(*split_sentences(lead)[-1])] if lead else ""
    lead = _joined(_unnumbered(lead))
    return lead if lead.endswith((":", "—")) and "…" not in lead and len(lead.split()) <= MAX_LEAD_WORDS else ""


def _last_sentence(text: str, block: Block) -> str:
    return text[slice(*split_sentences(text, block.start, block.end)[-1])]


def _unnumbered(text: str) -> str:
    """Without the number or bullet that it starts with."""
    marker = _MARKER.match(text)
    return text[marker.end() :] if marker else text


def _joined(text: str) -> str:
    """On one line, and as one sentence: a heading that runs in to the paragraph is set off by a colon."""
    line = " ".join(text.split())
    *run_in, last = [line[start:end] for start, end in split_sentences(line)] or [""]
    return ": ".join([*(one.rstrip(".") for one in run_in), last])
