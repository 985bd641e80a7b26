"""A request's body: read within its limits and checked against its model, and read away where nobody wanted it."""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import flask
import werkzeug.exceptions
from werkzeug.wsgi import get_input_stream

from common.logging import component_logger
from common.pii import mask
from common.problems import AssistantError, BadRequest, FieldError, InvalidRequest, TooLarge, UnsupportedMediaType
from common.settings import settings

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

MAX_PASSED_OVER_BYTES = 32 * 1024 * 1024  # what Cloud Run takes at most
MAX_POINTER_CHARACTERS = 100
PIECE_BYTES = 65_536

log = component_logger("function")


def read_body(
    request: flask.Request,
    model: "type[BaseModel]",
    max_bytes: int,
    *,
    is_optional: bool = False,
    media_type: str = "application/json",
) -> "BaseModel":
    """The JSON body as `model`. Where it `is_optional`, none at all is as `{}`.

    Raises:
        UnsupportedMediaType, TooLarge, BadRequest, InvalidRequest: none of them tells what the body holds.
    """
    if is_optional and not request.content_length and "Transfer-Encoding" not in request.headers:
        return model.model_validate({})
    if request.mimetype != media_type or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("The body must be JSON, uncompressed, sent as application/json.")
    request.max_content_length = max_bytes + 1  # one more: a body that comes in chunks is cut there without a word
    try:
        raw = request.get_data(cache=False)
        is_too_large = len(raw) > max_bytes
    except werkzeug.exceptions.RequestEntityTooLarge:
        is_too_large = True
    except Exception as error:  # each server has its own for chunks that are none, and for a client that went away
        raise BadRequest("The body cannot be read to its end.") from error
    if is_too_large:
        raise TooLarge(f"The body has more than {max_bytes:,} bytes.")
    if not raw:
        raise BadRequest("The body is empty.")
    _check_depth(raw, settings().max_json_depth)
    from pydantic import ValidationError  # with the model, not with this module

    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise _invalid(error) from None


def broken_rules(error: "ValidationError") -> InvalidRequest:
    """`error` as a problem that names each field, and tells nothing of what is in it."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return InvalidRequest(
        "Each entry of `errors` names a field and the reason.",
        errors=[FieldError(pointer=pointer_to(one["loc"]), detail=one["msg"]) for one in found[:20]],
    )


def pointer_to(location: Sequence[int | str]) -> str:
    """A JSON pointer (RFC 6901). An unknown field's name is the caller's own text, so it is masked and bounded."""
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in location]
    printable = "".join(letter for letter in "/" + "/".join(parts) if letter.isprintable())
    return mask(printable)[:MAX_POINTER_CHARACTERS] if location else ""


_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[][{}]")


def _check_depth(raw: bytes, most: int) -> None:
    """What is nested deeper costs a parser more than it is worth; ours go four levels deep.

    Raises:
        BadRequest: arrays and objects lie deeper in each other than `most`.
    """
    if raw.count(b"[") + raw.count(b"{") <= most:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            raise BadRequest(f"The body is nested deeper than {most} levels.")


def pass_over_body(request: flask.Request) -> None:
    """Read away what is left of the body, so that the client is done sending and takes the answer.

    The framework does the same after us, but whole into memory, and an oversized body makes it fail there
    (functions_framework.read_request); so it finds nothing left. At most `MAX_PASSED_OVER_BYTES` are waited for.
    """
    if request.environ.get("wsgi.input_terminated"):  # the server itself knows where the body ends
        body = request.environ["wsgi.input"]
    else:
        body = request.stream if "stream" in request.__dict__ else get_input_stream(request.environ)
    left = MAX_PASSED_OVER_BYTES
    try:
        while left > 0 and (piece := body.read(min(left, PIECE_BYTES))):
            left -= len(piece)
    except Exception as error:  # noqa: BLE001  # larger still, no chunks, or the client went away: it has its answer
        log.info("request.body_left", error_type=type(error).__name__)
    request.__dict__["stream"] = io.BytesIO()  # where werkzeug keeps the stream that is read


def _invalid(error: "ValidationError") -> AssistantError:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    if any(one["type"] == "json_invalid" for one in found):
        return BadRequest(f"The body is no valid JSON. {found[0]['msg']}.")
    return broken_rules(error)
