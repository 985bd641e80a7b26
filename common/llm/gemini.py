"""Gemini through google-genai: the chat model, over the Gemini API or Vertex AI.

google-genai costs some 0.4 s of import, so it is imported where it is used: never at module top.
"""

import time
from collections.abc import Callable, Generator, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from common.llm.chat import (
    ChatAnswer,
    ChatChunk,
    ChatRequest,
    Lane,
    ModelAnswerUnusable,
    ModelError,
    ModelRefusedCredentials,
    ModelTimeout,
    TokenUsage,
)
from common.llm.gemini_wire import UNREADABLE, Gathered, Piece, log_answer, refusal, retry_delay_seconds
from common.llm.prompt import prompt
from common.logging import get_logger
from common.telemetry import semconv
from common.tracing import inject

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.genai import Client, types

_CONNECT_SECONDS = 5.0  # a host that does not even accept a connection is not waited for longer

T = TypeVar("T")

log = get_logger(__name__)


def gemini_client(
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    vertex_project: str | None = None,
    vertex_location: str | None = None,
    credentials: "Credentials | None" = None,
) -> "Client":
    """A client to keep: it holds the connections. With `vertex_project` it is Vertex AI's, by `credentials` or,
    without them, the machine's own; otherwise the Gemini API's, by `api_key`.

    The library's own retries are off, so that `common/llm/resilience.py` is the only place that asks again.
    """
    from google.genai import Client, types

    options = types.HttpOptions(
        base_url=base_url,
        retry_options=types.HttpRetryOptions(attempts=1),
        client_args={
            "event_hooks": {
                "request": [_set_deadline, lambda request: inject(request.headers)],
                "response": [_hold_deadline],
            }
        },
    )
    if vertex_project is not None:
        return Client(
            vertexai=True,
            project=vertex_project,
            location=vertex_location,
            credentials=credentials,
            http_options=options,
        )
    return Client(vertexai=False, api_key=api_key, http_options=options)


class GeminiModel:
    """`ChatModel` on a kept client. A call's `timeout_seconds` bounds waiting and reading together; a stream is
    cut at its first event after that."""

    def __init__(self, client: "Client", *, model: str, cheap_model: str) -> None:
        self._client = client
        self._models = {"default": model, "cheap": cheap_model}

    @property
    def provider(self) -> str:
        return semconv.PROVIDER_VERTEX_AI if self._client.vertexai else semconv.PROVIDER_GEMINI

    @property
    def model(self) -> str:
        return self._models["default"]

    def model_on(self, lane: Lane) -> str:
        return self._models[lane]

    def generate(self, request: ChatRequest) -> ChatAnswer:
        asked, started = self._models[request.lane], time.monotonic()
        gathered = Gathered(asked=asked)
        contents, config = _contents(request), _config(request, asked)
        response = call_gemini(
            lambda: self._client.models.generate_content(model=asked, contents=contents, config=config)
        )
        gathered.add(_piece(response))
        return self._finished(gathered, request, started)

    def stream(self, request: ChatRequest) -> Generator[ChatChunk, None, None]:
        """Closing the generator closes the connection, so that the provider stops writing."""
        asked, started = self._models[request.lane], time.monotonic()
        gathered = Gathered(asked=asked)
        contents, config = _contents(request), _config(request, asked)
        events = self._client.models.generate_content_stream(model=asked, contents=contents, config=config)
        try:
            while (event := call_gemini(lambda: next(events, None))) is not None:
                piece = _piece(event)
                gathered.add(piece)
                if piece.text:
                    yield ChatChunk(text=piece.text)
        except ModelError as error:
            error.answer = gathered.billed()
            raise
        finally:
            events.close()  # type: ignore[attr-defined]  # typed as an iterator, but a generator
        yield ChatChunk(text="", answer=self._finished(gathered, request, started))

    def _finished(self, gathered: Gathered, request: ChatRequest, started: float) -> ChatAnswer:
        answer = gathered.answer(is_json=request.json_schema is not None)
        log_answer(answer, request, provider=self.provider, seconds=time.monotonic() - started)
        return answer


def milliseconds(seconds: float) -> int:
    """`seconds` as the client library counts time-outs; 0 would mean none."""
    return max(1, round(seconds * 1000))


def _contents(request: ChatRequest) -> "types.ContentListUnionDict":
    from google.genai import types

    return [types.Content(role=role, parts=[types.Part(text=text)]) for role, text in prompt(request).turns]


