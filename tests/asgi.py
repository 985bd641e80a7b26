"""One request to an ASGI app, without a server."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

App = Callable[[Any, Any, Any], Awaitable[None]]


def get(app: App, path: str, *, kind: str = "http") -> tuple[int, dict[str, str], bytes]:
    """Status (0 where nothing was answered), headers and body of a GET; what the app raises is raised."""
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": kind, "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [], "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "scheme": "http", "root_path": "",
        "http_version": "1.1",
    }  # fmt: skip

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]  # any awaitable does
    starts = [message for message in sent if message["type"] == "http.response.start"]
    headers = {name.decode(): value.decode() for name, value in starts[-1]["headers"]} if starts else {}
    body = b"".join(message.get("body", b"") for message in sent)
    return (starts[-1]["status"] if starts else 0), headers, body
