"""One question to a running emulator, and its answer in words."""

import json
from decimal import Decimal
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, build_opener

from common.no_redirects import NoRedirects
from common.settings import Secret
from local.printable import on_one_line
from local.refusal import Refused

TIMEOUT_SECONDS = 120
KEY_FIX = "set API_KEY to a key with the role {role}: loancheck keys create --role {role} makes one"


class NoAnswer(Refused):
    """The question was not answered; the message says why in one line."""


def ask(url: str, question: str, key: Secret | None = None, *, dry_run: bool = False) -> dict[str, Any]:
    """The body of `POST /api/query` below `url`; `key` goes along where there is one. A `dry_run` asks for the cost.

    Raises:
        NoAnswer: nothing listens there, it is something else, or it refuses the question.
    """
    url = checked(url)
    body = json.dumps({"message": question, **({"dry_run": True} if dry_run else {})}).encode()
    headers = {"Content-Type": "application/json", **key_header(key)}
    request = Request(f"{url}/api/query", body, headers)  # noqa: S310
    try:
        with opened(request, TIMEOUT_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except HTTPError as error:
        with error:
            raise NoAnswer(_refusal(error)) from None
    except (URLError, HTTPException, OSError) as error:
        cause = getattr(error, "reason", error)
        reason = getattr(cause, "strerror", None) or type(cause).__name__
        raise NoAnswer(f"nothing answers at {url} ({reason}): is `make run` running there?") from None
    except ValueError:
        raise NoAnswer(f"what answers at {url} is not this program") from None


def opened(request: Request, timeout_seconds: float) -> HTTPResponse:
    """The response to `request`, whose scheme is checked. A redirect is not followed, for it would get the key.

    Raises:
        HTTPError: any status of 300 and above.
        OSError, HTTPException: no whole answer.
    """
    response: HTTPResponse = build_opener(NoRedirects).open(request, timeout=timeout_seconds)
    return response


def key_header(key: Secret | None) -> dict[str, str]:
    """The header that `key` is sent in."""
    return {"X-API-Key": key.get_secret_value()} if key is not None else {}


def checked(url: str) -> str:
    """`url` without a slash at its end.

    Raises:
        NoAnswer: it is no web address.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise NoAnswer(f"{url}: the address must begin with http:// or https://")
    return url.rstrip("/")


def in_words(answer: dict[str, Any]) -> str:
    """The answer, its citations by number, and what it rests on and cost."""
    lines = [answer["answer"], ""]
    for number, citation in enumerate(answer["citations"], 1):
        cited = f'[{number}] {citation["title"]} ({citation["document_id"]}): "{citation["quote"]}"'
        lines.append(on_one_line(cited))
        if citation["source"]:
            lines.append(f"    {on_one_line(citation['source'])}")
    lines += [""] if answer["citations"] else []
    return "\n".join([*lines, _footer(answer)])


def _footer(answer: dict[str, Any]) -> str:
    cost = answer["usage"]["cost_usd"]
    parts = [
        "answered" if answer["answered"] else "not answered",
        f"agent {answer['agent']}",
        f"confidence {answer['confidence']:.2f}",
        f"model {answer['usage']['model'] or 'none'}",
        "cost unknown" if cost is None else f"cost {Decimal(str(cost)).normalize():f} USD",
        *([f"degraded: {', '.join(answer['degraded'])}"] if answer["degraded"] else []),
    ]
    return f"({'; '.join(parts)})"


def _refusal(error: HTTPError) -> str:
    if error.code < HTTPStatus.BAD_REQUEST:
        return f"what answers there sends on to another address (HTTP {error.code}), which gets no question: see --url"
    try:
        problem = json.load(error)
        reasons = [f"{one['pointer']} {one['detail']}" for one in problem.get("errors", [])]
        if error.code == HTTPStatus.UNAUTHORIZED:
            reasons = [KEY_FIX.format(role="analyst")]
        return ": ".join([problem["title"], *(reasons or filter(None, [problem.get("detail")]))])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"what answers there is not this program (HTTP {error.code})"
