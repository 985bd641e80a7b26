"""Gemini through google-generativeai, which is out of support and holds protobuf below 6: installed apart, by
requirements-legacy.txt.

The adapter uses the package's own messages and REST client. Its `GenerativeModel` on top keeps the configuration
in one place for the whole process and gives no way to end a stream.
"""

import time
import warnings
from collections.abc import Callable, Generator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from common.llm.chat import (
    ChatAnswer,
    ChatChunk,
    ChatRequest,
    Lane,
    ModelAnswerUnusable,
    ModelError,
    ModelTimeout,
    TokenUsage,
)
from common.llm.gemini_wire import UNREADABLE, Gathered, Piece, log_answer, refusal, retry_delay_seconds
from common.llm.prompt import prompt
from common.logging import get_logger
from common.telemetry import semconv
from common.tracing import outgoing_headers

_DEFAULT_ENDPOINT = "https://generativelanguage.googleapis.com"

T = TypeVar("T")

log = get_logger(__name__)

# Any throughout: the package and its messages are untyped, and absent where the other modules are type-checked.


class GeminiLegacyModel:
    """`ChatModel` for the Gemini API; Vertex AI is not in this package. `base_url` as for `gemini_client`."""

    provider = semconv.PROVIDER_GEMINI

    def __init__(self, *, api_key: str, model: str, cheap_model: str, base_url: str | None = None) -> None:
        self._models = {"default": model, "cheap": cheap_model}
        library = _library()
        self._client = library.service.GenerativeServiceClient(
            transport="rest", client_options={"api_key": api_key, "api_endpoint": base_url or _DEFAULT_ENDPOINT}
        )

    @property
    def model(self) -> str:
        return self._models["default"]

    def model_on(self, lane: Lane) -> str:
        return self._models[lane]

    def generate(self, request: ChatRequest) -> ChatAnswer:
        asked, started = self._models[request.lane], time.monotonic()
        gathered = Gathered(asked=asked)
        message = _message(request, asked)
        options = _options(request)
        response = _call(lambda: self._client.generate_content(message, **options))
        gathered.add(_piece(response))
        return self._finished(gathered, request, started)

    def stream(self, request: ChatRequest) -> Generator[ChatChunk, None, None]:
        """Closing the generator closes the connection, so that the provider stops writing."""
        asked, started = self._models[request.lane], time.monotonic()
        gathered = Gathered(asked=asked)
        message = _message(request, asked)
        options = _options(request)
        events = _call(lambda: self._client.stream_generate_content(message, **options))
        try:
            while (event := _call(lambda: next(events, None))) is not None:
                if time.monotonic() - started > request.timeout_seconds:
                    raise ModelTimeout
                piece = _piece(event)
                gathered.add(piece)
                if piece.text:
                    yield ChatChunk(text=piece.text)
        except ModelError as error:
            error.answer = gathered.billed()
            raise
        finally:
            events.cancel()
        yield ChatChunk(text="", answer=self._finished(gathered, request, started))

    def _finished(self, gathered: Gathered, request: ChatRequest, started: float) -> ChatAnswer:
        answer = gathered.answer(is_json=request.json_schema is not None)
        log_answer(answer, request, provider=self.provider, seconds=time.monotonic() - started)
        return answer


