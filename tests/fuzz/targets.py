"""What must hold of everything that reads what others wrote: for hypothesis and for coverage-guided fuzzing alike.

Each function takes what an attacker chooses, and fails by an assertion or by an exception that nobody may see.
"""

import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask

from common.pii import detect, mask
from common.problems import CONTENT_TYPE, AssistantError
from common.request_body import MAX_POINTER_CHARACTERS, read_body
from local.formats.content import Unreadable
from local.readers import read_document
from tests.servers import LOOPBACK

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from pydantic import BaseModel

    from common.security.id_tokens import IdTokens
    from common.security.principal import Principal

MOST_BODY_BYTES = 20_000
MOST_CHARACTERS = 100_000  # python-docx's own files hold 1 MB of XML, which fewer would not allow
ALWAYS = frozenset(
    "x-request-id x-content-type-options x-frame-options content-security-policy referrer-policy cache-control "
    "strict-transport-security permissions-policy cross-origin-opener-policy cross-origin-resource-policy".split()
)
# RFC 9110: a field's name is a token, its value visible ASCII, spaces and tabs, and (obsolete) bytes above.
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an application answered; names of headers in lower case, the last of each."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(app: "WSGIApplication", *, method: str = "GET", path: str = "/", **environ: Any) -> Answer:
    """One request as a server would hand it over; `environ` goes before what is usual.

    Every header of the answer must be one that a server can send.
    """
    told: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], object]:
        told.append((status, headers))
        return lambda _: None

    usual = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": LOOPBACK,
        "HTTP_HOST": "localhost",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
    }
    pieces: Iterable[bytes] = app({**usual, **environ}, start)
    try:
        body = b"".join(pieces)
    finally:
        getattr(pieces, "close", lambda: None)()
    ((status, headers),) = told
    for name, value in headers:
        assert _FIELD_NAME.fullmatch(name), name
        assert _FIELD_VALUE.fullmatch(value), (name, value)
    return Answer(status=int(status[:3]), headers={name.lower(): value for name, value in headers}, body=body)


def check_answer(answer: Answer, *, method: str = "GET") -> None:
    """Never an error of ours, always our headers, and a refusal is a problem document."""
    # That something is amiss is what /health is asked for.
    is_report = answer.status == 503 and answer.headers["content-type"] in {
        "application/json",
        "application/health+json",
    }
    assert answer.status < 500 or is_report, answer
    assert answer.headers.keys() >= ALWAYS, answer
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", answer.headers["x-request-id"])
    if answer.status >= 400 and not is_report:
        assert answer.headers["content-type"] == CONTENT_TYPE
        if method != "HEAD":
            check_problem(json.loads(answer.body), answer)


def check_problem(problem: Mapping[str, Any], answer: Answer) -> None:
    """As `common.openapi.Problem` describes it."""
    known = {"type", "title", "status", "instance", "request_id", "detail", "errors"}
    assert problem.keys() <= known
    assert problem["status"] == answer.status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["instance"] == f"/requests/{problem['request_id']}"
    assert problem["type"].startswith(("/problems/", "https://iana.org/"))
    for error in problem.get("errors", ()):
        assert error.keys() == {"pointer", "detail"}


def check_body(raw: bytes, model: "type[BaseModel]", content_type: str = "application/json") -> "BaseModel | None":
    """The model that `raw` is, or None where it is refused in words that hold nothing of it."""
    request = flask.Request(
        {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(raw)),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(raw),
        }
    )
    try:
        return read_body(request, model, MOST_BODY_BYTES)
    except AssistantError as error:
        refusal = error
    assert HTTPStatus.BAD_REQUEST <= refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR
    assert (refusal.detail or "").isascii()
    for one in refusal.errors:
        assert len(one.pointer) <= MAX_POINTER_CHARACTERS
        assert one.pointer.isprintable()
    return None


def check_detection(text: str) -> None:
    """Spans in order, apart and within the text; what is masked holds no character of them at their places."""
    at = 0
    for span in detect(text):
        assert at <= span.start < span.end <= len(text)
        at = span.end
    mask(text)


def check_token(tokens: "IdTokens", text: str, known: "Principal") -> None:
    """Let in as `known`, or not at all."""
    assert tokens.check(text) in (None, known)


def check_document(path: Path) -> None:
    """A document within the limits, or `Unreadable`."""
    try:
        document = read_document(path, document_id="fuzzed", max_characters=MOST_CHARACTERS)
    except Unreadable:
        return
    assert 0 < len(document.text) <= MOST_CHARACTERS
    assert document.title
