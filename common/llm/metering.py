"""The model that tells a request's meter of each attempt: who asks sees no retries, who pays must see them all."""

from collections.abc import Generator
from contextlib import AbstractContextManager, closing, nullcontext

from common.llm.chat import Attempt, ChatAnswer, ChatChunk, ChatModel, ChatRequest, Lane


class MeteredModel:
    """A `ChatModel` that asks `model`, under the meter of each request that has one. What the meter raises passes."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    @property
    def provider(self) -> str:
        return self._model.provider

    @property
    def model(self) -> str:
        return self._model.model

    def model_on(self, lane: Lane) -> str:
        return self._model.model_on(lane)

    def generate(self, request: ChatRequest) -> ChatAnswer:
        with self._attempt(request) as attempt:
            attempt.answer = self._model.generate(request)
            return attempt.answer

    def stream(self, request: ChatRequest) -> Generator[ChatChunk, None, None]:
        with self._attempt(request) as attempt, closing(self._model.stream(request)) as chunks:
            for chunk in chunks:
                attempt.answer = chunk.answer
                yield chunk

    def _attempt(self, request: ChatRequest) -> AbstractContextManager[Attempt]:
        if request.meter is None:
            return nullcontext(Attempt())
        return request.meter.attempt(request, provider=self.provider, model=self._model.model_on(request.lane))
