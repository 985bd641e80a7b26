"""Each function alone, as the Functions Framework starts it in the cloud: it lets in nobody without a key or token."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.api_keys import new_key
from tests.budget_messages import pushed
from tests.emulators import environment
from tests.token_issuer import AUDIENCE, EMAIL, token_issuer

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
BY_NAME = {function["name"]: function for function in FUNCTIONS}
TESTED_BELOW = {"query", "documents", "health", "retention", "budget_alert", "cost_report"}

Starting = Callable[[str], AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="module")
def google() -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Settings that name an issuer of ID tokens, and the headers of the scheduler whom it knows."""
    with token_issuer() as issuer:
        settings = {
            "GOOGLE_ISSUERS": issuer.issuer, "GOOGLE_CERTS_URL": issuer.certs_url, "GOOGLE_AUDIENCES": AUDIENCE,
            "GOOGLE_ACCOUNTS": f"{EMAIL}=service",
        }  # fmt: skip
        yield settings, {"Authorization": f"Bearer {issuer.token()}"}


@pytest.fixture
def starting(tmp_path: Path, free_port: int, google: tuple[dict[str, str], dict[str, str]]) -> Starting:
    @contextmanager
    def start(name: str) -> Iterator[httpx.Client]:
        function = BY_NAME[name]
        command = [
            str(Path(sys.executable).parent / "functions-framework"),
            "--source", str(ROOT / function["source"]), "--target", function["entry_point"],
            "--host", "127.0.0.1", "--port", str(free_port),
        ]  # fmt: skip
        url = f"http://127.0.0.1:{free_port}"
        settings = environment(tmp_path, HEALTH_CACHE_SECONDS="0", **google[0])
        env = {name: value for name, value in settings.items() if name not in {"PORT", "PYTHONPATH"}}
        with (
            servers.running(command, is_ready=lambda: servers.answers(f"{url}/live"), log=tmp_path / "log", env=env),
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            yield client

    return start


def key(folder: Path, role: str = "service") -> dict[str, str]:
    return {"X-API-Key": new_key(folder, role=role)}


def test_every_function_is_started() -> None:
    assert BY_NAME.keys() == TESTED_BELOW


@pytest.mark.parametrize("name", BY_NAME)
def test_a_function_says_what_it_is_to_everybody_and_its_metrics_to_those_who_may_read_them(
    name: str, starting: Starting, tmp_path: Path, google: tuple[dict[str, str], dict[str, str]]
) -> None:
    allowed, refused = key(tmp_path), key(tmp_path, "analyst")
    with starting(name) as client:
        assert BY_NAME[name]["paths"][0] in client.get("/openapi.json").json()["paths"]
        assert client.get("/metrics").status_code == 401
        asked = [client.get("/metrics", headers=headers).status_code for headers in (allowed, refused, google[1])]
    assert asked == [200, 403, 200]


def test_a_question_needs_a_key_that_may_ask(starting: Starting, tmp_path: Path) -> None:
    question = {"message": "hello"}
    with starting("query") as client:
        assert client.post("/api/query", json=question).status_code == 401
        assert client.post("/api/query", json=question, headers=key(tmp_path)).status_code == 403
        response = client.post("/api/query", json=question, headers=key(tmp_path, "analyst"))
    assert (response.status_code, response.json()["agent"]) == (200, "greeting")


def test_a_document_needs_a_key_that_may_store(starting: Starting, tmp_path: Path) -> None:
    documents = {"documents": [{"id": "a", "title": "A", "text": "A lien lapses after five years."}]}
    with starting("documents") as client:
        assert client.post("/api/documents", json=documents, headers=key(tmp_path, "analyst")).status_code == 403
        response = client.post("/api/documents", json=documents, headers=key(tmp_path))
    assert (response.status_code, response.json()["documents"]) == (200, 1)


def test_retention_is_for_googles_scheduler_and_for_no_key(
    starting: Starting, tmp_path: Path, google: tuple[dict[str, str], dict[str, str]]
) -> None:
    with starting("retention") as client:
        assert client.post("/events/retention", headers=key(tmp_path, "admin")).status_code == 401
        assert client.post("/events/retention", headers=google[1]).status_code == 204


def test_budget_messages_are_for_pub_sub_and_for_no_key(
    starting: Starting, tmp_path: Path, google: tuple[dict[str, str], dict[str, str]]
) -> None:
    with starting("budget_alert") as client:
        assert client.post("/events/budget", json=pushed(), headers=key(tmp_path, "admin")).status_code == 401
        assert client.post("/events/budget", json=pushed(), headers=google[1]).status_code == 204


def test_a_report_is_for_keys_and_its_run_for_googles_scheduler_too(
    starting: Starting, tmp_path: Path, google: tuple[dict[str, str], dict[str, str]]
) -> None:
    with starting("cost_report") as client:
        assert client.get("/api/cost-report").status_code == 401
        report = client.get("/api/cost-report", headers=key(tmp_path, "viewer"))
        assert (report.status_code, report.json()["tenant"]) == (200, "default")
        assert client.get("/api/cost-report", headers=google[1]).json()["tenant"] is None
        assert client.post("/api/cost-report/run", headers=key(tmp_path, "viewer")).status_code == 403
        first, again = (client.post("/api/cost-report/run", headers=google[1]) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert [one.json()["reports"][0]["is_new"] for one in (first, again)] == [True, False]
    kept = sorted(path.suffix for path in (tmp_path / "archive" / "reports" / "all").iterdir())
    assert kept[:3] == [".csv", ".html", ".json"]


def test_health_is_for_everybody_and_its_details_are_not(starting: Starting, tmp_path: Path) -> None:
    with starting("health") as client:
        response = client.get("/health")
        assert response.json()["components"]["database"]["detail"] == "not there"  # nobody asked anything yet
        assert (response.status_code, client.get("/health/live").status_code) == (503, 200)
        allowed = key(tmp_path)
        assert client.get("/health/detailed").status_code == 401
        assert client.get("/health/detailed", headers=key(tmp_path, "analyst")).status_code == 403
        knowledge = client.get("/health/detailed", headers=allowed).json()["components"]["knowledge"]
    assert knowledge["facts"] == {"documents": 0, "chunks": 0}
