"""compose.yaml's full profile without containers: its processes, started as it says, with its settings and secrets.

Hosts and ports are this machine's, paths in images those of the checkout. All else is compose's own; and packages that
an image leaves out cannot be imported.
"""

import json
import re
import shutil
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.docker.generate import service
from infra.docker.leave_out import left_out
from infra.docker.schedule import call, scheduled
from local.catalogue import load_catalogue
from tests import servers
from tests.certificates import make_certificate
from tests.compositions import FOLDER, ROOT, composition, environment_of, mounts_of, secrets_of, started
from tests.trace_servers import OtlpHttp

pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.keys, pytest.mark.timeout(600)]

COMPOSED = composition("full")
SERVICES = started(COMPOSED, "full")
LISTED = (ROOT / "functions" / "functions.json").read_text()
FUNCTIONS = {one["name"]: one for one in json.loads(LISTED)["functions"]}
LEFT_OUT = """
import sys

class LeftOut:
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            raise ModuleNotFoundError(f"{{name}}: left out of the image", name=name)

sys.meta_path.insert(0, LeftOut())
"""
QUESTION = {"message": "What is the supervisory loan-to-value limit for raw land?"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where things are that compose.yaml names by their hosts and paths."""

    folder: Path
    hosts: Mapping[str, str]

    def here(self, text: str) -> str:
        """`text` of the composition, with the hosts and paths of this machine."""
        for there, replacement in self.hosts.items():
            text = re.sub(rf"\b{re.escape(there)}\b", replacement, text)
        paths = {"/opt/loancheck": str(FOLDER), "/run/keys": str(self.folder / "secrets")}
        for there, replacement in paths.items():
            text = text.replace(there, replacement)
        return text

    def environment(self, one: Mapping[str, Any]) -> dict[str, str]:
        """That of the service's process before start.sh, which adds the secrets."""
        given = {name: self.here(value) for name, value in environment_of(dict(one)).items()}
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        given |= {
            "PATH": path,
            "HOST": servers.LOOPBACK,
            "SECRETS_DIR": str(self._secrets(one)),
            "PYTHONPATH": str(ROOT),
        }
        return given | {"DATA_DIR": str(self.folder / "data")}

    def without_left_out(self, function: str | None) -> Path:
        """A folder for PYTHONPATH that hides what the function's image, or that of the command line, does not have."""
        lists = tomllib.loads((FOLDER / "left_out.toml").read_text())
        packages = set(left_out(lists, None if function is None else FUNCTIONS[function]))
        modules = {module for module, of in packages_distributions().items() if set(of) <= packages}
        modules |= {"google.cloud.bigquery"} if "google-cloud-bigquery" in packages else set()
        folder = self.folder / f"without-{function}"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(LEFT_OUT.format(names=sorted(modules)))
        return folder

    def run(self, one: Mapping[str, Any], *arguments: str) -> str:
        """What the service's command says to `arguments`."""
        command = [self.here(word) for word in one.get("entrypoint", ["/opt/loancheck/start.sh", "loancheck"])]
        done = subprocess.run(
            ["sh", *command, *arguments],
            cwd=ROOT,
            env=self.environment(one),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _secrets(self, one: Mapping[str, Any]) -> Path:
        """A folder as /run/secrets is in the service's container."""
        folder = self.folder / "run" / str(abs(hash(str(one))))
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in secrets_of(dict(one)).items():
            if Path(target).parent == Path("/run/secrets"):
                file = self.folder / "secrets" / Path(COMPOSED["secrets"][source]["file"]).name
                (folder / Path(target).name).write_text(self.here(file.read_text()))
        return folder


@pytest.fixture(scope="module")
def traces() -> Iterator[OtlpHttp]:
    with OtlpHttp() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, traces: OtlpHttp) -> Iterator[Machine]:
    """PostgreSQL, Chroma, Redis and a receiver of traces run, and secrets.sh has made the secrets."""
    folder = tmp_path_factory.mktemp("composition")
    (folder / "data").mkdir()
    shutil.copy(FOLDER / "secrets.sh", folder)
    made = subprocess.run(["sh", str(folder / "secrets.sh")], capture_output=True, text=True, check=False)
    if "must be run as root" in made.stderr:
        pytest.skip("secrets.sh must be run as root")
    with servers.postgresql() as postgresql, servers.chroma() as chroma, servers.redis() as redis:
        postgresql.execute("CREATE ROLE loancheck LOGIN")
        postgresql.execute("CREATE DATABASE loancheck OWNER loancheck")
        yield Machine(
            folder=folder,
            hosts={
                "postgresql:5432": f"{servers.LOOPBACK}:{postgresql.port}",
                "chroma:8000": chroma.removeprefix("http://"),
                "redis:6379/0": redis.removeprefix("redis://"),
                "jaeger:4318": traces.url.removeprefix("http://").partition("/")[0],
            },
        )


@pytest.fixture(scope="module")
def ports(machine: Machine) -> Iterator[dict[str, int]]:
    """Where each function listens, by its service, the database being migrated before."""
    assert machine.run(SERVICES["migrate"]).count("\n") == 1
    with ExitStack() as stack, ThreadPoolExecutor(len(SERVICES)) as threads:
        functions = [name for name, one in SERVICES.items() if one.get("build", {}).get("target") == "function"]
        contexts = [_function(machine, name) for name in functions]
        yield dict(zip(functions, threads.map(stack.enter_context, contexts), strict=True))


@pytest.fixture(scope="module")
def client(machine: Machine, ports: dict[str, int]) -> Iterator[httpx.Client]:
    """Of nginx, over TLS."""
    config, certificate = machine.folder / "etc", make_certificate(machine.folder)
    for source, target in mounts_of(SERVICES["nginx"]):
        copy = config / Path(target).relative_to("/etc/loancheck")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    port = servers.free_port()
    server, upstreams = config / "site" / "server.conf", config / "site" / "upstreams.conf"
    text = re.sub(r"/etc/loancheck/tls/\w+\.pem", str(certificate), server.read_text())
    text = text.replace("[::]:443", f"[::1]:{port}").replace("listen 443", f"listen {servers.LOOPBACK}:{port}")
    server.write_text(text.replace("/dev/stdout", "access.log"))
    upstreams.write_text(
        re.sub(r"server ([a-z-]+):8080", lambda one: f"server 127.0.0.1:{ports[one[1]]}", upstreams.read_text())
    )
    trust = ssl.create_default_context(cafile=certificate)
    with (
        servers.nginx(config / "nginx.conf", port),
        httpx.Client(base_url=f"https://{servers.LOOPBACK}:{port}", verify=trust, timeout=60) as client,
    ):
        yield client


def _key(machine: Machine, role: str, *more: str) -> str:
    return machine.run(COMPOSED["services"]["loancheck"], "keys", "create", "--role", role, *more).splitlines()[-1]


@contextmanager
def _function(machine: Machine, name: str) -> Iterator[int]:
    one, port = SERVICES[name], servers.free_port()
    arguments = one["build"]["args"]
    env = machine.environment(one) | {"PORT": str(port), "FUNCTION_TARGET": arguments["FUNCTION_TARGET"]}
    env |= {"FUNCTION_SOURCE": str(ROOT / arguments["FUNCTION_SOURCE"])}
    env["PYTHONPATH"] = str(machine.without_left_out(name.replace("-", "_")))  # main.py finds our own
    command = ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in env.items())]
    with servers.running(
        [*command, "sh", str(FOLDER / "start.sh"), "functions-framework"],
        is_ready=lambda: servers.answers(f"http://{servers.LOOPBACK}:{port}/live"),
        log=machine.folder / f"{name}.log",
    ):
        yield port


