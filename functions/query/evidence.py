"""Which sentences bear the answer, and whether any does: a linear score for each, and one for the whole search.

Both are fitted by `python -m tests.performance.fit_evidence`; few numbers, all of general meaning.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.knowledge.index import Hit
from common.knowledge.sentence_vectors import unpack_sentences
from common.knowledge.sentences import split_clauses
from common.llm.embeddings import FloatVector
from functions.query.question import Expectation, Part, Question, stem, stems

RANKED_CHUNKS = 28  # the chunks whose sentences are looked at
MIN_SENTENCE_WORDS = 4
MAX_SENTENCE_WORDS = 35  # the parts of a longer one are judged, and quoted, by themselves
_FORMAL_WEIGHT = 0.5  # of a word that the thesaurus added, against one of the question's own
_LEXICAL_SHARE = 0.3  # of a chunk's rank; the rest are its own cosine and its best sentence's

_COUNT = (
    r"(?:\d+(?:st|nd|rd|th)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fourteen|fifteen|twenty"
    r"|twenty-five|thirty|forty|forty-five|fifty|sixty|ninety)"
)
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_TIME = re.compile(
    rf"\b{_COUNT}(?: \(\d+\))?[- ]?(?:(?:calendar|business|consecutive|full|additional)[- ])?"
    rf"(?:day|month|year|hour|week|minute)s?\b|\b{_MONTH} \d+|\b(?:days?|months?|years?) (?:after|before|of)\b",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"\b(?:before|prior to|(?:not|no) later than|as soon as|promptly|at the time|until|immediately)\b", re.IGNORECASE
)
_FIGURE = re.compile(rf"\d|\b{_COUNT}\b|\bpercent\b", re.IGNORECASE)
_RULE = re.compile(
    r"\b(?:shall|must|may|should|need not|(?:is|are|does|do) not|prohibit\w*|require[sd]?|permit\w*|unless|except"
    r"|exempt\w*|exclude[sd]?)\b",
    re.IGNORECASE,
)

FEATURES = (
    "sentence_cosine", "chunk_cosine", "lexical", "sentence_coverage", "chunk_coverage",
    "time", "bound", "figure", "rule", "length", "rank",
)  # fmt: skip
# Softmax regression over a search's sentences, ridge 0.02; 118 questions on five regulations. A sentence of the
# labelled section with the asked fact bears the answer. Rounded: without a fold each moves by up to 0.3.
WEIGHTS = np.array([2.0, 1.0, 1.0, 1.9, 0.9, 2.4, 0.9, 1.1, 1.0, 1.0, 2.0])

SIGNALS = ("score", "cosine", "unknown_name", "live", "in_thesaurus")
# Logistic regression, classes balanced, ridge 0.02; 118 answerable and 48 unanswerable questions. The bias lies where
# the flat part of the trade begins: some 5 to 10 % of the answerable refused, four fifths of the unanswerable.
SUPPORT_WEIGHTS = np.array([0.4, 13.2, -2.5, -2.3, 1.1])
SUPPORT_BIAS = -10.2
# Without comparable cosines (lexical search alone, or another embedder) the other signals count, and refuse little.
LEXICAL_SUPPORT_WEIGHTS = np.array([0.4, 0.0, -2.2, -2.1, 1.2])
LEXICAL_SUPPORT_BIAS = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence of a found chunk, as `hit.chunk.text[start:end]`. A higher `score` bears the answer better."""

    hit: Hit
    start: int
    end: int
    features: tuple[float, ...]
    score: float

    @property
    def text(self) -> str:
        return self.hit.chunk.text[self.start : self.end]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """A found chunk with its sentences' places and cosines."""

    hit: Hit
    spans: list[tuple[int, int]]
    cosines: list[float]
    rank_score: float


def rank_sentences(
    part: Part, hits: Sequence[Hit], vector: FloatVector | None, rarity: Mapping[str, float]
) -> list[Sentence]:
    """The sentences of the best of `hits`, best first. `rarity` is `term_weights` over the part's terms.

    `vector` is what was searched for; without it only words count.
    """
    weights = _stem_weights(part, rarity)
    best_lexical = max((hit.lexical for hit in hits), default=0.0) or 1.0
    looked = sorted((_look(hit, vector, best_lexical) for hit in hits), key=lambda one: -one.rank_score)
    found = [
        sentence
        for place, one in enumerate(looked[:RANKED_CHUNKS])
        for sentence in _sentences(one, place, part.expects, weights, best_lexical)
    ]
    return sorted(found, key=lambda sentence: -sentence.score)


