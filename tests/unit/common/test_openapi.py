"""What the description says beyond what tests/e2e/test_openapi_contract.py finds out by asking."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from common.function import Call, Reply, Route
from common.openapi import openapi_document
from common.problems import BadRequest
from common.security.idempotency import key_of
from functions.documents.models import DocumentsRequest
from functions.query.models import QueryRequest
from tests.instance import instance


def _handler(_call: Call[None]) -> Reply:
    return Reply(status=HTTPStatus.NO_CONTENT)


def described(**route: Any) -> dict[str, Any]:
    usual = {"method": "POST", "path": "/thing", "summary": "A thing.", "handler": _handler, "scope": "query:ask"}
    only = Route(**{**usual, "limit": "10/minute", **route})
    document = openapi_document("Things", "1", [only]).root
    operation: dict[str, Any] = document["paths"][only.path][only.method.lower()]
    return operation


def headers_of(operation: dict[str, Any], status: str) -> set[str]:
    return set(operation["responses"][status]["headers"])


def test_each_answer_names_the_headers_that_it_comes_with() -> None:
    operation = described()
    assert headers_of(operation, "200") == {"X-Request-ID", "RateLimit", "RateLimit-Policy", "Idempotent-Replayed"}
    assert headers_of(operation, "401") == {"X-Request-ID", "WWW-Authenticate"}
    assert headers_of(operation, "405") == {"X-Request-ID", "Allow"}
    assert headers_of(operation, "429") == headers_of(operation, "409") == {"X-Request-ID", "Retry-After"}
    assert headers_of(described(method="GET", scope="public", limit="none"), "200") == {"X-Request-ID"}


@pytest.mark.parametrize(
    ("scope", "limit", "statuses"),
    [
        ("query:ask", "10/minute", {"401", "403", "429"}),
        ("query:ask", "none", {"401", "403", "429"}),  # by refused keys, and by requests in flight
        ("public", "10/minute", {"429"}),
        ("public", "none", set()),
    ],
)
def test_a_route_says_which_refusals_of_the_way_in_it_may_end_in(scope: str, limit: str, statuses: set[str]) -> None:
    assert described(scope=scope, limit=limit)["responses"].keys() & {"401", "403", "429"} == statuses


class Asked(BaseModel):
    days: int = Field(ge=1, description="How many.")
    colour: Literal["red", "blue"] = "red"
    whose: str | None = Field(default=None, min_length=1)


def test_parameters_are_described_one_by_one_and_none_can_be_null() -> None:
    operation = described(method="GET", query=Asked)
    days, colour, whose = operation["parameters"]
    assert (days["in"], days["required"], days["description"]) == ("query", True, "How many.")
    assert (days["schema"]["type"], days["schema"]["minimum"]) == ("integer", 1)
    assert (colour["required"], colour["schema"]["enum"], colour["schema"]["default"]) == (
        False,
        ["red", "blue"],
        "red",
    )
    assert (whose["required"], whose["schema"]) == (False, {"title": "Whose", "type": "string", "minLength": 1})
    assert "422" in operation["responses"]
    assert "parameters" not in described(method="GET")


@pytest.mark.parametrize("is_optional", [True, False])
def test_whether_a_body_may_be_left_out_is_described(is_optional: bool) -> None:
    assert described(request=Asked, is_body_optional=is_optional)["requestBody"]["required"] is not is_optional


def test_a_stream_is_described_by_its_events() -> None:
    content = described(produces=("application/json", "text/event-stream"))["responses"]["200"]["content"]
    assert content["text/event-stream"]["schema"]["required"] == ["event", "data"]


_KEY_PATTERN = described()["parameters"][0]["schema"]["pattern"]


@given(st.from_regex(_KEY_PATTERN, fullmatch=True))
def test_an_idempotency_key_that_is_described_is_read(key: str) -> None:
    assert 1 <= len(key_of(key)) <= 128


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=140))
def test_an_idempotency_key_that_is_not_described_is_refused(key: str) -> None:
    if re.search(_KEY_PATTERN, key.strip()) is None:
        with pytest.raises(BadRequest):
            key_of(key)


def test_bounds_that_are_settings_are_described_as_they_are_set(tmp_path: Path) -> None:
    with instance(tmp_path, MAX_MESSAGE_CHARACTERS="123", MAX_DOCUMENTS="7", MAX_DOCUMENT_CHARACTERS="4567"):
        query, documents = QueryRequest.model_json_schema(), DocumentsRequest.model_json_schema()
    assert query["properties"]["message"]["maxLength"] == 123
    assert documents["properties"]["documents"]["maxItems"] == 7
    assert documents["$defs"]["DocumentIn"]["properties"]["text"]["maxLength"] == 4567


def test_the_agents_that_there_are_are_named() -> None:
    agent = QueryRequest.model_json_schema()["properties"]["agent"]
    assert {"collateral", "knowledge"} <= set(agent["anyOf"][0]["enum"])