def test_a_question_is_answered_with_its_source_through_nginx(
    client: httpx.Client, machine: Machine, traces: OtlpHttp
) -> None:
    ingested = machine.run(COMPOSED["services"]["loancheck"], "ingest", str(ROOT / "knowledge"))
    assert "documents" in ingested
    assert client.post("/api/query", json=QUESTION).status_code == 401
    answer = client.post("/api/query", json=QUESTION, headers={"X-API-Key": _key(machine, "analyst")})
    assert answer.status_code == 200, answer.text
    assert "65%" in answer.json()["answer"]
    assert answer.json()["citations"][0]["source"]
    assert answer.json()["degraded"] == []
    trace = answer.json()["trace_id"]
    servers.wait_for(lambda: [span for span in traces.spans if span.trace_id == trace], "the question's trace")


def test_all_is_well_by_what_health_says(client: httpx.Client) -> None:
    # A machine with much to do may be too slow for the checks' time limit once.
    servers.wait_for(lambda: client.get("/health").json()["status"] == "healthy", "a healthy product")


def test_a_document_is_taken_and_the_costs_are_told(client: httpx.Client, machine: Machine) -> None:
    key = {"X-API-Key": _key(machine, "admin")}
    document = {"id": "land", "title": "Land loans", "text": "We lend up to 60% on raw land in Testshire."}
    taken = client.post("/api/documents", json={"documents": [document]}, headers=key)
    assert (taken.status_code, taken.json()["documents"]) == (200, 1), taken.text
    report = client.get("/api/cost-report?period=30d", headers=key)
    assert report.status_code == 200, report.text


def test_functions_stand_behind_one_proxy_and_limits_in_redis(client: httpx.Client, machine: Machine) -> None:
    detailed = client.get("/health/detailed", headers={"X-API-Key": _key(machine, "service")})
    assert "redis" in detailed.text


def test_what_is_due_is_called_with_a_key(ports: dict[str, int], machine: Machine) -> None:
    key = _key(machine, "service", "--scope", "events:receive")
    due = scheduled(LISTED)
    assert due
    for one in due:
        waits: list[float] = []
        url = f"http://{servers.LOOPBACK}:{ports[one.function.replace('_', '-')]}"
        assert call(one, url, key, waits.append)
        assert waits == [], one.function


def test_prometheus_reads_the_metrics_of_every_function(
    ports: dict[str, int], machine: Machine, tmp_path: Path
) -> None:
    for source, target in mounts_of(SERVICES["prometheus"]):
        copy = tmp_path / Path(target).relative_to("/etc/prometheus")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    targets = tmp_path / "targets" / "functions.yml"
    targets.write_text(re.sub(r'"([a-z-]+):8080"', lambda one: f'"127.0.0.1:{ports[one[1]]}"', targets.read_text()))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "metrics_token").write_text(_key(machine, "service", "--scope", "metrics:read"))
    config = (
        (tmp_path / "prometheus.yml")
        .read_text()
        .replace(": 15s", ": 1s")
        .replace("scrape_timeout: 5s", "scrape_timeout: 1s")
    )
    wanted = {(entry.name, 1.0) for entry in load_catalogue()}
    with servers.prometheus(config, tmp_path) as url:
        expression = 'up{job="loan-collateral-check"}'
        servers.wait_for(
            lambda: {(labels["function"], up) for labels, up in servers.query_prometheus(url, expression)} == wanted,
            "all functions scraped",
        )
    assert {service(entry) for entry in load_catalogue()} == ports.keys()