def term_weights(frequencies: Mapping[str, int], total: int) -> dict[str, float]:
    """Weight of each term by how rare it is among `total` chunks: log(total / chunks with it), at least 0.1."""
    return {term: max(0.1, math.log(max(total, 1) / (count + 0.5))) for term, count in frequencies.items()}


def signals(question: Question, best: Sequence[Sequence[Sentence]], frequencies: Mapping[str, int]) -> list[float]:
    """The values of `SIGNALS`, of the weakest part where there are several. `best`: each part's sentences."""
    weakest = min(best, key=lambda part: part[0].score)
    unknown = any(frequencies.get(name.lower()) == 0 for name in question.names)
    in_thesaurus = any(part.formal for part in question.parts)
    cosine = max(sentence.features[0] for sentence in weakest)
    return [weakest[0].score, cosine, float(unknown), float(question.is_live), float(in_thesaurus)]


def support(values: Sequence[float], *, has_cosines: bool) -> float:
    """How likely the documents answer the question, 0 to 1, from its `signals`."""
    weights = SUPPORT_WEIGHTS if has_cosines else LEXICAL_SUPPORT_WEIGHTS
    bias = SUPPORT_BIAS if has_cosines else LEXICAL_SUPPORT_BIAS
    return 1 / (1 + math.exp(-float(weights @ np.array(values) + bias)))


def _look(hit: Hit, vector: FloatVector | None, best_lexical: float) -> _Looked:
    spans, vectors = unpack_sentences(hit.chunk.sentences)
    if vector is None:
        cosines = [0.0] * len(spans)
    elif vectors is None or vectors.shape[1] != len(vector):
        cosines = [hit.dense] * len(spans)  # this embedder knows no sentences
    else:
        cosines = (vectors @ vector).tolist()
    closeness = hit.dense + max(cosines, default=0.0)
    rank_score = _LEXICAL_SHARE * hit.lexical / best_lexical + (1 - _LEXICAL_SHARE) / 2 * closeness
    return _Looked(hit=hit, spans=spans, cosines=cosines, rank_score=rank_score)


def _sentences(
    looked: _Looked,
    place: int,
    expects: frozenset[Expectation],
    weights: Mapping[str, float],
    best_lexical: float,
) -> list[Sentence]:
    """The sentences of one chunk that are long enough to say anything, in their order."""
    chunk = looked.hit.chunk
    in_chunk = _coverage(stems(f"{chunk.title} {chunk.heading} {chunk.text}"), weights)
    found = []
    spans = [
        (part, cosine)
        for span, cosine in zip(looked.spans, looked.cosines, strict=True)
        for part in split_clauses(chunk.text, span, MAX_SENTENCE_WORDS)
    ]
    for (start, end), cosine in spans:
        text = chunk.text[start:end]
        words = len(text.split())
        if words < MIN_SENTENCE_WORDS:
            continue
        features = (
            cosine,
            looked.hit.dense,
            looked.hit.lexical / best_lexical,
            _coverage(stems(text), weights),
            in_chunk,
            *_meets(expects, text),
            math.log(words + 1) / 5,
            1 / (1 + place),
        )
        score = float(WEIGHTS @ np.array(features))
        found.append(Sentence(hit=looked.hit, start=start, end=end, features=features, score=score))
    return found


def _meets(expects: frozenset[Expectation], text: str) -> tuple[float, float, float, float]:
    """Whether `text` holds a time, a bound in words, a figure, a word of duty, each 0 where it isn't expected."""
    deadline, ruling = "deadline" in expects, "ruling" in expects
    quantity = "quantity" in expects and not deadline
    return (
        float(deadline and bool(_TIME.search(text))),
        float(deadline and bool(_BOUND.search(text))),
        float(quantity and bool(_FIGURE.search(text))),
        float(ruling and bool(_RULE.search(text))),
    )


def _stem_weights(part: Part, rarity: Mapping[str, float]) -> dict[str, float]:
    weights = {stem(term): _FORMAL_WEIGHT * rarity.get(term, 0.1) for term in part.formal_terms}
    return weights | {stem(term): rarity.get(term, 0.1) for term in part.terms}


def _coverage(held: frozenset[str], weights: Mapping[str, float]) -> float:
    """Share of the weight of the question's words that stand among `held`."""
    total = sum(weights.values())
    return sum(weight for word, weight in weights.items() if word in held) / total if total else 0.0
