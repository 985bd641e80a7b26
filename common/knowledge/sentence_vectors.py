"""Vectors as bytes for the database: a chunk's own, and those of its sentences with their places.

float16 keeps a cosine to about three decimals at half the room. All numbers are little-endian.
"""

import struct
from collections.abc import Sequence

import numpy as np

from common.llm.embeddings import FloatMatrix, FloatVector

Span = tuple[int, int]
"""Half-open offsets into the chunk's text, in code points."""

_HEADER = struct.Struct("<II")  # sentences, dimensions; 0 dimensions: places only


class DamagedVectors(ValueError):
    """The bytes were not written by `pack_sentences` or `pack_vector`, or only a part of them is left."""


def pack_vector(vector: FloatVector) -> bytes:
    """`vector` as float16, 2 bytes a dimension."""
    return vector.astype("<f2").tobytes()


def unpack_vectors(packed: Sequence[bytes], dimensions: int) -> FloatMatrix:
    """Vectors from `pack_vector`, one row each, of unit length again; shape (0, dimensions) for none.

    Raises:
        DamagedVectors: one of them does not have `dimensions`.
    """
    if any(len(one) != 2 * dimensions for one in packed):
        raise DamagedVectors(f"a vector of {dimensions} dimensions takes {2 * dimensions} bytes")
    return _unit_rows(np.frombuffer(b"".join(packed), dtype="<f2").reshape(len(packed), dimensions))


def pack_sentences(spans: Sequence[Span], vectors: FloatMatrix | None) -> bytes:
    """The places of a chunk's sentences, and one row of `vectors` for each; None where there are no vectors."""
    dimensions = 0 if vectors is None else vectors.shape[1]
    if vectors is not None and len(vectors) != len(spans):
        raise ValueError(f"{len(spans)} sentences with {len(vectors)} vectors")
    places = np.array(spans, dtype="<u4").tobytes()
    return _HEADER.pack(len(spans), dimensions) + places + (b"" if vectors is None else pack_vector(vectors))


def unpack_sentences(packed: bytes) -> tuple[list[Span], FloatMatrix | None]:
    """What `pack_sentences` was given: places, and one unit-length float32 row a sentence (or None).

    Raises:
        DamagedVectors: `packed` is not what `pack_sentences` wrote.
    """
    if len(packed) < _HEADER.size:
        raise DamagedVectors("the header is missing")
    count, dimensions = _HEADER.unpack_from(packed)
    after_places = _HEADER.size + 8 * count
    if len(packed) != after_places + 2 * count * dimensions:
        raise DamagedVectors("the length does not fit the header")
    places = np.frombuffer(packed, dtype="<u4", count=2 * count, offset=_HEADER.size).reshape(count, 2).tolist()
    spans = [(start, end) for start, end in places]
    if not dimensions:
        return spans, None
    vectors = np.frombuffer(packed, dtype="<f2", offset=after_places).reshape(count, dimensions)
    return spans, _unit_rows(vectors)


def _unit_rows(vectors: np.typing.NDArray[np.float16]) -> FloatMatrix:
    rows = vectors.astype(np.float32)
    lengths: FloatMatrix = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return rows / lengths
