"""What the way in costs a request, in memory: a route with key, limits and a checked body against one without any."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import flask
from pydantic import BaseModel, ConfigDict

from common.function import Call, Function, Reply, Route
from common.logging import setup_logging
from common.security.api_keys import api_keys
from tests.instance import instance

MOST_US = 300
BATCH = 200


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: str


def _nothing(_call: Call[None]) -> Reply:
    return Reply(content=b"{}")


def measure(*, batches: int = 25) -> Sequence[tuple[str, str]]:
    """The two in turn, so that what else the machine does meets both; medians of batches."""
    often = "1000000/minute"
    function = Function(
        name="bench", title="", version="1",
        routes=[
            Route(method="GET", path="/bare", summary="", handler=_nothing, scope="public", limit="none"),
            Route(method="POST", path="/guarded", summary="", handler=_nothing, scope="query:ask", limit=often,
                  request=Asked),
        ],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, instance(Path(folder), ADDRESS_LIMIT=often, LOG_LEVEL="ERROR"):
        setup_logging("ERROR")
        key = api_keys().create(role="analyst").text
        body = json.dumps({"message": "What is the supervisory loan-to-value limit for raw land?"})
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        app = flask.Flask("bench")

        def bare() -> None:
            _answer(app, function, "GET", "/bare", {}, "")

        def guarded() -> None:
            _answer(app, function, "POST", "/guarded", headers, body)

        guarded()
        taken = [(_microseconds(bare), _microseconds(guarded)) for _ in range(batches)]
    without = statistics.median(one for one, _ in taken)
    difference = statistics.median(two - one for one, two in taken)
    missed = "" if difference < MOST_US else ", MISSED"
    return [
        ("a request without key, limit and body", f"{without:.0f} us"),
        ("key, scope, two limits and a checked body on top", f"{difference:.0f} us (below {MOST_US}{missed})"),
    ]


def _answer(app: flask.Flask, function: Function, method: str, path: str, headers: dict[str, str], body: str) -> None:
    with app.test_request_context(path, method=method, headers=headers, data=body):
        response = function(flask.request._get_current_object())  # type: ignore[attr-defined]  # as the framework does
    assert response.status_code == 200, response.get_data()


def _microseconds(action: Callable[[], None]) -> float:
    begun = time.perf_counter()
    for _ in range(BATCH):
        action()
    return (time.perf_counter() - begun) / BATCH * 1e6


if __name__ == "__main__":
    for name, figure in measure():
        print(f"{name:<55} {figure}")
