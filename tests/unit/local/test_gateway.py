import os
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from werkzeug.test import Client

from local.catalogue import FunctionEntry, load_catalogue
from local.gateway import Gateway, merged
from tests.wsgi import from_this_machine

MAIN = """
from pydantic import BaseModel
from common.function import Call, Function, Route

class {model}(BaseModel):
    {field}: str

{name} = Function(name="{name}", title="{name}", version="1", routes=[
    Route(method="GET", path=path, summary="Says who it is.", answer={model}, scope="public", limit="none",
          handler=lambda call: {model}({field}="{name} " + call.path.get("rest", "")))
    for path in {paths}
]).entry_point()
"""
EVENTS = """
def events(event):
    assert event["type"] == "budget"
"""


def entry(folder: Path, name: str, source: str, paths: tuple[str, ...], signature: str = "http") -> FunctionEntry:
    path = folder / name / "main.py"
    path.parent.mkdir()
    path.write_text(source, encoding="utf-8")
    return FunctionEntry.model_validate(
        {
            "name": name, "source": path, "entry_point": name, "signature_type": signature, "paths": paths,
            "trigger": "http", "callers": "public", "memory_mb": 128, "timeout_seconds": 1,
        }
    )  # fmt: skip


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    for name in ("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE"):  # the framework sets them, and never takes them back
        monkeypatch.setitem(os.environ, name, "")
    left = MAIN.format(name="left", model="Same", field="text", paths=["/api/a", "/api/a/{rest:path}"])
    right = MAIN.format(name="right", model="Same", field="other", paths=["/api/a/right"])
    return Client(
        Gateway(
            [
                entry(tmp_path, "events", EVENTS, ("/events/budget",), "cloudevent"),
                entry(tmp_path, "left", left, ("/api/a",)),
                entry(tmp_path, "right", right, ("/api/a/right",)),
            ],
            root=Path("/"),
        )
    )


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/api/a", {"text": "left "}),
        ("/api/a/x/y%2Fz", {"text": "left x/y/z"}),
        ("/api/a/right", {"other": "right "}),
        ("/api/a/rightmost", {"text": "left rightmost"}),
        ("/right/live", {"status": "alive"}),
    ],
)
def test_the_longest_path_that_fits_decides(client: Client, path: str, answer: dict[str, str]) -> None:
    response = client.get(path)
    assert (response.status_code, response.get_json()) == (200, answer)


@pytest.mark.parametrize("path", ["/", "/api", "/api/ab", "/nobody/live", "/left", "/left/other", "/robots.txt"])
def test_other_paths_are_problem_documents(client: Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.mimetype) == (404, "application/problem+json")
    assert response.get_json()["request_id"] == response.headers["X-Request-ID"]


def test_a_function_of_events_takes_events_and_the_others_stay_http(client: Client) -> None:
    event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "test", "ce-type": "budget"}
    assert client.post("/events/budget", headers=event, json={}).status_code == 200
    assert client.post("/events/budget", json={}).status_code == 400
    assert client.get("/api/a").status_code == 200


def test_all_functions_are_described_in_one_valid_document(client: Client) -> None:
    document = client.get("/openapi.json").get_json()
    validate(document)
    assert {"/api/a", "/api/a/{rest}", "/api/a/right", "/left/live", "/right/openapi.json"} <= document["paths"].keys()
    schemas = document["components"]["schemas"]
    assert (schemas["Same"]["required"], schemas["right_Same"]["required"]) == (["text"], ["other"])
    answer = document["paths"]["/api/a/right"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/right_Same"}


def test_each_function_describes_itself_below_its_name(client: Client) -> None:
    assert client.get("/right/openapi.json").get_json()["info"]["title"] == "right"


def test_equal_schemas_are_written_once() -> None:
    document = {"paths": {}, "components": {"schemas": {"Problem": {"type": "object"}}}}
    assert merged({"a": document, "b": document}, title="t")["components"]["schemas"] == {"Problem": {"type": "object"}}


def test_health_keeps_its_own_addresses_and_those_of_every_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "FUNCTION_TARGET", "")
    client = Client(from_this_machine(Gateway([one for one in load_catalogue() if one.name == "health"])))
    assert client.get("/health/live").get_json() == {"status": "alive"}
    assert b"assistant_build_info" in client.get("/health/metrics").data
    assert "/health/detailed" in client.get("/health/openapi.json").get_json()["paths"]
    live = client.get("/openapi.json").get_json()["paths"]["/health/live"]["get"]
    assert "health+json" in str(live)