class _Library:
    """The package's two halves; its import warns that it is out of support, which the setting says already."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.service: Any = import_module("google.ai.generativelanguage")
            self.protos: Any = import_module("google.generativeai.protos")


@cache
def _library() -> _Library:
    return _Library()


def _options(request: ChatRequest) -> dict[str, Any]:
    """How a call is made; `retry` is None, for the package would ask again by itself."""
    return {
        "timeout": request.timeout_seconds,
        "retry": None,
        "metadata": tuple(outgoing_headers().items()),
    }


def _message(request: ChatRequest, model: str) -> Any:
    protos, asked = _library().protos, prompt(request)
    config: dict[str, Any] = {
        "candidate_count": 1,
        "temperature": request.temperature,
        "max_output_tokens": request.max_output_tokens,
    }
    if request.json_schema is not None:
        config["response_mime_type"] = "application/json"
        config["response_schema"] = gemini_schema(request.json_schema)
    return protos.GenerateContentRequest(
        model=f"models/{model.removeprefix('models/')}",
        contents=[{"role": role, "parts": [{"text": text}]} for role, text in asked.turns],
        system_instruction={"parts": [{"text": asked.system}]},
        generation_config=config,
    )


def gemini_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema in the dialect that this package speaks: types in capitals, references written out.

    Takes what pydantic makes of models of ours: objects, lists, strings, numbers, enums, references, optional
    values. Titles, defaults and `additionalProperties` have no counterpart and are left out.
    """
    return _translated(schema, schema.get("$defs", {}))


def _translated(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    said = {key: schema[key] for key in ("description", "enum", "required") if key in schema}
    if "$ref" in schema:
        return _translated(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions) | said
    if "anyOf" in schema:
        (one,) = (option for option in schema["anyOf"] if option.get("type") != "null")
        return _translated(one, definitions) | said | {"nullable": True}
    result: dict[str, Any] = {"type_": schema["type"].upper()} | said
    if "items" in schema:
        result["items"] = _translated(schema["items"], definitions)
    if "properties" in schema:
        result["properties"] = {name: _translated(one, definitions) for name, one in schema["properties"].items()}
    return result


def _piece(response: Any) -> Piece:
    candidate = response.candidates[0] if response.candidates else None
    block_reason = response.prompt_feedback.block_reason
    return Piece(
        text="".join(part.text for part in candidate.content.parts) if candidate else "",
        finish_reason=_name(candidate.finish_reason) if candidate else None,
        block_reason=_name(block_reason),
        model=response.model_version or None,
        usage=_usage(response.usage_metadata) if "usage_metadata" in response else None,
    )


def _name(value: Any) -> str | None:
    """The name of an enum's value, None for its 0, "unspecified"; a number that this old package does not know yet
    stays a number."""
    return (getattr(value, "name", None) or str(value)) if value else None


def _usage(counts: Any) -> TokenUsage:
    """The package predates thinking; what the total holds beyond the counts that it knows is billed as output."""
    known = counts.prompt_token_count + counts.candidates_token_count
    return TokenUsage(
        input_tokens=counts.prompt_token_count,
        cached_input_tokens=counts.cached_content_token_count,
        output_tokens=counts.candidates_token_count,
        thinking_tokens=max(0, counts.total_token_count - known),
    )


def _call(call: Callable[[], T]) -> T:
    """The result of `call`, a use of the package.

    Raises:
        ModelError: in place of the package's errors, which may repeat the prompt; without them as its context.
    """
    try:
        return call()
    except _library_errors() as error:
        failure = _failure(error)
        log.warning("model.call_failed", error_type=type(error).__name__, outcome=type(failure).__name__)
    raise failure


@cache
def _library_errors() -> tuple[type[Exception], ...]:
    from google.api_core.exceptions import GoogleAPIError
    from requests import RequestException

    not_the_message: type[Exception] = import_module("google.protobuf.json_format").Error
    return GoogleAPIError, RequestException, not_the_message, *UNREADABLE


def _failure(error: Exception) -> ModelError:
    from google.api_core.exceptions import GoogleAPICallError
    from requests import RequestException, Timeout

    match error:
        case GoogleAPICallError(code=int() as code):
            return refusal(int(code), retry_after_seconds=retry_delay_seconds({"details": list(error.details)}))
        case Timeout():
            return ModelTimeout()
        case RequestException():
            return ModelError("The connection to the model's provider broke.")
        case _:
            return ModelAnswerUnusable("The model's provider sent an answer that cannot be read.")
