"""One HTTP request to a revision under test, and what came back."""

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, build_opener

from common.no_redirects import NoRedirects

TIMEOUT_SECONDS = 90.0  # a cold start and an answer by a model


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Status 0: nothing came back, and `body` says of which kind the failure was."""

    status: int
    body: bytes
    seconds: float

    def json(self) -> dict[str, Any]:
        """The body; empty where it is no JSON object."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def __str__(self) -> str:
        said = self.json().get("title") if self.status else self.body.decode()
        return f"status {self.status}{f' ({said})' if said else ''}" if self.status else f"no answer ({said})"


def fetch(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, object] | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Reply:
    """GET `url`, or POST `body` as JSON. A redirect is an answer like any other: it is not followed."""
    data = None if body is None else json.dumps(body).encode()
    typed = {} if body is None else {"Content-Type": "application/json"}
    began = time.monotonic()
    try:
        request = Request(url, data, {**typed, **(headers or {})})  # noqa: S310  # the cloud's own addresses
        with build_opener(NoRedirects).open(request, timeout=timeout_seconds) as response:
            status, content = response.status, response.read()
    except HTTPError as error:
        with error:
            status, content = error.code, error.read()
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)
        status, content = 0, type(cause).__name__.encode()
    return Reply(status=status, body=content, seconds=time.monotonic() - began)
