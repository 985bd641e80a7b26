"""From a question to numbered passages with evidence: search, rank sentences, merge neighbours, cut to the budget."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

from cachetools import TTLCache
from sqlalchemy.exc import SQLAlchemyError

from common.costs.governor import BudgetSpent
from common.knowledge.index import VECTOR_SECONDS, Hit
from common.knowledge.vectors import VectorsUnavailable
from common.llm.chat import Evidence, ModelError, Passage
from common.llm.deadline import seconds_left, within
from common.llm.embeddings import Embedder, FloatVector
from common.logging import component_logger
from common.metrics import metrics_collector
from common.settings import Settings
from common.telemetry import semconv
from common.tracing import tell_span, trace_retriever
from functions.query.agent import Degradation, Retrieved
from functions.query.evidence import Sentence, rank_sentences, signals, support, term_weights
from functions.query.question import Part, Question, read_question

SEARCHED_CHUNKS = 40  # asked of the index for each part of a question; their sentences decide
WHOLE_QUESTION = 0.5  # share of the whole question in the vector of one of its parts
MAX_PASSAGES = 10
MIN_SUPPORT = 0.02  # evidence weaker than this share of the best is left out
TOKENS_PER_WORD = 4 / 3  # of English under the tokenizers in use
CALIBRATED = "all-MiniLM-L6-v2"  # embedders whose cosines `evidence.support` was fitted to start with this

CACHE = "retrieval"

log = component_logger("retrieval")

Where = Mapping[str, str]


class Search(Protocol):
    """What is needed of `common.knowledge.index.Index`."""

    def search(
        self,
        text: str,
        k: int,
        *,
        tenant: str,
        vector: FloatVector | None = None,
        where: Where | None = None,
        only_lexical: bool = False,
        timeout_seconds: float | None = VECTOR_SECONDS,
    ) -> list[Hit]: ...

    def frequencies(self, terms: Iterable[str], *, tenant: str) -> tuple[dict[str, int], int]: ...

    def generation(self) -> int: ...

    def size(self) -> tuple[int, int]: ...


class _Cache(TTLCache[tuple[object, ...], Retrieved]):
    def popitem(self) -> tuple[tuple[object, ...], Retrieved]:
        """What has to go for something new."""
        metrics_collector.record_cache_operation(CACHE, "evict")
        return super().popitem()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the parts of a question found, each part's sentences best first; parts that found nothing are left out."""

    parts: tuple[tuple[Sentence, ...], ...]
    frequencies: Mapping[str, int]
    has_cosines: bool
    degraded: tuple[Degradation, ...]