def _config(request: ChatRequest, model: str) -> "types.GenerateContentConfig":
    from google.genai import types

    config = types.GenerateContentConfig(
        system_instruction=prompt(request).system,
        temperature=request.temperature,
        max_output_tokens=request.max_output_tokens,
        candidate_count=1,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,  # it would send further requests that nobody has counted or bounded
        http_options=types.HttpOptions(timeout=milliseconds(request.timeout_seconds)),
    )
    if request.json_schema is not None:
        config.response_mime_type = "application/json"
        config.response_json_schema = dict(request.json_schema)
    if model.removeprefix("models/").startswith("gemini-3"):
        # Thinking counts against max_output_tokens: at its default level it can leave nothing for the answer.
        # Source: https://ai.google.dev/gemini-api/docs/thinking
        config.thinking_config = types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW)
    return config


def _piece(response: "types.GenerateContentResponse") -> Piece:
    candidate = response.candidates[0] if response.candidates else None
    parts = (candidate.content.parts if candidate and candidate.content else None) or []
    reason = candidate.finish_reason if candidate else None
    blocked = response.prompt_feedback.block_reason if response.prompt_feedback else None
    return Piece(
        # `response.text` would do, but logs a warning when there are other parts
        text="".join(part.text for part in parts if part.text and not part.thought),
        finish_reason=str(reason.value) if reason else None,
        block_reason=str(blocked.value) if blocked else None,
        model=response.model_version,
        usage=_usage(response.usage_metadata) if response.usage_metadata else None,
    )


def _usage(counts: "types.GenerateContentResponseUsageMetadata") -> TokenUsage:
    return TokenUsage(
        input_tokens=counts.prompt_token_count or 0,
        cached_input_tokens=counts.cached_content_token_count or 0,
        output_tokens=counts.candidates_token_count or 0,
        thinking_tokens=counts.thoughts_token_count or 0,
        tool_tokens=counts.tool_use_prompt_token_count or 0,
    )


def call_gemini(call: Callable[[], T]) -> T:
    """The result of `call`, a use of the client library and nothing else: what fails in it is taken for its own.

    Raises:
        ModelError: in place of the library's own errors, which may repeat the prompt. It is raised outside the
            handler, so that it does not carry them as its context either.
    """
    try:
        return call()
    except _library_errors() as error:
        failure = _failure(error)
        log.warning("model.call_failed", error_type=type(error).__name__, outcome=type(failure).__name__)
    raise failure


@cache
def _library_errors() -> tuple[type[Exception], ...]:
    import httpx2
    from google.auth.exceptions import GoogleAuthError
    from google.genai.errors import APIError

    return APIError, httpx2.HTTPError, GoogleAuthError, *UNREADABLE


def _failure(error: Exception) -> ModelError:
    import httpx2
    from google.auth.exceptions import TransportError
    from google.genai.errors import APIError

    match error:
        case APIError():
            return refusal(error.code, retry_after_seconds=retry_delay_seconds(error.details))
        case httpx2.ConnectTimeout() | httpx2.ConnectError() | TransportError():
            return ModelError("The model's provider cannot be reached.", is_unbilled=True)
        case httpx2.TimeoutException():
            return ModelTimeout()
        case httpx2.HTTPError():
            return ModelError("The connection to the model's provider broke.")
        case ValueError() | TypeError() | AttributeError() | LookupError():
            return ModelAnswerUnusable("The model's provider sent an answer that cannot be read.")
        case _:
            return ModelRefusedCredentials("There are no credentials for the model's provider.", is_unbilled=True)


def _set_deadline(request: Any) -> None:
    """Hook on each HTTP request (httpx2.Request; untyped because that import waits): its end, and quick connects."""
    timeout = request.extensions["timeout"]
    if timeout.get("read") is not None:
        request.extensions["loancheck.deadline"] = time.monotonic() + timeout["read"]
        timeout["connect"] = min(timeout["read"], _CONNECT_SECONDS)


def _hold_deadline(response: Any) -> None:
    """Hook on each HTTP response (httpx2.Response) between its headers and its body: the client's time-out is per
    read, so that a body that drips in would keep a call alive for ever."""
    extensions = response.request.extensions
    deadline = extensions.get("loancheck.deadline")
    if deadline is not None:
        extensions["timeout"]["read"] = max(0.001, deadline - time.monotonic())
        response.stream = _bounded(response.stream, deadline)


def _bounded(stream: Any, deadline: float) -> Any:
    """An httpx2.SyncByteStream that reads `stream` and fails at the first piece after `deadline` (monotonic)."""
    import httpx2

    class Bounded(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for piece in stream:
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout("deadline")
                yield piece

        def close(self) -> None:
            stream.close()

    return Bounded()
