"""all-MiniLM-L6-v2 in plain float32 numpy: slow, and independent of the graph that it is held against."""

import math

import numpy as np
from tokenizers import Tokenizer

from infra.embedder.graph import HEADS, LAYER_NORM_EPSILON, LAYERS, FloatArray, Weights

_erf = np.vectorize(math.erf, otypes=[np.float32])


def reference_vector(weights: Weights, tokenizer: Tokenizer, text: str) -> FloatArray:
    """Unit-length mean over the tokens of `text`, shape (384,); `tokenizer` does the truncation."""
    states = _embedded(weights, np.array(tokenizer.encode(text).ids))
    for layer in range(LAYERS):
        states = _layer(weights, states, f"encoder.layer.{layer}")
    vector: FloatArray = states.mean(axis=0)
    return vector / np.linalg.norm(vector)


def _embedded(weights: Weights, token_ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
    words = weights["embeddings.word_embeddings.weight"][token_ids]
    positions = weights["embeddings.position_embeddings.weight"][: len(token_ids)]
    segment = weights["embeddings.token_type_embeddings.weight"][0]
    return _normalised(weights, words + positions + segment, "embeddings.LayerNorm")


def _layer(weights: Weights, states: FloatArray, prefix: str) -> FloatArray:
    query, key, value = (
        _heads(_linear(weights, states, f"{prefix}.attention.self.{name}")) for name in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(query.shape[-1]))
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    context = (shares @ value).transpose(1, 0, 2).reshape(states.shape)
    attended = _linear(weights, context, f"{prefix}.attention.output.dense")
    states = _normalised(weights, attended + states, f"{prefix}.attention.output.LayerNorm")
    inner = _gelu(_linear(weights, states, f"{prefix}.intermediate.dense"))
    outer = _linear(weights, inner, f"{prefix}.output.dense")
    return _normalised(weights, outer + states, f"{prefix}.output.LayerNorm")


def _heads(states: FloatArray) -> FloatArray:
    """(tokens, width) -> (heads, tokens, width / heads)."""
    return states.reshape(len(states), HEADS, -1).transpose(1, 0, 2)


def _linear(weights: Weights, states: FloatArray, name: str) -> FloatArray:
    return states @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _gelu(states: FloatArray) -> FloatArray:
    result: FloatArray = states * np.float32(0.5) * (1 + _erf(states / np.float32(math.sqrt(2))))
    return result


def _normalised(weights: Weights, states: FloatArray, name: str) -> FloatArray:
    centred = states - states.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    normal: FloatArray = centred / np.sqrt(variance + LAYER_NORM_EPSILON)
    return normal * weights[f"{name}.weight"] + weights[f"{name}.bias"]
