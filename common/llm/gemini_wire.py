"""What Gemini's answers and refusals mean, whichever client library carries them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from common.llm.chat import (
    ChatAnswer,
    ChatRequest,
    ModelAnswerUnusable,
    ModelBlocked,
    ModelError,
    ModelOverQuota,
    ModelRefusedCredentials,
    ModelTimeout,
    TokenUsage,
)
from common.logging import get_logger

log = get_logger(__name__)

# Source: https://ai.google.dev/api/generate-content#FinishReason
_BLOCKED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"})
_COMPLETE = frozenset({"STOP", "MAX_TOKENS"})

# What the library stumbles over in an answer that is no JSON, or JSON of another shape than it was written for
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)

_TIMED_OUT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT})
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A streamed event, or a whole answer that came at once. None: it did not say."""

    text: str = ""
    finish_reason: str | None = None
    block_reason: str | None = None
    model: str | None = None
    usage: TokenUsage | None = None


class Gathered:
    """The pieces of one answer as they come in; one thread."""

    def __init__(self, *, asked: str) -> None:
        self._asked = asked
        self._texts: list[str] = []
        self._last = Piece()

    def add(self, piece: Piece) -> None:
        """Keep `piece`; what it leaves out stays as an earlier piece said."""
        self._texts.append(piece.text)
        self._last = Piece(
            finish_reason=piece.finish_reason or self._last.finish_reason,
            block_reason=piece.block_reason or self._last.block_reason,
            model=piece.model or self._last.model,
            usage=piece.usage or self._last.usage,  # each event counts from the start, the last one is complete
        )

    def answer(self, *, is_json: bool) -> ChatAnswer:
        """The whole answer.

        Raises:
            ModelBlocked: the prompt or the answer fell to the provider's content rules.
            ModelAnswerUnusable: it is empty or not finished, or `is_json` and it is cut off or no JSON.
        """
        answer = self._so_far()
        self._warn_if_another_model(answer)
        billed = replace(answer, text="")
        if self._last.block_reason is not None or answer.finish_reason in _BLOCKED:
            raise ModelBlocked(answer=billed)
        if not _is_usable(answer, is_json=is_json):
            raise ModelAnswerUnusable(answer=billed)
        return answer

    def billed(self) -> ChatAnswer | None:
        """What a stream that broke has cost so far, without its text; None where no counts came."""
        return None if self._last.usage is None else replace(self._so_far(), text="")

    def _so_far(self) -> ChatAnswer:
        return ChatAnswer(
            text="".join(self._texts),
            model=self._last.model or self._asked,
            asked=self._asked,
            usage=self._last.usage,
            finish_reason=self._last.finish_reason or "",
        )

    def _warn_if_another_model(self, answer: ChatAnswer) -> None:
        if answer.model != self._asked:
            log.warning("model.substituted", asked=self._asked, model=answer.model)


def _is_usable(answer: ChatAnswer, *, is_json: bool) -> bool:
    # No finish reason: the provider had not stopped writing, so the stream was cut.
    if not answer.text.strip() or answer.finish_reason not in _COMPLETE:
        return False
    if not is_json:
        return True
    return answer.finish_reason == "STOP" and _is_json(answer.text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def refusal(status: int, *, retry_after_seconds: float | None = None) -> ModelError:
    """The error for an HTTP status; the provider's own words stay out of it, for they may repeat the prompt."""
    if status in _TIMED_OUT:
        return ModelTimeout(retry_after_seconds=retry_after_seconds)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ModelOverQuota(is_unbilled=True, retry_after_seconds=retry_after_seconds)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return ModelRefusedCredentials(f"The model's provider answered {status}.", is_unbilled=True)
    return ModelError(
        f"The model's provider answered {status}.", is_unbilled=True, retry_after_seconds=retry_after_seconds
    )


def retry_delay_seconds(error: object) -> float | None:
    """The wait in an error's `RetryInfo`; None where the body of the error (decoded JSON) holds none.

    Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
    """
    for detail in _details(error):
        if isinstance(detail, Mapping) and str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            found = _SECONDS.fullmatch(str(detail.get("retryDelay", "")))
            return float(found[1]) if found else None
    return None


def _details(error: object) -> list[Any]:
    """`error.details` of a Google error body; [] where it has another shape. Elements are unknown JSON."""
    inner = error.get("error", error) if isinstance(error, Mapping) else None
    details = inner.get("details") if isinstance(inner, Mapping) else None
    return details if isinstance(details, list) else []


def log_answer(answer: ChatAnswer, request: ChatRequest, *, provider: str, seconds: float) -> None:
    """One line a finished call: sizes and times, no text."""
    log.info(
        "model.answered",
        provider=provider,
        model=answer.model,
        asked=answer.asked,
        lane=request.lane,
        input_tokens=answer.usage.input_tokens if answer.usage else None,
        output_tokens=answer.usage.output_tokens if answer.usage else None,
        duration_ms=round(seconds * 1000),
    )
