"""Text to vectors: the `Embedder` seam and its embedded default, all-MiniLM-L6-v2 in the repository.

The default needs no account, no server and no download: `minilm/model.onnx` (built by `infra/embedder/build.py`,
origin and licence in `minilm/NOTICE`) runs on onnxruntime's CPU provider.
"""

import copy
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from common.once import once
from common.processors import usable_processors

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

FloatVector = npt.NDArray[np.float32]
"""Shape (dimensions,)."""
FloatMatrix = npt.NDArray[np.float32]
"""Shape (texts, dimensions)."""

_MODEL_FOLDER = Path(__file__).parent / "minilm"
_BATCH_TOKENS = 512  # padded tokens a pass: more is no faster on two cores, and costs 50 to 270 MB
_WINDOW_OVERLAP_TOKENS = 64
_REMEMBERED = 64  # messages


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their cosine similarity. Safe to share between threads."""

    @property
    def name(self) -> str:
        """Model and version. Vectors of different names must never meet in one index."""

    @property
    def dimensions(self) -> int:
        """Length of every vector."""

    @property
    def max_tokens(self) -> int:
        """Text beyond this many tokens, the model's own markers included, does not reach the vector."""

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """One float32 row of unit length a text, in the order given; shape (0, dimensions) for no texts."""

    def embed_query(self, text: str) -> FloatVector:
        """Unit-length float32 vector of a question, comparable with the rows of `embed_documents`."""


class MiniLmEmbedder:
    """all-MiniLM-L6-v2 with int8 weights: 384 dimensions, English, mean over the tokens, unit length.

    A text's vector does not depend on the texts embedded along with it: activations are quantised token by
    token. The empty text has a vector too, of no meaning. Make it after a fork, not before: onnxruntime's
    threads do not survive one.
    """

    name = "all-MiniLM-L6-v2-int8-750127ef"  # ends with the SHA-256 of model.onnx, so a new model is a new index
    dimensions = 384
    max_tokens = 256  # as published; the authors trained it on 128

    def __init__(self, folder: Path = _MODEL_FOLDER) -> None:
        """Loads model.onnx and tokenizer.json from `folder`, which takes some 0.1 s and 60 MB."""
        import onnxruntime as ort  # type: ignore[import-untyped]  # ships no types
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(self.max_tokens)
        options = ort.SessionOptions()
        # One thread a pass, and as many passes at once as there are processors: a second thread in one pass gains a
        # message nothing, and of two processors it left a fifth idle where much is embedded.
        options.intra_op_num_threads = 1
        # The stored graph is the one to run: onnxruntime's own fusions load longer and run slower.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = ort.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self._remembered = lru_cache(_REMEMBERED)(self._embed_one)

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """See `Embedder`. Works through similar lengths together, so that little is spent on padding."""
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        encodings = self._tokenizer.encode_batch_fast(list(texts))

        def embed(rows: Sequence[int]) -> None:
            for row, states in zip(rows, self._states([encodings[row] for row in rows]), strict=True):
                vectors[row] = _unit_mean(states)

        batches = list(_batches([len(encoding.ids) for encoding in encodings]))
        if len(batches) <= 1:
            for rows in batches:
                embed(rows)
            return vectors
        with ThreadPoolExecutor(usable_processors()) as threads:
            list(threads.map(embed, batches))
        return vectors

    def embed_query(self, text: str) -> FloatVector:
        """See `Embedder`. Questions and documents are embedded alike: the model knows no prefixes.

        The last few are remembered, read-only: router and retriever ask for the same message in turn.
        """
        return self._remembered(text)

    def _embed_one(self, text: str) -> FloatVector:
        vector: FloatVector = self.embed_documents([text])[0]
        vector.setflags(write=False)
        return vector

    def embed_spans(self, text: str, spans: Sequence[tuple[int, int]]) -> FloatMatrix:
        """One unit-length row a span of `text`, each token having seen the text around it ("late chunking").

        Spans are half-open offsets in code points. A token that lies in two spans counts in both. Text longer
        than `max_tokens` is read in windows that overlap by 64 tokens, and a span is taken from the first
        window that holds most of it. Raises ValueError for a span without a token, as in blank space.

        Source: Günther et al., Late Chunking, https://arxiv.org/abs/2409.04701.
        """
        encoding = self._window_tokenizer.encode(text)
        windows = [encoding, *encoding.overflowing]
        offsets = [np.array(window.offsets) for window in windows]
        states = [self._states([window])[0] for window in windows]
        vectors = np.empty((len(spans), self.dimensions), dtype=np.float32)
        for row, span in enumerate(spans):
            inside = [_tokens_within(window_offsets, span) for window_offsets in offsets]
            best = max(range(len(windows)), key=lambda window: int(inside[window].sum()))
            if not inside[best].any():
                raise ValueError(f"span {row} holds no token")
            vectors[row] = _unit_mean(states[best][inside[best]])
        return vectors

    @cached_property
    def _window_tokenizer(self) -> "Tokenizer":
        """A copy that cuts long text into windows; apart, for a tokenizer's settings are shared by its threads."""
        tokenizer = copy.copy(self._tokenizer)
        tokenizer.enable_truncation(self.max_tokens, stride=_WINDOW_OVERLAP_TOKENS)
        return tokenizer

    def _states(self, encodings: Sequence["Encoding"]) -> list[FloatMatrix]:
        """Last hidden states, shape (its tokens, dimensions), of each encoding, in one pass."""
        lengths = [len(encoding.ids) for encoding in encodings]
        token_ids = np.zeros((len(lengths), max(lengths)), dtype=np.int64)
        mask = np.zeros_like(token_ids)
        for row, (encoding, length) in enumerate(zip(encodings, lengths, strict=True)):
            token_ids[row, :length] = encoding.ids
            mask[row, :length] = 1
        (states,) = self._session.run(None, {"input_ids": token_ids, "attention_mask": mask})
        return [states[row, :length] for row, length in enumerate(lengths)]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indexes of `lengths`, each once, longest first, in groups of at most `_BATCH_TOKENS` after padding."""
    by_length = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    start = 0
    while start < len(by_length):
        end = start + max(1, _BATCH_TOKENS // lengths[by_length[start]])
        yield by_length[start:end]
        start = end


def _tokens_within(offsets: npt.NDArray[np.int64], span: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which tokens overlap `span`; `offsets` has shape (tokens, 2). The model's markers, at (0, 0), never do."""
    start, end = span
    within: npt.NDArray[np.bool_] = (offsets[:, 0] < end) & (offsets[:, 1] > start)
    return within


def _unit_mean(states: FloatMatrix) -> FloatVector:
    """Mean of the rows, scaled to length 1."""
    mean: FloatVector = states.mean(axis=0)
    unit: FloatVector = mean / np.linalg.norm(mean)
    return unit


@once
def embedded_embedder() -> MiniLmEmbedder:
    """The process's one embedder on the model in the repository; loaded at the first call."""
    return MiniLmEmbedder()
