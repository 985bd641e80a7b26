"""Finds the sentence that bears a statement which is known beforehand, so that it can be quoted word for word."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.knowledge.sentences import split_sentences
from common.llm.chat import Passage
from functions.query.agent import Citation, Degradation, Tools

_LIST_MARK = re.compile(r"(?:\(?\d{1,2}[.)]|[-*•|#]{1,6})\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """A statement to quote: the question that finds it, the documents' topic, and what a sentence must hold."""

    question: str
    topic: str
    is_borne_by: Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotation:
    """`citation` is None where no document bears the statement."""

    citation: Citation | None
    degraded: tuple[Degradation, ...] = ()


def quotation(tools: Tools, sought: Sought) -> Quotation:
    """The shortest sentence that bears the statement, from documents on its topic, else from any."""
    degraded: tuple[Degradation, ...] = ()
    for where in ({"topic": sought.topic}, None):
        found = tools.retrieve(sought.question, where=where)
        degraded = (*degraded, *found.degraded)
        bearing = [
            (sentence, passage)
            for passage in found.passages
            for sentence in _sentences(passage.text)
            if sought.is_borne_by(sentence)
        ]
        if bearing:
            return Quotation(citation=_citation(*min(bearing, key=lambda one: len(one[0]))), degraded=degraded)
    return Quotation(citation=None, degraded=tuple(dict.fromkeys(degraded)))


def _sentences(text: str) -> Iterator[str]:
    """Sentences as they stand in `text`, line by line where it is a list, without the marks in front."""
    for start, end in split_sentences(text):
        for line in text[start:end].splitlines():
            mark = _LIST_MARK.match(line)
            yield line[mark.end() if mark else 0 :].strip()


def _citation(sentence: str, passage: Passage) -> Citation:
    return Citation(
        document_id=passage.document_id,
        title=passage.title,
        quote=sentence,
        score=passage.score,
        source=passage.source,
    )
