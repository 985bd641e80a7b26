"""infra/docker/compose.yaml: the product as functions.json, the settings and the rest of infra have it, contained."""

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import SETTINGS, Secret
from infra.docker.generate import is_small, service, written
from infra.nginx.switch import Nginx
from local.catalogue import load_catalogue
from tests import servers
from tests.certificates import make_certificate
from tests.compositions import FOLDER, ROOT, composition, environment_of, mounts_of, secrets_of, started

FUNCTIONS = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
COMPOSED = composition("full")
FULL = started(COMPOSED, "full")
SMALL = started(COMPOSED, "small")
FROM_FILES = {path.name for path in (FOLDER / "generated").iterdir()}


def _running(services: dict[str, Any]) -> dict[str, Any]:
    """Those that go on: not the migration, which ends."""
    return {name: one for name, one in services.items() if one["restart"] != "no"}


def test_compose_accepts_it() -> None:
    checker = ROOT / ".venv-audit" / "bin" / "check-jsonschema"
    if not checker.exists():
        servers.missing("check-jsonschema (make audit)")
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", str(FOLDER / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_profile_that_was_not_chosen_is_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"COMPOSE_PROFILES: must be small or full, in \.env"):
        composition("")


@pytest.mark.parametrize("listed", FUNCTIONS, ids=lambda one: one["name"])
def test_a_function_runs_as_it_is_listed(listed: dict[str, Any]) -> None:
    one = FULL[listed["name"].replace("_", "-")]
    arguments = {"FUNCTION_TARGET": listed["entry_point"], "FUNCTION_SOURCE": listed["source"]}
    assert one["build"]["args"] == arguments
    assert one["mem_limit"] == f"{listed['memory_mb']}m"
    assert one["cpus"] == listed.get("cpu", 1)
    assert one["environment"]["THREADS"] == str(max(4, listed.get("concurrency", 1)))  # as infra/terraform has it


def test_every_function_is_there_and_the_small_profile_has_all_that_need_nothing_of_googles() -> None:
    built = {name for name, one in FULL.items() if one.get("build", {}).get("target") == "function"}
    assert built == {service(entry) for entry in load_catalogue()}
    assert {name for name in SMALL if name in built} == {service(one) for one in load_catalogue() if is_small(one)}


def test_the_full_profile_is_the_whole_product() -> None:
    parts = {"nginx", "postgresql", "redis", "chroma", "prometheus", "pushgateway", "alertmanager", "grafana", "jaeger"}
    assert parts | {"migrate", "scheduler"} <= FULL.keys()
    assert SMALL.keys() < FULL.keys()


def test_what_is_generated_is_what_the_lists_say() -> None:
    made = written(load_catalogue())
    assert {path.name for path in made} == FROM_FILES
    for path, text in made.items():
        assert path.read_text() == text, f"{path.name}: python -m infra.docker.generate"


@pytest.mark.parametrize(("profile", "services"), [("small", SMALL), ("full", FULL)])
def test_nginx_knows_every_function_that_is_started_and_no_host_that_is_not(profile: str, services: Any) -> None:
    text = (FOLDER / "generated" / f"upstreams-{profile}.conf").read_text()
    hosts = set(re.findall(r"server ([^:]+):", text))
    assert hosts <= services.keys() | {"127.0.0.1"}
    assert len(re.findall(r"^upstream ", text, re.MULTILINE)) == len(FUNCTIONS)


# Contained


