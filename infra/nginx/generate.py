"""Builds `infra/nginx/generated/` and the default upstreams from functions.json, the routes and the problem types.

    python -m infra.nginx.generate                    # from the repository's root; a test holds the files to it

Where MAX_BODY_BYTES is set, so it must be here: nginx's limit for bodies is that of the routes.
"""

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import flask

from common.function import SMALL_BODY_BYTES, Function, Route
from common.problems import (
    CONTENT_TYPE,
    AssistantError,
    BadRequest,
    HeadersTooLarge,
    MethodNotAllowed,
    NotFound,
    QuotaExceeded,
    TooLarge,
    Unavailable,
    UriTooLong,
    problem_document,
)
from common.security.headers import dress
from local.catalogue import FunctionEntry, load_catalogue

FOLDER = Path(__file__).parent
_WRITTEN_BY = "# Written by `python -m infra.nginx.generate`: change that, not this.\n\n"
DEFAULT_PORT = 8080
OWN_PATHS = ("/live", "/openapi.json")  # found below a function's name; /metrics tells of one instance: ask that
REQUEST_ID = "$request_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What nginx answers by itself: on which statuses of its own, and with which problem, under `status` of HTTP's."""

    path: str
    on: tuple[int, ...]
    error: AssistantError
    status: int


