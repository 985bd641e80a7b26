"""`/health` and its siblings over HTTP, on components of the test's own."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from functions_framework import create_app as untyped_create_app
from pydantic import BaseModel
from werkzeug.test import Client, TestResponse

from common.health import Fault, Finding, HealthChecker
from common.metrics import metrics_collector
from common.security import anonymous
from common.settings import load_settings
from common.version import VERSION
from functions.health import answers, details
from functions.health.models import DetailedAnswer, HealthAnswer, LiveAnswer, ProcessAnswer
from tests.wsgi import from_this_machine

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

create_app: "Callable[[str, str, str], WSGIApplication]" = untyped_create_app
ROOT = Path(__file__).resolve().parents[4]
HEALTH_JSON = "application/health+json"
ALL = ["/health", "/health/detailed", "/health/live", "/health/ready"]


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(from_this_machine(create_app("health", str(ROOT / "functions" / "health" / "main.py"), "http")))


@pytest.fixture
def checker(monkeypatch: pytest.MonkeyPatch) -> HealthChecker:
    """What the function asks, without a component; nothing is given a second time."""
    made = HealthChecker(timeout_seconds=5, cache_seconds=0)
    monkeypatch.setattr(answers, "checker", lambda: made)
    monkeypatch.setattr(details, "checker", lambda: made)
    return made


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty DATA_DIR; what the function keeps is forgotten."""
    monkeypatch.setattr(details, "settings", lambda: load_settings(data_dir=tmp_path))
    details.knowledge.cache_clear()
    yield tmp_path
    details.knowledge.cache_clear()


def broken() -> None:
    raise Fault("not reachable")


def as_health_json(client: Client, path: str) -> TestResponse:
    return client.get(path, headers={"Accept": HEALTH_JSON})


def test_when_all_is_well_it_says_so(client: Client, checker: HealthChecker) -> None:
    checker.add("database", lambda: None, needed=True)
    checker.note("gemini", "not configured")
    response = client.get("/health")
    assert (response.status_code, response.content_type) == (200, "application/json")
    body = response.get_json()
    assert body.pop("components")["database"].pop("duration_ms") >= 0
    assert body == {"status": "healthy", "version": VERSION}


def test_a_component_has_a_detail_and_a_duration_only_where_there_is_one(
    client: Client, checker: HealthChecker
) -> None:
    checker.add("database", lambda: None, needed=True)
    checker.note("gemini", "not configured")
    components = client.get("/health").get_json()["components"]
    assert components["database"].keys() == {"status", "duration_ms"}
    assert components["gemini"] == {"status": "healthy", "detail": "not configured"}


@pytest.mark.parametrize(
    ("needed", "code", "status", "word"), [(False, 200, "degraded", "warn"), (True, 503, "unhealthy", "fail")]
)
def test_only_without_what_is_needed_it_is_a_503(
    client: Client, checker: HealthChecker, needed: bool, code: int, status: str, word: str
) -> None:
    checker.add("part", broken, needed=needed)
    ours, standard = client.get("/health"), as_health_json(client, "/health")
    assert (ours.status_code, ours.get_json()["status"]) == (code, status)
    assert ours.get_json()["components"]["part"]["detail"] == "not reachable"
    assert (standard.status_code, standard.get_json()["status"]) == (code, word)


def test_health_json_has_a_check_for_each_component(client: Client, checker: HealthChecker) -> None:
    checker.add("database", broken, needed=True)
    checker.note("gemini", "not configured")
    response = as_health_json(client, "/health")
    assert response.content_type == HEALTH_JSON
    body = json.loads(response.data)
    assert (body["releaseId"], list(body["checks"])) == (VERSION, ["database:responseTime", "gemini"])
    (check,) = body["checks"]["database:responseTime"]
    assert datetime.fromisoformat(check.pop("time")).tzinfo is not None
    assert check.pop("observedValue") >= 0
    assert check == {
        "componentId": "database",
        "componentType": "datastore",
        "status": "fail",
        "output": "not reachable",
        "observedUnit": "ms",
    }
    (noted,) = body["checks"]["gemini"]
    assert "output" not in noted
    assert noted["detail"] == "not configured"


def test_a_format_that_it_does_not_speak_is_refused(client: Client, checker: HealthChecker) -> None:
    assert client.get("/health", headers={"Accept": "text/html"}).status_code == 406


@pytest.mark.parametrize("path", ALL)
def test_head_is_get_without_a_body(client: Client, checker: HealthChecker, path: str) -> None:
    checker.add("database", broken, needed=True)
    asked, answered = client.head(path), client.get(path)
    assert (asked.status_code, asked.data) == (answered.status_code, b"")


def test_live_looks_at_nothing_but_this_process(client: Client, checker: HealthChecker) -> None:
    runs = itertools.count()
    checker.add("database", lambda: str(next(runs)), needed=True)
    assert client.get("/health/live").get_json() == {"status": "alive"}
    assert as_health_json(client, "/health/live").get_json() == {
        "status": "pass",
        "version": VERSION.partition(".")[0],
        "releaseId": VERSION,
        "checks": {},
    }
    assert next(runs) == 0


def test_ready_is_about_what_answers_need(client: Client, checker: HealthChecker) -> None:
    checker.add("database", lambda: None, needed=True)
    checker.add("vector_index", broken, needed=False)
    response = client.get("/health/ready")
    assert (response.status_code, response.get_json()["status"]) == (200, "healthy")
    assert list(response.get_json()["components"]) == ["database"]