@pytest.mark.parametrize("name", COMPOSED["services"])
def test_no_service_may_more_than_it_must(name: str) -> None:
    one = COMPOSED["services"][name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert "cap_add" not in one
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in one
    assert re.fullmatch(r"\d+m", one["mem_limit"])


@pytest.mark.parametrize("name", COMPOSED["services"])
def test_every_image_is_an_exact_one(name: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+(\.\d+)?(-alpine)?", COMPOSED["services"][name]["image"])


@pytest.mark.parametrize("name", _running(FULL))
def test_every_service_starts_again_and_says_whether_it_is_well(name: str) -> None:
    one = FULL[name]
    assert one["restart"] == "unless-stopped"
    of_the_image = one.get("build", {}).get("target") == "function"
    assert of_the_image or one["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_nginx_alone_is_reached_from_other_machines() -> None:
    published = {name: port for name, one in FULL.items() for port in one.get("ports", ())}
    assert published.pop("nginx") == "443:443"
    assert all(port.startswith("127.0.0.1:") for port in published.values())
    assert published.keys() == {"prometheus", "alertmanager", "grafana", "jaeger"}


def test_what_holds_data_is_reached_by_functions_alone_and_reaches_nothing_outside() -> None:
    assert COMPOSED["networks"]["stores"]["internal"] is True
    assert {name for name, one in FULL.items() if one.get("networks") == ["stores"]} == {
        "postgresql", "chroma", "redis", "migrate",
    }  # fmt: skip
    assert all("stores" not in FULL[name]["networks"] for name in ("nginx", "prometheus", "grafana", "scheduler"))


def test_a_function_is_asked_only_after_the_migration() -> None:
    for entry in load_catalogue():
        one = FULL[service(entry)]
        assert one["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert one["environment"]["MIGRATE_ON_START"] == "false"


def test_all_services_that_are_waited_for_are_started() -> None:
    for services in (SMALL, FULL):
        for one in services.values():
            needed = {name for name, how in one.get("depends_on", {}).items() if how.get("required", True)}
            assert needed <= services.keys()


# Settings and secrets


@pytest.mark.parametrize("profile", ["small", "full"])
def test_what_functions_are_told_are_settings_and_none_is_secret(profile: str) -> None:
    services = started(composition(profile), profile)
    own = {"THREADS", "COMPOSE_PROFILES", "REVISION", "HTTPS_PORT"}  # of the framework, and of compose itself
    for entry in filter(is_small, load_catalogue()):
        given = environment_of(services[service(entry)])
        settings = {name.lower() for name in given.keys() - own}
        assert settings <= SETTINGS.keys()
        secret = {name for name in settings if SETTINGS[name].kind is Secret}
        assert {name: given[name.upper()] for name in secret} in ({}, {"redis_url": "redis://redis:6379/0"})


def test_secrets_are_files_named_by_their_setting() -> None:
    for entry in load_catalogue():
        places = secrets_of(FULL[service(entry)])
        assert places.pop("key_encryption_key") == FULL[service(entry)]["environment"]["KEY_FILE"]
        assert {Path(place).name for place in places.values()} <= SETTINGS.keys()
        assert {Path(place).parent for place in places.values()} == {Path("/run/secrets")}
    assert secrets_of(FULL["scheduler"]) == {"scheduler_key": "/run/secrets/api_key"}


def test_no_secret_stands_in_the_file() -> None:
    assert all(one.keys() == {"file"} for one in COMPOSED["secrets"].values())
    for one in COMPOSED["services"].values():
        for name, value in one.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|SECRET|_KEY$", name) and value not in {"true", "false"}:
                assert value.startswith("/run/secrets/"), name


# What is mounted


def test_every_file_that_is_mounted_is_there() -> None:
    for profile in ("small", "full"):
        for one in started(composition(profile), profile).values():
            assert [str(source) for source, _ in mounts_of(one) if not source.exists()] == []


def _container(tmp_path: Path, name: str) -> Path:
    """A folder with the files that the service sees, at its own paths below it."""
    for source, target in mounts_of(FULL[name]):
        copy = tmp_path / target.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    for place in secrets_of(FULL[name]).values():
        file = tmp_path / place.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("secret")
    return tmp_path


def test_prometheus_takes_its_configuration_and_finds_every_function(tmp_path: Path) -> None:
    etc = _container(tmp_path, "prometheus") / "etc" / "prometheus"
    done = subprocess.run(
        [servers.promtool(), "check", "config", str(etc / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = (etc / "prometheus.yml").read_text()
    assert set(re.findall(r"'([a-z0-9.]+):\d+'", text)) == {"alertmanager", "pushgateway"}
    targets = yaml.safe_load((etc / "targets" / "functions.yml").read_text())
    told = {one["targets"][0].partition(":")[0]: one["labels"]["function"] for one in targets}
    assert told == {service(entry): entry.name for entry in load_catalogue()}
    assert all("watching" in FULL[name]["networks"] for name in told)


def test_alertmanager_takes_its_configuration(tmp_path: Path) -> None:
    config = _container(tmp_path, "alertmanager") / "etc" / "alertmanager" / "alertmanager.yml"
    done = subprocess.run([servers.amtool(), "check-config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_finds_prometheus_the_dashboards_and_jaeger(tmp_path: Path) -> None:
    provisioning = _container(tmp_path, "grafana") / "etc" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "127.0.0.1:16686" in source["jsonData"]["exemplarTraceIdDestinations"][0]["url"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "assistant.yml").read_text())["providers"]
    assert list((tmp_path / provider["options"]["path"].lstrip("/")).glob("*.json"))


@pytest.mark.parametrize("profile", ["small", "full"])
def test_nginx_takes_its_configuration(profile: str, tmp_path: Path) -> None:
    one = started(composition(profile), profile)["nginx"]
    etc = tmp_path / "etc" / "loancheck"
    for source, target in mounts_of(one):
        copy = tmp_path / target.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    server, upstreams = etc / "site" / "server.conf", etc / "site" / "upstreams.conf"
    certificate = str(make_certificate(tmp_path))
    asked_for = set(re.findall(r"/etc/loancheck/tls/\w+\.pem", server.read_text()))
    assert asked_for == set(secrets_of(one).values())
    server.write_text(
        re.sub(r"/etc/loancheck/tls/\w+\.pem", certificate, server.read_text())
        .replace(" 443 ", " 8443 ")
        .replace("]:443 ", "]:8443 ")
    )
    upstreams.write_text(re.sub(r"server [a-z-]+:8080", "server 127.0.0.1:8080", upstreams.read_text()))
    state = tmp_path / "state"
    state.mkdir()
    command = Nginx(binary=servers.nginx_binary(), config=etc / "nginx.conf", state=state).command("-t")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# secrets.sh


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder that secrets.sh has filled."""
    script = tmp_path / "secrets.sh"
    shutil.copy(FOLDER / "secrets.sh", script)
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
    if "must be run as root" in done.stderr:
        pytest.skip("secrets.sh must be run as root")
    assert done.returncode == 0, done.stderr
    return tmp_path / "secrets"


def test_every_secret_but_those_of_tls_is_made(secrets: Path) -> None:
    named = {Path(one["file"]).name for one in COMPOSED["secrets"].values()}
    assert {path.name for path in secrets.iterdir()} == named - {"fullchain.pem", "privkey.pem"}


def test_the_folder_is_its_owners_and_the_key_the_functions_users(secrets: Path) -> None:
    key = (secrets / "key-encryption-key").stat()
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert (key.st_mode & 0o777, key.st_uid, key.st_size) == (0o400, 10001, 32)
    assert all(
        (path.stat().st_mode & 0o444) == 0o444 for path in secrets.iterdir() if path.name != "key-encryption-key"
    )


def test_what_is_there_stays_as_it_is(secrets: Path) -> None:
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    password = before["postgres_password"].decode()
    assert f":{password}@postgresql:5432/" in before["database_url"].decode()
    (secrets / "gemini_api_key").write_text("mine")
    subprocess.run(["sh", str(secrets.parent / "secrets.sh")], check=True)
    after = {path.name: path.read_bytes() for path in secrets.iterdir()}
    assert after == before | {"gemini_api_key": b"mine"}


# start.sh and live.py


def _start(tmp_path: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": "/usr/bin:/bin", "SECRETS_DIR": str(tmp_path)}
    return subprocess.run(
        ["sh", str(FOLDER / "start.sh"), *command], env=env, capture_output=True, text=True, check=False
    )


def test_a_secrets_file_is_a_setting_and_other_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "gemini_api_key").write_text("k 'e\"y$1\n")
    (tmp_path / "key-encryption-key").write_bytes(bytes(range(32)))
    code = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if 'key' in k}))"
    done = _start(tmp_path, sys.executable, "-c", code)
    assert json.loads(done.stdout) == {"gemini_api_key": "k 'e\"y$1"}


def test_without_secrets_the_command_runs_all_the_same(tmp_path: Path) -> None:
    assert _start(tmp_path, "echo", "it runs").stdout == "it runs\n"


def test_a_secret_that_cannot_be_read_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "smtp_url").mkdir()
    done = _start(tmp_path, "echo", "it runs")
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert "smtp_url" in done.stderr


@pytest.mark.parametrize(("line", "code"), [("HTTP/1.1 200 OK", 0), ("HTTP/1.1 503 Service Unavailable", 1)])
def test_the_health_check_says_what_live_says(line: str, code: int, tmp_path: Path) -> None:
    with socket.create_server((servers.LOOPBACK, 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                assert connection.recv(1000).startswith(b"GET /live HTTP/1.0\r\n")
                connection.sendall(line.encode() + b"\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        env = {"PORT": str(listening.getsockname()[1])}
        done = subprocess.run([sys.executable, "-IS", str(FOLDER / "live.py")], env=env, check=False)
        thread.join()
    assert done.returncode == code


def test_a_function_that_is_not_there_is_not_well() -> None:
    env = {"PORT": str(servers.free_port())}
    assert subprocess.run([sys.executable, "-IS", str(FOLDER / "live.py")], env=env, check=False).returncode == 1
