"""Chunks to vectors."""

from collections.abc import Sequence

import numpy as np

from common.knowledge.chunks import Chunk
from common.knowledge.embedding import embed_chunks
from common.knowledge.sentence_vectors import unpack_sentences
from common.llm.embeddings import FloatMatrix, FloatVector
from tests.knowledge_fakes import WordEmbedder

TEXT = "Land is lent on. * * * Ships are not."
CHUNK = Chunk(ordinal=0, heading="", start=0, end=len(TEXT), text=TEXT, sentences=((0, 16), (17, 22), (23, 37)))
CONTEXT = f"Lending policy\n{TEXT}"


class WholeTexts:
    """An embedder that knows no spans."""

    name, dimensions, max_tokens = "whole", 32, 100

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        return WordEmbedder().embed_documents(texts)

    def embed_query(self, text: str) -> FloatVector:
        return WordEmbedder().embed_query(text)


def test_one_pass_gives_the_chunks_vector_and_its_sentences() -> None:
    embedder = WordEmbedder()
    (embedded,) = embed_chunks(embedder, [(CHUNK, CONTEXT)])
    spans, vectors = unpack_sentences(embedded.sentences)
    assert embedder.embedded == [CONTEXT]
    assert spans == [(0, 16), (23, 37)]  # the line of stars says nothing
    assert np.allclose(embedded.vector, embedder.embed_query(CONTEXT))
    assert vectors is not None
    assert np.allclose(vectors[0], embedder.embed_query("Land is lent on."), atol=1e-3)
    assert np.allclose(vectors[1], embedder.embed_query("Ships are not."), atol=1e-3)


def test_an_embedder_without_spans_gives_sentences_without_vectors() -> None:
    (embedded,) = embed_chunks(WholeTexts(), [(CHUNK, CONTEXT)])
    assert unpack_sentences(embedded.sentences) == ([(0, 16), (23, 37)], None)
    assert np.allclose(embedded.vector, WordEmbedder().embed_query(CONTEXT))


def test_no_chunks_are_no_work() -> None:
    assert embed_chunks(WordEmbedder(), []) == embed_chunks(WholeTexts(), []) == []