def test_without_what_answers_need_it_is_not_ready(client: Client, checker: HealthChecker) -> None:
    checker.add("database", broken, needed=True)
    assert client.get("/health/ready").status_code == 503


def test_a_process_that_is_about_to_end_is_not_ready(
    client: Client, checker: HealthChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker.add("database", lambda: None, needed=True)
    monkeypatch.setattr(answers, "is_draining", lambda: True)
    ours, standard = client.get("/health/ready"), as_health_json(client, "/health/ready")
    assert (ours.status_code, ours.get_json()["detail"]) == (503, "draining")
    assert (standard.status_code, standard.get_json()["output"]) == (503, "draining")
    assert client.get("/health").status_code == 200


def test_details_have_facts_the_knowledge_base_and_the_process(client: Client, checker: HealthChecker) -> None:
    checker.add("disk", lambda: Finding(facts={"free_mb": 7}), needed=False)
    metrics_collector.set_breaker_state("gemini/default", "open")
    metrics_collector.set_cache_entries("retrieval", 12)
    body = client.get("/health/detailed").get_json()
    assert body["components"]["disk"]["facts"] == {"free_mb": 7}
    assert body["components"]["knowledge"]["detail"] == "not there"
    assert body["process"]["breakers"]["gemini/default"] == "open"
    assert body["process"]["cache_entries"]["retrieval"] == 12
    assert body["process"]["environment"] == "development"
    assert body["process"]["uptime_seconds"] > 0
    assert 0 < body["process"]["memory_mb"] < body["process"]["memory_limit_mb"]


def test_where_memory_cannot_be_read_it_is_not_known(
    client: Client, checker: HealthChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details, "memory_in_use", lambda proc, cgroups: None)
    process = client.get("/health/detailed").get_json()["process"]
    assert (process["memory_mb"], process["memory_limit_mb"]) == (None, None)


def test_a_knowledge_base_that_cannot_be_counted_does_not_make_the_whole_worse(
    client: Client, checker: HealthChecker
) -> None:
    body = client.get("/health/detailed").get_json()
    assert (body["status"], body["components"]["knowledge"]["status"]) == ("healthy", "unhealthy")


def test_details_as_health_json_carry_the_facts(client: Client, checker: HealthChecker) -> None:
    checker.add("disk", lambda: Finding(facts={"free_mb": 7}), needed=False)
    checks = as_health_json(client, "/health/detailed").get_json()["checks"]
    assert (checks["disk:responseTime"][0]["free_mb"], checks["disk:responseTime"][0]["componentType"]) == (7, "system")
    assert "knowledge:responseTime" in checks


def test_details_need_a_key_and_nothing_else_does(client: Client, checker: HealthChecker) -> None:
    anonymous.withdraw()
    refused = client.get("/health/detailed")
    assert (refused.status_code, refused.content_type) == (401, "application/problem+json")
    assert refused.get_json()["type"] == "/problems/unauthenticated"
    assert "components" not in refused.get_json()
    assert {client.get(path).status_code for path in ALL if path != "/health/detailed"} == {200}


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("accept", ["application/json", HEALTH_JSON])
def test_no_internals_are_in_any_answer(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, free_port: int, path: str, accept: str
) -> None:
    here = load_settings(
        data_dir=data / "secret-folder",
        database_url=f"postgresql+psycopg://jane:s3cret@127.0.0.1:{free_port}/loans",
        chroma_url=f"http://127.0.0.1:{free_port}",
        chroma_token="chroma-token",
        gemini_api_key="gemini-key",
        gemini_base_url=f"http://127.0.0.1:{free_port}/proxy",
    )
    for module in ("common.health", "functions.health.details"):
        monkeypatch.setattr(f"{module}.settings", lambda: here)
    answers.checker.cache_clear()
    try:
        text = client.get(path, headers={"Accept": accept}).get_data(as_text=True)
    finally:
        answers.checker.cache_clear()
    words = ("jane", "s3cret", "127.0.0.1", str(free_port), "secret-folder", "chroma-token", "gemini-key", "proxy")
    assert [word for word in (*words, "loans", "psycopg", "urllib", "Error", "refused") if word in text] == []


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/health", HealthAnswer),
        ("/health/ready", HealthAnswer),
        ("/health/detailed", DetailedAnswer),
        ("/health/live", LiveAnswer),
    ],
)
def test_each_answer_is_what_the_description_says(
    client: Client, checker: HealthChecker, path: str, model: type[BaseModel]
) -> None:
    checker.add("database", lambda: Finding(facts={"kind": "sqlite", "size_mb": 1.5, "size": None}), needed=True)
    checker.add("index", broken, needed=True)
    checker.note("gemini", "not configured", model="gemini-3.8-flash")
    for draining in (False, True):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(answers, "is_draining", lambda ends=draining: ends)
            given = client.get(path).get_data()
        assert model.model_validate_json(given, strict=True).model_dump_json().encode() == given


def test_the_process_is_described_as_it_is_told(client: Client, checker: HealthChecker) -> None:
    metrics_collector.set_breaker_state("gemini", "open")
    metrics_collector.set_cache_entries("retrieval", 3)
    process = client.get("/health/detailed").get_json()["process"]
    assert ProcessAnswer.model_validate(process, strict=True).model_dump() == process


def test_the_guides_example_has_the_shape_of_the_answer() -> None:
    guide = (ROOT / "docs" / "api.md").read_text()
    (shown,) = [block for block in re.findall(r"^```json\n(.*?)^```$", guide, re.M | re.S) if '"components"' in block]
    assert HealthAnswer.model_validate_json(shown).model_dump(mode="json") == json.loads(shown)