class Retriever:
    """Searches the knowledge base for questions. Safe to share between threads."""

    def __init__(
        self,
        index: Search,
        embedder: Embedder,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds, and ages the cache."""
        self._index = index
        self._embedder = embedder
        self._budget_words = int(settings.evidence_tokens / TOKENS_PER_WORD)
        self._cache: TTLCache[tuple[object, ...], Retrieved] = _Cache(
            settings.retrieval_cache_entries, settings.retrieval_cache_seconds, timer=clock
        )
        self._lock = threading.Lock()
        self._measured_generation: int | None = None

    @trace_retriever
    def retrieve(
        self,
        question: str,
        *,
        tenant: str,
        where: Where | None = None,
        timeout_seconds: float | None = None,
        only_lexical: bool = False,
    ) -> Retrieved:
        """Passages of the tenant's documents for `question`, best first, with their evidence.

        Never raises for a part that is away or takes too long: without vectors or embedder the words alone are
        searched (`degraded`: "retrieval" or "embeddings"), without the database nothing is found (`degraded`:
        "retrieval"). So they are where a budget does not allow the embedder, which `only_lexical` tells beforehand
        (`degraded`: "budget"). `timeout_seconds` bounds embedder and vector index together, whatever the number of
        parts.
        """
        try:
            generation = self._index.generation()
            self._measure_size(generation)
            key = (tenant, generation, question, tuple(sorted((where or {}).items())))
            with self._lock:
                known = self._cache.get(key)
            metrics_collector.record_cache_operation(CACHE, "get")
            metrics_collector.record_cache_request(CACHE, hit=known is not None)
            tell_span({semconv.CACHE_HIT: known is not None})
            if known is not None:
                return known
            with within(timeout_seconds):
                found = self._retrieve(read_question(question), tenant, where, only_lexical=only_lexical)
            retrieved = replace(found, generation=generation)
        except SQLAlchemyError as error:
            log.error("retrieval.failed", error_type=type(error).__name__)
            return Retrieved(degraded=("retrieval",))
        tell_span({semconv.PASSAGES: len(retrieved.passages)})
        if not retrieved.degraded:  # what was away may be back for the next question
            with self._lock:
                if self._cache.maxsize:
                    self._cache[key] = retrieved
                    metrics_collector.record_cache_operation(CACHE, "set")
                metrics_collector.set_cache_entries(CACHE, len(self._cache))
        return retrieved

    def _measure_size(self, generation: int) -> None:
        """What the knowledge base holds, when that may have changed."""
        if generation != self._measured_generation:
            self._measured_generation = generation
            metrics_collector.set_knowledge(*self._index.size())

    def embedded_texts(self, question: str) -> list[str]:
        """What the embedder would be asked for `question`."""
        read = read_question(question)
        texts = [text for part in read.parts for text in _texts_of(part)]
        return texts if len(read.parts) == 1 else [read.text, *texts]

    def _retrieve(self, question: Question, tenant: str, where: Where | None, *, only_lexical: bool) -> Retrieved:
        found = self.find(question, tenant, where, only_lexical=only_lexical)
        if not found.parts:
            return Retrieved(degraded=found.degraded)
        likely = support(
            signals(question, found.parts, found.frequencies),
            has_cosines=found.has_cosines and self._embedder.name.startswith(CALIBRATED),
        )
        return Retrieved(
            passages=passages(found.parts, likely, self._budget_words), support=likely, degraded=found.degraded
        )

    def find(self, question: Question, tenant: str, where: Where | None = None, *, only_lexical: bool = False) -> Found:
        """What the search finds, before any choice. Raises SQLAlchemyError where the database is away."""
        words = {term for part in question.parts for term in (*part.terms, *part.formal_terms)}
        asked = words | {name.lower() for name in question.names}
        frequencies, total = self._index.frequencies(asked, tenant=tenant)
        rarity = term_weights(frequencies, total)
        degraded: list[Degradation] = ["budget"] if only_lexical else []
        vectors: Sequence[FloatVector | None] = [None] * len(question.parts)
        if not only_lexical:
            with within(_half_of_the_time_left()):
                vectors = self._vectors(question, degraded)
        parts = []
        for part, vector in zip(question.parts, vectors, strict=True):
            hits, used = self._search(part, vector, tenant, where, degraded)
            parts.append(tuple(rank_sentences(part, hits, used, rarity)))
        return Found(
            parts=tuple(part for part in parts if part),
            frequencies=frequencies,
            has_cosines=not degraded,
            degraded=tuple(dict.fromkeys(degraded)),
        )

    def _vectors(self, question: Question, degraded: list[Degradation]) -> list[FloatVector | None]:
        """One vector a part, or None for each where the embedder fails."""
        try:
            if len(question.parts) == 1:
                return [self._vector(question.parts[0])]
            whole = self._embedder.embed_query(question.text)
            parts = [self._vector(part) for part in question.parts]
            return [_unit(vector + WHOLE_QUESTION * whole) for vector in parts]
        except (ModelError, BudgetSpent) as error:
            log.warning("embeddings.failed", error_type=type(error).__name__)
            degraded.append("budget" if isinstance(error, BudgetSpent) else "embeddings")
            return [None] * len(question.parts)

    def _vector(self, part: Part) -> FloatVector:
        """The question's vector, drawn half-way to the one with the texts' own words in it."""
        vectors = [self._embedder.embed_query(text) for text in _texts_of(part)]
        return vectors[0] if len(vectors) == 1 else _unit(vectors[0] + vectors[1])

    def _search(
        self,
        part: Part,
        vector: FloatVector | None,
        tenant: str,
        where: Where | None,
        degraded: list[Degradation],
    ) -> tuple[list[Hit], FloatVector | None]:
        """Hits, and the vector they were found by: None where the words alone were searched."""
        text = " ".join((*part.terms, *part.formal_terms)) or part.text
        if vector is not None:
            try:
                seconds = min(VECTOR_SECONDS, _half_of_the_time_left())
                hits = self._index.search(
                    text, SEARCHED_CHUNKS, tenant=tenant, vector=vector, where=where, timeout_seconds=seconds
                )
                return hits, vector
            except VectorsUnavailable as error:
                log.warning("vectors.failed", error_type=type(error).__name__)
                degraded.append("retrieval")
        return self._index.search(text, SEARCHED_CHUNKS, tenant=tenant, where=where, only_lexical=True), None


def _texts_of(part: Part) -> tuple[str, ...]:
    return (part.text, f"{part.text} {part.formal}") if part.formal else (part.text,)


def _half_of_the_time_left() -> float:
    """In seconds: a step that hangs leaves as much for those after it."""
    return seconds_left() / 2


def passages(parts: Sequence[Sequence[Sentence]], likely: float, budget_words: int) -> tuple[Passage, ...]:
    """The passages around the best sentences of all parts, best first, of at most `budget_words` words.

    `likely` is the support of each part's best sentence; others get less by their distance in score.
    """
    supports: dict[tuple[str, int, int], tuple[Sentence, float]] = {}
    for part in parts:
        for sentence in part:
            share = _share(sentence.score - part[0].score)
            place = (sentence.hit.id, sentence.start, sentence.end)
            if share >= MIN_SUPPORT and share * likely > supports.get(place, (sentence, 0.0))[1]:
                supports[place] = (sentence, share * likely)
    ranked = sorted(supports.values(), key=lambda pair: -pair[1])
    taken = list(_taken(ranked, budget_words))
    by_chunk = {hit.id: [pair for pair in ranked if pair[0].hit.id == hit.id] for hit in taken}
    merged = sorted((_merged(run, by_chunk) for run in _runs(taken)), key=lambda one: -one.evidence[0].support)
    return tuple(replace(passage, number=number) for number, passage in enumerate(merged[:MAX_PASSAGES], start=1))


def _share(distance: float) -> float:
    """Probability of a sentence against the best one, as the softmax they were fitted by has it."""
    return math.exp(min(0.0, distance))


def _taken(ranked: Sequence[tuple[Sentence, float]], budget_words: int) -> Iterator[Hit]:
    """The chunks of the best sentences, each once (a text that stands in two documents too), while words are left."""
    left = budget_words
    seen: set[str] = set()
    for sentence, _ in ranked:
        chunk = sentence.hit.chunk
        words = len(chunk.text.split())
        if sentence.hit.id in seen or chunk.text in seen or (words > left and seen):
            continue
        seen |= {sentence.hit.id, chunk.text}
        left -= words
        yield sentence.hit


def _runs(hits: Iterable[Hit]) -> Iterator[list[Hit]]:
    """Chunks that follow each other in one document, together."""
    ordered = sorted(hits, key=lambda hit: (hit.chunk.document_id, hit.chunk.ordinal))
    numbered = enumerate(ordered)
    for _, run in groupby(numbered, key=lambda pair: (pair[1].chunk.document_id, pair[1].chunk.ordinal - pair[0])):
        yield [hit for _, hit in run]


def _merged(run: Sequence[Hit], by_chunk: Mapping[str, Sequence[tuple[Sentence, float]]]) -> Passage:
    """One passage of neighbouring chunks. What lies between two is blank; it comes back as line ends."""
    text, evidence = "", []
    first = run[0].chunk
    for before, hit in zip([None, *run], run, strict=False):
        text += "\n" * (hit.chunk.start - before.chunk.end) if before else ""
        evidence += [
            Evidence(start=len(text) + sentence.start, end=len(text) + sentence.end, support=likely)
            for sentence, likely in by_chunk[hit.id]
        ]
        text += hit.chunk.text
    return Passage(
        number=0,
        document_id=first.document_id,
        title=first.title,
        source=first.source,
        heading=first.heading,
        text=text,
        score=max(hit.score for hit in run),
        evidence=tuple(sorted(evidence, key=lambda one: -one.support)),
    )


def _unit(vector: FloatVector) -> FloatVector:
    unit: FloatVector = vector / float((vector @ vector) ** 0.5)
    return unit