REFUSALS = (
    # 495 to 497: TLS that is wrong, or none at all. 501 and 505: an encoding and a version that it does not know.
    Refusal(path="bad-request", on=(400, 495, 496, 497, 501, 505), error=BadRequest(), status=400),
    Refusal(path="not-found", on=(403, 404), error=NotFound(), status=404),
    Refusal(path="method-not-allowed", on=(405,), error=MethodNotAllowed(), status=405),
    Refusal(path="too-large", on=(413,), error=TooLarge(), status=413),
    Refusal(path="uri-too-long", on=(414,), error=UriTooLong(), status=414),
    Refusal(
        path="too-many-requests",
        on=(429,),
        error=QuotaExceeded("Too many requests from this address.", retry_after_seconds=1),
        status=429,
    ),
    Refusal(path="headers-too-large", on=(494,), error=HeadersTooLarge(), status=431),
    Refusal(path="internal", on=(500, 507), error=AssistantError(), status=500),
    Refusal(path="unreachable", on=(502,), error=Unavailable("The function cannot be reached."), status=502),
    Refusal(path="unavailable", on=(503,), error=Unavailable(), status=503),
    Refusal(path="too-slow", on=(504,), error=Unavailable("The function did not answer in time."), status=504),
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PATH = re.compile(r"(?:/[a-z0-9-]+)+")


def written(entries: Sequence[FunctionEntry]) -> Mapping[Path, str]:
    """Each file, and what it holds.

    Raises:
        ValueError: names or paths in functions.json are doubled, would not be in nginx what they are there, or lead to
            no route.
    """
    _check(entries)
    instances = {entry.name: [f"{entry.name.replace('_', '-')}:{DEFAULT_PORT}"] for entry in entries}
    return {
        FOLDER / "generated" / "maps.conf": _WRITTEN_BY + _map("function", entries) + "\n" + _map("route", entries),
        FOLDER / "generated" / "locations.conf": _WRITTEN_BY + "\n".join(_locations(entries)),
        FOLDER / "generated" / "headers.conf": _WRITTEN_BY + "".join(_headers(_security_headers())),
        FOLDER / "generated" / "problems.conf": _WRITTEN_BY + "\n".join(map(_problem, REFUSALS)),
        FOLDER / "site" / "upstreams.conf": upstreams(instances),
    }


def upstreams(instances: Mapping[str, Sequence[str]]) -> str:
    """Where the instances of each function are, as HOST:PORT: all that a switch between two revisions changes."""
    header = (
        "# Where each function's instances are. `python -m infra.nginx.switch` writes this anew and reloads nginx.\n\n"
    )
    return header + "\n".join(
        f"upstream {name} {{\n" + "".join(f"    server {address};\n" for address in addresses) + "}\n"
        for name, addresses in instances.items()
    )


def routes_of(entry: FunctionEntry) -> Sequence[Route]:
    """The function's own routes, as its main.py declares them."""
    module = importlib.import_module(".".join(entry.source.with_suffix("").parts))
    serve = getattr(module, entry.entry_point)
    function = inspect.getclosurevars(serve).nonlocals["self"]  # the framework takes nothing but a plain function
    assert isinstance(function, Function)
    return function.routes


def _map(variable: str, entries: Sequence[FunctionEntry]) -> str:
    """What the access log calls a request by: told by its address, for some are refused before a location is found."""
    patterns = [(path, r"(?:\?|$)", entry) for entry in entries for path in _own_paths(entry)]
    patterns += [(path, "(?:[/?]|$)", entry) for path, entry in _by_path(entries)]
    lines = [
        f'    "~^{re.escape(path)}{end}" {entry.name if variable == "function" else path};'
        for path, end, entry in patterns
    ]
    return "\n".join([f"map $request_uri ${variable} {{", '    default "";', *lines, "}", ""])


def _locations(entries: Sequence[FunctionEntry]) -> Iterator[str]:
    yield f"client_max_body_size {SMALL_BODY_BYTES};\n"
    for path, entry in _by_path(entries):
        lines = [
            f"client_max_body_size {_max_body_bytes(entry, path)};",
            f"proxy_read_timeout {entry.timeout_seconds}s; # between two pieces; the function's time limit",
            f"proxy_pass http://{entry.name};",
        ]
        yield _block(f"location ~ ^{path}(?:/|$)", lines)
    for entry in entries:
        for path in _own_paths(entry):
            own = path.removeprefix(f"/{entry.name}")
            yield _block(f"location = {path}", [f"proxy_pass http://{entry.name}{own};"])
    yield _block("location /", ["return 404;"])


def _max_body_bytes(entry: FunctionEntry, path: str) -> int:
    """Of the largest body that a route at or below `path` takes."""
    below = [route.max_body_bytes for route in routes_of(entry) if f"{route.path}/".startswith(f"{path}/")]
    if not below:
        raise ValueError(f"functions.json: {entry.name}: paths: {path}: no route of its own lies there")
    return max(below)


def _problem(refusal: Refusal) -> str:
    _, document = problem_document(refusal.error, request_id=REQUEST_ID)
    body = json.dumps(document | {"status": refusal.status}).replace("'", r"\'")
    path = f"/problems/{refusal.path}"
    lines = [f"error_page {status} ={refusal.status} {path};" for status in refusal.on]
    # Without a limit here: of a body in chunks what had come is held against it again.
    inside = [
        "internal;",
        "client_max_body_size 0;",
        f"default_type {CONTENT_TYPE};",
        "include generated/headers.conf;",
    ]
    inside += [line.strip() for line in _headers({"X-Request-ID": REQUEST_ID, **refusal.error.headers})]
    inside += [f"return {refusal.status} '{body}';"]
    return "\n".join([*lines, _block(f"location = {path}", inside)])


def _headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        yield f'add_header {name} "{value}" always;\n'


def _security_headers() -> Mapping[str, str]:
    """Those that the functions put on their problems."""
    response = flask.Response(content_type=CONTENT_TYPE)
    given = set(response.headers.keys())
    dress(flask.Request({"REQUEST_METHOD": "GET"}), response, nonce="")
    return {name: value for name, value in response.headers.items() if name not in given}


def _own_paths(entry: FunctionEntry) -> Sequence[str]:
    """Below its name; a function that lives at that path itself may have such a route of its own, as health does."""
    return [f"/{entry.name}{path}" for path in OWN_PATHS if path != "/live" or f"/{entry.name}" not in entry.paths]


def _by_path(entries: Sequence[FunctionEntry]) -> Sequence[tuple[str, FunctionEntry]]:
    """Longest first: the first that matches is taken."""
    found = [(path, entry) for entry in entries for path in entry.paths]
    return sorted(found, key=lambda one: (-len(one[0]), one[0]))


def _block(opening: str, lines: Sequence[str]) -> str:
    return f"{opening} {{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def _check(entries: Sequence[FunctionEntry]) -> None:
    paths = [path for entry in entries for path in entry.paths]
    for field, values, pattern in (("name", [entry.name for entry in entries], _NAME), ("paths", paths, _PATH)):
        for value in values:
            if not pattern.fullmatch(value):
                raise ValueError(f"functions.json: {field}: {value!r} is not of the form {pattern.pattern}")
            if values.count(value) > 1:
                raise ValueError(f"functions.json: {field}: {value} stands there twice")


def main() -> None:
    for path, text in written(load_catalogue()).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
