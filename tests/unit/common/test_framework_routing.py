"""What the framework's own routes would answer by themselves: it comes to the spine, like all else."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import flask
import pytest

from common.function import Function
from local.gateway import create_app
from tests.emulators import ROOT
from tests.instance import instance
from tests.wsgi import from_this_machine

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@pytest.fixture
def health(tmp_path: Path) -> "Iterator[WSGIApplication]":
    with instance(tmp_path):
        yield from_this_machine(create_app("health", str(ROOT / "functions" / "health" / "main.py"), "http"))


# werkzeug's `path` takes no line break; the framework answers the two files itself; "" it would send elsewhere.
@pytest.mark.parametrize(
    "path", ["/health\n", "/a\nb", "/\n", "/robots.txt", "/favicon.ico", "", "//elsewhere.example"]
)
def test_an_address_that_the_framework_does_not_route_is_answered_as_a_problem_with_our_headers(
    health: "WSGIApplication", path: str
) -> None:
    told: list[tuple[str, dict[str, str]]] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }
    body = b"".join(health(environ, lambda status, headers, *_: told.append((status, dict(headers)))))  # type: ignore[arg-type]
    ((status, headers),) = told
    assert status.startswith("404")
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["request_id"] == headers["X-Request-ID"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_function_that_is_made_outside_the_framework_needs_no_app() -> None:
    assert not flask.has_app_context()
    assert Function(name="alone", title="Alone", version="1", routes=[]).entry_point().__name__ == "alone"
