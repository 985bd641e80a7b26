"""Promote and roll back real functions on a local Cloud Run, while requests go on: none of them fails."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.api_keys import new_key
from tests.cloud_monitoring_server import Figures
from tests.deploys import NEW, OLD, QUERY, SERVICES, Deployed, deployed
from tests.emulators import ROOT, environment
from tests.proxies import FUNCTIONS, another_caller, function
from tests.traffic_splitter import TrafficSplitter

HEALTH = SERVICES["health"]
MOVED = ("query", "health")
CLIENTS = 3
QUERY_EVERY = 20  # requests of a client's
WATCHED = ["--function", "query", "--function", "health", "--watch-seconds", "4", "--min-requests", "10"]
# Several processes share this machine's processors: how long an answer takes is not what is tried here.
WATCHED += ["--max-latency-factor", "100", "--latency-slack-ms", "10000"]

pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.timeout(400)]


@dataclass(kw_only=True)
class Load:
    """Clients that ask one thing after the other, until they are told to stop."""

    health: str
    query: str
    key: str
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    is_done: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        number = 0
        with httpx.Client(timeout=60) as client:
            while not self.is_done.is_set():
                number += 1
                status = self._ask(client, is_query=number % QUERY_EVERY == 0)
                with self.lock:
                    self.statuses[status] += 1

    def _ask(self, client: httpx.Client, *, is_query: bool) -> int:
        try:
            if not is_query:
                return client.get(f"{self.health}/health/live", headers=another_caller()).status_code
            headers = {"X-API-Key": self.key, **another_caller()}
            return client.post(f"{self.query}/api/query", json={"message": "hello"}, headers=headers).status_code
        except httpx.HTTPError as error:
            with self.lock:
                self.failures.append(repr(error))
            return 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        with ThreadPoolExecutor(CLIENTS) as threads:
            clients = [threads.submit(self.run) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                self.is_done.set()
            for one in clients:
                one.result()


def started(stack: ExitStack, data: Path) -> dict[str, str]:
    """The addresses of a revision of each moved function, by service: processes that end with `stack`."""
    listed = [one for one in FUNCTIONS if one["name"] in MOVED]
    ports = {
        one["name"]: stack.enter_context(function(ROOT / one["source"], one["entry_point"], data)) for one in listed
    }
    return {SERVICES[name]: f"http://{servers.LOOPBACK}:{port}" for name, port in ports.items()}


def run_module(data: Path, *words: str) -> str | None:
    """Run a module of the product's own as an operator or a job does: why it failed, or None."""
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment(data), capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """Two revisions of the moved functions with the sample knowledge base, and who may ask."""

    data: Path
    key: str
    revisions: tuple[dict[str, str], ...]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    data = tmp_path_factory.mktemp("real") / "functions"
    key = new_key(data, role="analyst")
    assert run_module(data, "local.loancheck", "ingest", str(ROOT / "knowledge")) is None
    with ExitStack() as stack:
        yield Real(data=data, key=key, revisions=(started(stack, data), started(stack, data)))


@pytest.fixture
def cloud(real: Real, tmp_path: Path) -> Iterator[Deployed]:
    """An environment with these revisions, the first of which serves."""
    with deployed(tmp_path, with_candidates=False) as found:
        found.key = real.key
        found.run.job = lambda _image: run_module(real.data, "common.database.migrations", "upgrade")
        for service in real.revisions[0]:
            found.run.forget(service)
        for revision in real.revisions:
            for service, url in revision.items():
                found.run.add_revision(service, url=url)
        yield found


def worse_at_half(cloud: Deployed, revision: str) -> None:
    """Figures as of a revision of health that fails as soon as half of the requests are its own."""
    is_bad = revision == f"{HEALTH}-{NEW}" and cloud.serving()[HEALTH].get(NEW) == 50
    cloud.monitoring.figures[revision] = Figures(server_errors=100) if is_bad else Figures()


def test_no_request_fails_while_revisions_are_promoted_and_taken_back(cloud: Deployed) -> None:
    url_of = cloud.run.url_of
    with (
        TrafficSplitter(lambda: cloud.run.serving(QUERY), url_of) as query,
        TrafficSplitter(lambda: cloud.run.serving(HEALTH), url_of) as health,
    ):

        def measure(revision: str) -> None:
            splitter = query if revision.startswith(QUERY) else health
            cloud.monitoring.figures[revision] = splitter.figures(revision)

        cloud.monitoring.on_read = measure
        load = Load(health=health.url, query=query.url, key=cloud.key)
        with load.going_on():
            promoted = cloud.deploy("promote", *WATCHED, "--golden", str(ROOT / "infra" / "deploy" / "golden.jsonl"))
            shares = cloud.serving()
            before = health.requests()
            rolled_back = cloud.deploy("rollback")
            servers.wait_for(lambda: health.requests()[f"{HEALTH}-{OLD}"] > before[f"{HEALTH}-{OLD}"] + 50, "requests")
            cloud.monitoring.on_read = lambda revision: worse_at_half(cloud, revision)
            failed = cloud.deploy("promote", *WATCHED, "--golden", str(ROOT / "infra" / "deploy" / "golden.jsonl"))
            before = health.requests()
            servers.wait_for(lambda: health.requests()[f"{HEALTH}-{OLD}"] > before[f"{HEALTH}-{OLD}"] + 50, "requests")
    print(f"{load.statuses} {health.requests()} {query.requests()}")
    assert promoted.code == 0, promoted.said
    assert "Golden questions: 5 of 5 answered as they should be." in promoted.said
    assert "Migrations: done." in promoted.said
    assert (shares[QUERY], shares[HEALTH]) == ({NEW: 100}, {NEW: 100})
    assert rolled_back.code == 0, rolled_back.said
    assert failed.code == 1, failed.said
    assert "FAILED: health: 50.0 % of 200 requests failed" in failed.said
    assert (cloud.serving()[QUERY], cloud.serving()[HEALTH]) == ({OLD: 100}, {OLD: 100})
    assert load.failures == []
    assert load.statuses.keys() == {200}
    for splitter, service in ((query, QUERY), (health, HEALTH)):
        assert min(splitter.requests()[f"{service}-{number}"] for number in (OLD, NEW)) > 0


def test_a_real_revision_that_does_not_find_the_documents_is_not_promoted(cloud: Deployed, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    cloud.key = new_key(empty, role="analyst")
    with ExitStack() as stack:
        for service, url in started(stack, empty).items():
            cloud.run.add_revision(service, url=url)
        ended = cloud.deploy("promote", *WATCHED, "--golden", str(ROOT / "infra" / "deploy" / "golden.jsonl"))
    assert ended.code == 1, ended.said
    assert 'golden question "What is the supervisory loan-to-value limit for raw land?": ' in ended.said
    assert cloud.serving()[QUERY] == {OLD: 100}
