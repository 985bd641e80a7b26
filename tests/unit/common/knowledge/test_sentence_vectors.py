"""Vectors as bytes."""

import numpy as np
import pytest

from common.knowledge.sentence_vectors import (
    DamagedVectors,
    pack_sentences,
    pack_vector,
    unpack_sentences,
    unpack_vectors,
)
from common.llm.embeddings import FloatMatrix


def unit_rows(count: int, dimensions: int = 384) -> FloatMatrix:
    rows = np.random.default_rng(1).normal(size=(count, dimensions)).astype(np.float32)
    unit: FloatMatrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def test_sentences_come_back_with_unit_vectors_that_hardly_moved() -> None:
    vectors = unit_rows(3)
    spans, unpacked = unpack_sentences(pack_sentences([(0, 10), (11, 70_000), (70_001, 70_002)], vectors))
    assert spans == [(0, 10), (11, 70_000), (70_001, 70_002)]
    assert unpacked is not None
    assert unpacked.dtype == np.float32
    assert (unpacked * vectors).sum(axis=1).min() > 0.9999
    assert np.linalg.norm(unpacked, axis=1) == pytest.approx(1, abs=1e-6)


def test_places_come_back_without_vectors() -> None:
    assert unpack_sentences(pack_sentences([(0, 4)], None)) == ([(0, 4)], None)
    assert unpack_sentences(pack_sentences([], None)) == ([], None)


def test_a_chunk_without_sentences_has_no_rows() -> None:
    spans, vectors = unpack_sentences(pack_sentences([], unit_rows(0)))
    assert spans == []
    assert vectors is not None
    assert vectors.shape == (0, 384)


def test_a_sentence_takes_two_bytes_a_dimension() -> None:
    assert len(pack_sentences([(0, 1)], unit_rows(1))) == 8 + 8 + 2 * 384


def test_each_sentence_needs_its_vector() -> None:
    with pytest.raises(ValueError, match="2 sentences with 1 vectors"):
        pack_sentences([(0, 1), (1, 2)], unit_rows(1))


@pytest.mark.parametrize("cut", [0, 7, 8, 20, -1])
def test_damaged_bytes_are_refused(cut: int) -> None:
    with pytest.raises(DamagedVectors):
        unpack_sentences(pack_sentences([(0, 1), (2, 3)], unit_rows(2))[:cut])


def test_chunk_vectors_come_back_in_order() -> None:
    vectors = unit_rows(4)
    unpacked = unpack_vectors([pack_vector(vector) for vector in vectors], 384)
    assert np.argmax(unpacked @ vectors.T, axis=1).tolist() == [0, 1, 2, 3]
    assert unpack_vectors([], 384).shape == (0, 384)
    with pytest.raises(DamagedVectors):
        unpack_vectors([pack_vector(vectors[0])], 383)


def test_a_vector_of_zeros_stays_one() -> None:
    assert unpack_vectors([pack_vector(np.zeros(4, dtype=np.float32))], 4).tolist() == [[0, 0, 0, 0]]
