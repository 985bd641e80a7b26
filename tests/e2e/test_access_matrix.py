"""Principal by route by tenant, at a running emulator that asks for keys: each cell's outcome.

The routes are those of `/openapi.json`, so one of a new function is among them by itself; what it may be called with
stands in `functions/functions.json` and in its own scope.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from common.security.principal import ROLES, Role
from tests.budget_messages import pushed
from tests.emulators import ROOT, Emulator, emulator, environment
from tests.token_issuer import TokenIssuer, token_issuer

FUNCTIONS = {one["name"]: one for one in json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]}
AUDIENCE = "https://loans.example.com"
ACCOUNT = "scheduler@project.iam.gserviceaccount.com"
SECURITY_HEADERS = {
    "cache-control", "content-security-policy", "cross-origin-opener-policy", "cross-origin-resource-policy",
    "permissions-policy", "referrer-policy", "strict-transport-security", "x-content-type-options", "x-frame-options",
    "x-permitted-cross-domain-policies", "x-request-id",
}  # fmt: skip
BODIES: Mapping[str, Any] = {
    "/api/query": {"message": "What is a lien?"},
    "/api/documents": {"documents": [{"id": "matrix/one", "title": "One", "text": "A lien is a claim on property."}]},
    "/events/budget": pushed(),
    "/api/cost-report/run": {"period": "2025-01"},
}


class Desk:
    """An emulator that asks for keys, and keys and tokens for it."""

    def __init__(self, running: Emulator, issuer: TokenIssuer) -> None:
        self.running = running
        self.issuer = issuer
        self.client = httpx.Client(base_url=running.url, timeout=60)
        self.keys = {
            (role, tenant): self.loancheck("keys", "create", "--role", role, "--tenant", tenant).splitlines()[-1]
            for role in ROLES
            for tenant in ("default", "other")
        }

    def loancheck(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "local.loancheck", *arguments]
        done = subprocess.run(
            command,
            cwd=self.running.cwd,
            env=environment(self.running.data),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def key(self, role: Role, tenant: str = "default") -> dict[str, str]:
        return {"X-API-Key": self.keys[role, tenant]}

    def token(self, **claims: Any) -> dict[str, str]:
        text = self.issuer.token(**{"email": ACCOUNT, "audience": AUDIENCE, **claims})
        return {"Authorization": f"Bearer {text}"}

    def routes(self) -> list[tuple[str, str, dict[str, Any]]]:
        paths = self.client.get("/openapi.json").json()["paths"]
        return [(path, method.upper(), found) for path, one in paths.items() for method, found in one.items()]

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
        body = BODIES.get(path) if method == "POST" else None
        return self.client.request(method, re.sub(r"\{\w+\}", "matrix/none", path), headers=dict(headers), json=body)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with token_issuer() as issuer:
        settings = {
            "ANONYMOUS": "false",
            "GOOGLE_ISSUERS": issuer.issuer,
            "GOOGLE_CERTS_URL": issuer.certs_url,
            "GOOGLE_AUDIENCES": AUDIENCE,
            "GOOGLE_ACCOUNTS": f"{ACCOUNT}=service",
            "FAILED_KEYS_LIMIT": "1000/minute",
        }
        with emulator(tmp_path_factory.mktemp("matrix"), **settings) as running:
            desk = Desk(running, issuer)
            yield desk
            desk.client.close()


def test_each_route_of_each_function_lets_in_those_who_have_its_scope_and_nobody_else(desk: Desk) -> None:
    routes = desk.routes()
    assert {operation["tags"][0] for _, _, operation in routes} == set(FUNCTIONS)
    wrong = []
    for path, method, operation in routes:
        scope, callers = operation.get("x-scope"), FUNCTIONS[operation["tags"][0]]["callers"]
        if path == f"/{operation['tags'][0]}/metrics":
            callers = "api-key"
        asked: list[tuple[str, Mapping[str, str], int | None]] = [
            ("nobody", {}, None if scope is None else 401),
            ("wrong key", {"X-API-Key": "lcc_aaaaaaaaaaaa_" + "b" * 43}, None if scope is None else 401),
            ("key and token", {**desk.key("admin"), **desk.token()}, None if scope is None else 401),
            ("token of a stranger", desk.token(email="x@example.com"), None if scope is None else 401),
            ("token for others", desk.token(audience="https://other.example"), None if scope is None else 401),
            ("token", desk.token(), _expected(scope, "service")),
        ]
        for role in ROLES:
            expected = 401 if callers == "google" and scope is not None else _expected(scope, role)
            asked.append((role, desk.key(role), expected))
            asked.append((f"{role} of another tenant", desk.key(role, "other"), expected))
        for who, headers, expected in asked:
            status = desk.ask(method, path, headers).status_code
            if status != expected and not (expected is None and status not in {401, 403, 429, 500}):
                wrong.append(f"{method} {path}: {who} got {status}, expected {expected or 'to be let in'}")
    assert wrong == []


def _expected(scope: str | None, role: Any) -> int | None:
    """None: let in, whatever the answer is then."""
    return None if scope is None or scope in ROLES[role] else 403


def test_each_route_of_each_function_has_headers_limits_and_idempotency_without_a_line_of_its_own(desk: Desk) -> None:
    for path, method, operation in desk.routes():
        whose = desk.token() if path.startswith("/events/") else desk.key("admin")
        once = {"Idempotency-Key": f"each-route-{path.replace('/', '-')}"} if method == "POST" else {}
        answers = [desk.ask(method, path, {**whose, **once}) for _ in range(2)]
        refused = desk.ask(method, path, {"X-API-Key": "lcc_wrong"})
        for answer in (*answers, refused):
            assert answer.headers.keys() >= SECURITY_HEADERS, (path, method)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "no-store" in answer.headers["Cache-Control"]
        is_limited = operation.get("x-limit", "none") != "none"
        assert all(("RateLimit" in answer.headers) is is_limited for answer in answers), (path, method)
        if method == "POST":
            assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"], path
            assert answers[0].content == answers[1].content


def test_a_document_is_there_for_its_tenant_alone(desk: Desk) -> None:
    mine, theirs = desk.key("admin"), desk.key("admin", "other")
    canary = "The zebra clause holds for pledged accordions alone."
    stored = {"documents": [{"id": "tenant/one", "title": "Zebra clause", "text": canary}]}
    assert desk.client.post("/api/documents", json=stored, headers=mine).status_code == 200
    found = desk.client.get("/api/documents/tenant/one", headers=mine)
    assert found.json()["text"] == canary
    strange = desk.client.get("/api/documents/tenant/one", headers=theirs)
    unknown = desk.client.get("/api/documents/tenant/none", headers=theirs)
    assert strange.status_code == unknown.status_code == 404
    assert {**strange.json(), "instance": "", "request_id": ""} == {**unknown.json(), "instance": "", "request_id": ""}
    assert desk.client.delete("/api/documents/tenant/one", headers=theirs).status_code == 404
    question = {"message": "What does the zebra clause hold for?"}
    asked = desk.client.post("/api/query", json=question, headers=theirs)
    assert "accordions" not in asked.text
    assert "tenant/one" not in asked.text
    assert "accordions" in desk.client.post("/api/query", json=question, headers=mine).text
    other = {"documents": [{"id": "tenant/one", "title": "Another", "text": "This one is about a yacht."}]}
    assert desk.client.post("/api/documents", json=other, headers=theirs).status_code == 200
    assert desk.client.get("/api/documents/tenant/one", headers=mine).json()["text"] == canary
    assert desk.client.delete("/api/documents/tenant/one", headers=theirs).status_code == 204
    assert desk.client.get("/api/documents/tenant/one", headers=mine).status_code == 200


def test_a_session_is_there_for_its_tenant_alone(desk: Desk) -> None:
    asked = desk.client.post("/api/query", json={"message": "What is a lien?"}, headers=desk.key("analyst")).json()
    follow_up = {"message": "and for raw land?", "session_id": asked["session_id"]}
    assert desk.client.post("/api/query", json=follow_up, headers=desk.key("analyst")).status_code == 200
    strange = desk.client.post("/api/query", json=follow_up, headers=desk.key("analyst", "other"))
    unknown = {**follow_up, "session_id": "0" * 32}
    nothing = desk.client.post("/api/query", json=unknown, headers=desk.key("analyst", "other"))
    assert (strange.status_code, nothing.status_code) == (404, 404)
    assert strange.json()["title"] == nothing.json()["title"]
    assert strange.json().get("detail") == nothing.json().get("detail")


def test_a_revoked_key_is_refused_within_seconds(desk: Desk) -> None:
    text = desk.loancheck("keys", "create", "--role", "viewer").splitlines()[-1]
    headers = {"X-API-Key": text}
    assert desk.client.get("/api/documents/none", headers=headers).status_code == 404
    desk.loancheck("keys", "revoke", text.split("_")[1])
    deadline = time.monotonic() + 20
    while desk.client.get("/api/documents/none", headers=headers).status_code != 401:
        assert time.monotonic() < deadline
