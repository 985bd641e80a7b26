"""What a pod's description relies on, held against what is really there: routes, gunicorn, the key file."""

import importlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import flask
import gunicorn.config  # type: ignore[import-untyped]  # it has no types
import pytest

from common.security.key_encryption import FileKey
from infra.kubernetes.generate import FOLDER
from infra.kubernetes.listed import ListedFunction, load_functions
from infra.kubernetes.pods import take_key
from infra.kubernetes.workloads import GUNICORN_SECONDS
from tests import servers
from tests.unit.infra.kubernetes.rendered import APPLIED, containers, named, pods

FUNCTIONS = load_functions()
HANDED_OVER = "/handed-over"
LOADED = """
import json
from common.settings import SETTINGS, Secret, settings
found = {name: getattr(settings(), name) for name, one in SETTINGS.items() if one.kind is Secret}
print(json.dumps({name: value.get_secret_value() for name, value in found.items() if value is not None}))
"""


def asked(function: ListedFunction, path: str) -> int:
    """The status that the real function answers with."""
    serve = getattr(importlib.import_module(".".join(function.source.with_suffix("").parts)), function.entry_point)
    with flask.Flask("probe").test_request_context(path, environ_base={"REMOTE_ADDR": "10.0.0.1"}):
        response: flask.Response = serve(flask.request)
        return response.status_code


@pytest.mark.keys
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_function_answers_the_probes_of_its_pods_without_a_key(function: ListedFunction) -> None:
    asked_for = set()
    for applied in APPLIED:
        for owner, _, pod in pods(applied):
            if owner.split()[1] == function.dns_name and "ports" in pod["containers"][0]:
                found = {name: probe for name, probe in pod["containers"][0].items() if name.endswith("Probe")}
                assert found.keys() >= {"readinessProbe", "livenessProbe"}
                asked_for |= {probe["httpGet"]["path"] for probe in found.values()}
    assert {path: asked(function, path) for path in asked_for} == {"/live": 200}


@pytest.mark.keys
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_metrics_are_where_prometheus_looks_and_need_its_key(function: ListedFunction) -> None:
    (monitor,) = named("overlays/prod", "PodMonitor").values()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert asked(function, endpoint["path"]) == 401


@pytest.mark.keys
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_route_without_a_rewrite_of_its_path_leads_to_the_description(function: ListedFunction) -> None:
    route = named("overlays/prod", "HTTPRoute").get(function.dns_name)
    if route is not None:
        (path,) = (
            one["urlRewrite"]["path"]["replaceFullPath"]
            for rule in route["spec"]["rules"]
            for one in rule.get("filters", [])
        )
        assert asked(function, path) == 200


def test_gunicorn_waits_for_requests_as_long_as_pods_are_said_to() -> None:
    assert gunicorn.config.GracefulTimeout.default == GUNICORN_SECONDS


# The key file


def run_take_key(folder: Path, key_file: str) -> subprocess.CompletedProcess[str]:
    """The container's own command, in a folder in place of the container's root."""
    (shell, flags, command) = take_key("query")["command"]
    command = command.replace(HANDED_OVER, str(folder / "handed-over"))
    env = {"PATH": os.environ["PATH"], "KEY_FILE": key_file}
    return subprocess.run([shell, flags, command], env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def handed_over(tmp_path: Path) -> Path:
    """A key as Kubernetes mounts it: readable for all."""
    (tmp_path / "handed-over").mkdir()
    file = tmp_path / "handed-over" / "key"
    file.write_bytes(bytes(range(32)))
    file.chmod(0o444)
    return file


def test_the_key_that_is_handed_over_becomes_a_file_that_the_product_takes(handed_over: Path, tmp_path: Path) -> None:
    for _ in range(2):  # a container may start again
        assert run_take_key(tmp_path, str(tmp_path / "key")).returncode == 0
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o400
    assert (tmp_path / "key").read_bytes() == handed_over.read_bytes()
    assert FileKey.at(tmp_path / "key", made_where_missing=False).name.startswith("file:")


def test_without_a_key_file_nothing_is_taken_for_cloud_kms_has_the_key(tmp_path: Path) -> None:
    assert run_take_key(tmp_path, "").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_missing_stops_the_pod_and_is_named(tmp_path: Path) -> None:
    done = run_take_key(tmp_path, str(tmp_path / "key"))
    assert done.returncode != 0
    assert "handed-over/key" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# The schema


def run_migrations(folder: Path) -> None:
    command = [sys.executable, "-m", "common.database.migrations", "upgrade"]
    subprocess.run(command, cwd=folder, env=of_pod(folder), capture_output=True, check=True)


def of_pod(folder: Path, **settings: str) -> dict[str, str]:
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FOLDER.parents[1]), "DATA_DIR": str(folder)}
    return {**given, "MIGRATE_ON_START": "false", **settings}


def await_schema() -> list[str]:
    """The init container's own command."""
    pod = next(spec for owner, _, spec in pods("overlays/prod") if owner == "Deployment query")
    (arguments,) = (container["args"] for container in pod["initContainers"] if container["name"] == "await-schema")
    return [sys.executable, *arguments[1:]]


def test_a_pod_waits_for_the_migration_and_starts_when_it_is_done(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        waiting = subprocess.Popen(await_schema(), cwd=tmp_path, env=of_pod(tmp_path), stderr=log)
    try:
        servers.wait_for(lambda: b"DatabaseBehind: " in (tmp_path / "log").read_bytes(), "it says what it waits for")
        assert waiting.poll() is None
        run_migrations(tmp_path)
        assert waiting.wait(servers.START_SECONDS) == 0
    finally:
        waiting.kill()
        waiting.wait()
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_a_pod_does_not_wait_for_a_database_that_cannot_be(tmp_path: Path) -> None:
    settings = of_pod(tmp_path, DATABASE_URL="mysql://localhost/loans")
    done = subprocess.run(await_schema(), cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("DATABASE_URL: must begin with")


# The image


def test_secrets_that_are_mounted_are_settings_of_what_the_image_starts(tmp_path: Path) -> None:
    """In a folder as Kubernetes makes it: files are links through a folder that is swapped when a secret changes."""
    pod = next(spec for owner, _, spec in pods("overlays/prod") if owner == "Deployment query")
    (sources,) = (volume["projected"]["sources"] for volume in pod["volumes"] if volume["name"] == "secrets")
    paths = [item["path"] for source in sources for item in source["secret"]["items"]]
    (tmp_path / "..1").mkdir()
    (tmp_path / "..data").symlink_to("..1")
    for path in paths:
        (tmp_path / "..1" / path).write_text(f"of {path}")
        (tmp_path / path).symlink_to(f"..data/{path}")
    command = ["sh", str(FOLDER.parent / "docker" / "start.sh"), sys.executable, "-c", LOADED]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FOLDER.parents[1]), "SECRETS_DIR": str(tmp_path)}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {path: f"of {path}" for path in paths}


def test_pods_start_what_the_image_has() -> None:
    """Arguments alone, so that the image's entry point still reads the secrets; what it is given is on its path."""
    dockerfile = FOLDER.parent / "docker" / "Dockerfile"
    text = dockerfile.read_text()
    assert "USER 10001:10001" in text
    assert 'ENTRYPOINT ["/opt/loancheck/start.sh"]' in text
    assert "SECRETS_DIR" in (dockerfile.parent / "start.sh").read_text()
    for applied in APPLIED:
        for owner, labels, pod in pods(applied):
            for container in containers(pod):
                if labels["app.kubernetes.io/component"] in {"function", "migrate"} and container["name"] != "take-key":
                    assert "command" not in container, owner
