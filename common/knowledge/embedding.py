"""Chunks to vectors: one for each chunk and, where the embedder can, one for each of its sentences."""

import functools
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from common.knowledge.chunks import Chunk
from common.knowledge.sentence_vectors import pack_sentences
from common.llm.embeddings import Embedder, FloatMatrix, FloatVector
from common.processors import usable_processors

_WORD = re.compile(r"\w")


@runtime_checkable
class SpanEmbedder(Protocol):
    """An embedder that also knows a text's parts as they read in their surroundings ("late chunking")."""

    def embed_spans(self, text: str, spans: Sequence[tuple[int, int]]) -> FloatMatrix:
        """One unit-length row for each half-open span of `text`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedChunk:
    """A chunk, the text it was embedded and is indexed by, its vector, and its sentences' as packed bytes."""

    chunk: Chunk
    context: str
    vector: FloatVector
    sentences: bytes


def embed_chunks(embedder: Embedder, chunks: Sequence[tuple[Chunk, str]]) -> list[EmbeddedChunk]:
    """Embed chunks, each with its context, which ends with the chunk's own text.

    With a `SpanEmbedder` one pass gives the chunk's vector and its sentences'; else sentences get none.
    """
    if isinstance(embedder, SpanEmbedder):
        embed = functools.partial(_by_spans, embedder)
        with ThreadPoolExecutor(usable_processors()) as threads:
            return list(threads.map(embed, *zip(*chunks, strict=True))) if chunks else []
    vectors = embedder.embed_documents([context for _, context in chunks])
    return [
        EmbeddedChunk(chunk=chunk, context=context, vector=vector, sentences=pack_sentences(_spoken(chunk), None))
        for (chunk, context), vector in zip(chunks, vectors, strict=True)
    ]


def _by_spans(embedder: SpanEmbedder, chunk: Chunk, context: str) -> EmbeddedChunk:
    before = len(context) - len(chunk.text)
    spans = _spoken(chunk)
    places = [(0, len(context)), *((start + before, end + before) for start, end in spans)]
    vectors = embedder.embed_spans(context, places)
    return EmbeddedChunk(chunk=chunk, context=context, vector=vectors[0], sentences=pack_sentences(spans, vectors[1:]))


def _spoken(chunk: Chunk) -> list[tuple[int, int]]:
    """The chunk's sentences that say anything: a line of asterisks has no words, so no meaning to embed."""
    return [(start, end) for start, end in chunk.sentences if _WORD.search(chunk.text, start, end)]
