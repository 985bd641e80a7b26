"""A function behind the proxy: says what reaches it, streams until it is let go on, and gives a large answer."""

import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import flask
from pydantic import BaseModel, RootModel

from common.function import Call, EventStream, Function, Reply, Route
from common.security.access import UNLIMITED
from common.security.client_address import client_address
from common.security.principal import PUBLIC_SCOPE

LARGE_BYTES = 20_000_000  # more than sockets and nginx hold

_go_on = threading.Event()


class Said(BaseModel):
    """The caller's address, and the headers, in lower case."""

    address: str
    headers: dict[str, str]


class Text(RootModel[str]):
    """An event's data."""


def _say(_call: Call[None]) -> Said:
    headers = {name.lower(): value for name, value in flask.request.headers.items()}
    return Said(address=client_address(flask.request), headers=headers)


def _stream(_call: Call[None]) -> EventStream:
    def events() -> Generator[tuple[str, BaseModel], None, None]:
        yield "first", Text("first")
        yield "last", Text("last" if _go_on.wait(timeout=30) else "nobody asked for it")

    return EventStream(events=events())


def _let_go_on(_call: Call[None]) -> Text:
    _go_on.set()
    return Text("so be it")


def _large(_call: Call[None]) -> Reply:
    return Reply(content=b"x" * LARGE_BYTES, content_type="text/plain")


def _route(path: str, handler: Callable[[Call[Any]], BaseModel | Reply | EventStream]) -> Route:
    return Route(method="GET", path=path, summary=path, handler=handler, scope=PUBLIC_SCOPE, limit=UNLIMITED)


proxied = Function(
    name="proxied",
    title="behind the proxy",
    version="1",
    routes=[
        _route("/api/query", _say),
        _route("/api/query/stream", _stream),
        _route("/api/query/let-go-on", _let_go_on),
        _route("/api/query/large", _large),
    ],
).entry_point()
