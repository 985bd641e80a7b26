"""Gemini's embedding models through google-genai, as an `Embedder`."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from common.llm.chat import (
    ModelAnswerUnusable,
    ModelError,
    ModelOverQuota,
    ModelRefusedCredentials,
    ModelTimeout,
    TokenUsage,
)
from common.llm.deadline import seconds_left
from common.llm.embeddings import FloatMatrix, FloatVector
from common.llm.gemini import call_gemini, milliseconds
from common.llm.resilience import Policy, Resilience
from common.llm.spent import EmbeddingCall, ask_gate, note
from common.telemetry import semconv

if TYPE_CHECKING:
    from google.genai import Client, types

_BATCH = 100  # most texts in one batchEmbedContents
Task = Literal["RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"]

# Models after gemini-embedding-001 take the task as words before the text instead of a field.
# Source: https://ai.google.dev/gemini-api/docs/embeddings
_PREFIXES: dict[Task, str] = {
    "RETRIEVAL_DOCUMENT": "title: none | text: ",
    "RETRIEVAL_QUERY": "task: search result | query: ",
}


class GeminiEmbedder:
    """`Embedder` on a kept client: unit vectors, each batch of texts one call of at most `timeout_seconds` and what
    `common.llm.deadline.within` leaves, asked again after an outage as `policy` says. Each attempt is noted for
    `common.llm.spent.recording`.

    768 of the 3,072 dimensions keep nearly all of the quality at a quarter of the storage (the models are trained
    so that a prefix of a vector is a vector).

    Raises, from both methods: `ModelError`.
    """

    def __init__(
        self, client: "Client", *, model: str, policy: Policy, dimensions: int = 768, timeout_seconds: float = 20.0
    ) -> None:
        self._client = client
        self._model = model
        self._dimensions = dimensions
        self._timeout_seconds = timeout_seconds
        self._resilience = Resilience(f"embeddings/{model}", policy)
        self._has_task_field = model.removeprefix("models/").startswith("gemini-embedding-001")

    @property
    def name(self) -> str:
        return f"{self._model}-{self._dimensions}"

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def max_tokens(self) -> int:
        return 2048 if self._has_task_field else 8192

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        rows = [self._embed(batch, "RETRIEVAL_DOCUMENT") for batch in _batches(texts)]
        return np.concatenate(rows) if rows else np.empty((0, self._dimensions), dtype=np.float32)

    def embed_query(self, text: str) -> FloatVector:
        row: FloatVector = self._embed([text], "RETRIEVAL_QUERY")[0]
        return row

    def _embed(self, texts: Sequence[str], task: Task) -> FloatMatrix:
        seconds = min(self._timeout_seconds, seconds_left())
        if seconds <= 0:  # the provider has no part in that, so the breaker is not told
            raise ModelTimeout
        with self._resilience.breaker.watching():
            return self._resilience.attempt(
                lambda seconds: self._embed_once(texts, task, seconds), timeout_seconds=seconds
            )

    def _embed_once(self, texts: Sequence[str], task: Task, timeout_seconds: float) -> FloatMatrix:
        provider = semconv.PROVIDER_VERTEX_AI if self._client.vertexai else semconv.PROVIDER_GEMINI
        opened = ask_gate(provider, self._model, [self._prefix(task) + text for text in texts])
        started = time.monotonic()
        usage, outcome = None, "ok"
        try:
            response = self._response(texts, task, timeout_seconds)
            usage = _usage(response)
            return _unit_rows([one.values or [] for one in response.embeddings or []], (len(texts), self._dimensions))
        except ModelError as error:
            outcome = type(error).__name__
            if isinstance(error, (ModelOverQuota, ModelRefusedCredentials)):
                usage = TokenUsage()  # refused before it was worked on, so nothing is billed
            raise
        finally:
            note(
                EmbeddingCall(
                    provider=provider,
                    model=self._model,
                    usage=usage,
                    duration_ms=round((time.monotonic() - started) * 1000, 1),
                    outcome=outcome,
                    opened=opened,
                )
            )

    def _response(self, texts: Sequence[str], task: Task, timeout_seconds: float) -> "types.EmbedContentResponse":
        contents, config = self._contents(texts, task), self._config(task, timeout_seconds)
        return call_gemini(
            lambda: self._client.models.embed_content(
                model=self._model,
                contents=contents,
                config=config,
            )
        )

    def _contents(self, texts: Sequence[str], task: Task) -> "types.ContentListUnionDict":
        from google.genai import types

        prefix = self._prefix(task)
        # One content a text: bare strings would become the parts of one content, and one vector, on newer models.
        return [types.Content(role="user", parts=[types.Part(text=prefix + text)]) for text in texts]

    def _prefix(self, task: Task) -> str:
        return "" if self._has_task_field else _PREFIXES[task]

    def _config(self, task: Task, timeout_seconds: float) -> "types.EmbedContentConfig":
        from google.genai import types

        return types.EmbedContentConfig(
            task_type=task if self._has_task_field else None,
            output_dimensionality=self._dimensions,
            http_options=types.HttpOptions(timeout=milliseconds(timeout_seconds)),
        )


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _BATCH):
        yield texts[start : start + _BATCH]


def _usage(response: "types.EmbedContentResponse") -> TokenUsage | None:
    """The tokens of a call, for the whole of it or text by text, as the model's interface has it; older ones tell
    none, and to count them would be one more call each."""
    whole = response.usage_metadata.prompt_token_count if response.usage_metadata else None
    if whole is not None:
        return TokenUsage(input_tokens=whole)
    counts = [one.statistics.token_count if one.statistics else None for one in response.embeddings or []]
    known = [count for count in counts if count is not None]
    return TokenUsage(input_tokens=round(sum(known))) if known and len(known) == len(counts) else None


def _unit_rows(vectors: list[list[float]], shape: tuple[int, int]) -> FloatMatrix:
    """`vectors` scaled to length 1: shortened vectors of gemini-embedding-001 do not come so.

    Raises:
        ModelAnswerUnusable: another shape than asked for, or a vector without a direction.
    """
    if [len(vector) for vector in vectors] != [shape[1]] * shape[0]:
        raise ModelAnswerUnusable("The embedding model sent vectors of another number or length.")
    matrix = np.asarray(vectors, dtype=np.float64).reshape(shape)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ModelAnswerUnusable("The embedding model sent a vector without a direction.")
    rows: FloatMatrix = (matrix / lengths).astype(np.float32)
    return rows
