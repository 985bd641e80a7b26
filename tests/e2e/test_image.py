"""The images of infra/docker, built and run. Minutes long, so that `make image-test` asks for it: IMAGE_TESTS=1."""

import json
import os
import secrets
import statistics
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.docker.leave_out import left_out
from tests import servers
from tests.compositions import FOLDER
from tests.containers import Container, Store, can_build, copied_context
from tests.emulators import ROOT, environment
from tests.performance.cold_start import ANSWER, HELLO, QUESTION

pytestmark = [
    pytest.mark.skipif(os.environ.get("IMAGE_TESTS") != "1", reason="images take minutes: make image-test"),
    pytest.mark.slow,
    pytest.mark.servers,
    pytest.mark.timeout(3600),
]

FUNCTIONS = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
USER = 10001
MOST_MB = 700
MOST_SECONDS_TO_STOP = 10
MOST_OF_OUTSIDE = (
    1.5  # whose figures tests/performance/cold_start.py has; here the container's file system comes on top
)
ROUNDS = 7
# What must not get into an image, in the folder that it is built of.
CANARY = "nobody-ships-this-line"
CANARIES = (
    ".env",
    "common/.env",
    "functions/query/.secret",
    "keys/key-encryption-key",
    "tests/test_canary.py",
    "infra/docker/secrets/database_url",
    "infra/terraform/prod.tfvars",
    "database/loan_collateral.db",
)


@pytest.fixture(scope="module")
def store() -> Store:
    if not can_build():
        servers.missing("buildah, podman and runc, as root")
    return Store.prepared()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copied_context(tmp_path_factory.mktemp("context"))
    for name in CANARIES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(CANARY)
    return folder


def _arguments(one: dict[str, Any]) -> list[str]:
    return ["--build-arg", f"FUNCTION_TARGET={one['entry_point']}", "--build-arg", f"FUNCTION_SOURCE={one['source']}"]


def _tag(name: str) -> str:
    return f"loancheck/{name.replace('_', '-')}:test"


@pytest.fixture(scope="module")
def images(store: Store, context: Path) -> dict[str, str]:
    """The tag of each function's image, by the function's name; `loancheck` is the command line."""
    for one in FUNCTIONS:
        store.build(context, _tag(one["name"]), "--layers", *_arguments(one))
    store.build(context, _tag("loancheck"), "--layers", "--target", "loancheck")
    return {name: _tag(name) for name in [*(one["name"] for one in FUNCTIONS), "loancheck"]}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a container that has state of its own: DATA_DIR on a volume, and the key that seals what is in it."""
    folder = tmp_path_factory.mktemp("installation")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    (folder / "data").mkdir()
    (folder / "key").write_bytes(secrets.token_bytes(32))
    (folder / "key").chmod(0o400)
    for path in (folder / "data", folder / "key"):
        os.chown(path, USER, USER)
    return ["--volume", f"{folder / 'data'}:/data", "--volume", f"{folder / 'key'}:/run/keys/key:ro",
            "--env", "KEY_FILE=/run/keys/key"]  # fmt: skip


@pytest.fixture(scope="module")
def migrated(store: Store, images: dict[str, str], installation: list[str]) -> list[str]:
    """The same, its database migrated as a deploy does it: by a function's own image."""
    said = store.run_once(
        images["retention"], "python", "-m", "common.database.migrations", "upgrade", options=installation
    )
    assert said.count("\n") == 1
    return installation


def _answer(container: Container) -> httpx.Response:
    def asked() -> httpx.Response | None:
        try:
            return httpx.get(f"{container.url}/live", timeout=30)
        except httpx.TransportError:
            return None

    answer = servers.wait_for(asked, f"an answer of {container.name}")
    assert answer is not None
    return answer


# What an image is


@pytest.mark.parametrize("name", [one["name"] for one in FUNCTIONS])
def test_an_image_is_small_and_says_what_it_is(name: str, store: Store, images: dict[str, str]) -> None:
    found = store.inspected(images[name])
    print(f"{name}: {found['Size'] / 1e6:.0f} MB")
    assert found["Size"] < MOST_MB * 1e6
    config = found["Config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert found["Healthcheck"]["Test"][0] == "CMD"


@pytest.mark.parametrize("name", [*(one["name"] for one in FUNCTIONS), "loancheck"])
def test_the_bill_of_materials_lists_what_is_installed_and_nothing_that_was_left_out(
    name: str, store: Store, images: dict[str, str]
) -> None:
    path = store.inspected(images[name])["Config"]["Labels"]["io.loancheck.sbom.path"]
    entrypoint = ["--entrypoint", "/bin/sh"]
    bill = json.loads(store.run_once(images[name], "-c", f"cat {path}", options=entrypoint))
    code = "import importlib.metadata as m; print(*{d.name.lower().replace('_', '-') for d in m.distributions()})"
    installed = set(store.run_once(images[name], "-c", f'python -c "{code}"', options=entrypoint).split())
    listed = {one["name"] for one in bill["components"]}
    one = next((one for one in FUNCTIONS if one["name"] == name), None)
    without = set(left_out(tomllib.loads((FOLDER / "left_out.toml").read_text()), one))
    assert {name.replace(".", "-") for name in installed} <= listed
    assert not without & (listed | installed)
    assert "all-MiniLM-L6-v2" in listed


@pytest.mark.parametrize("name", ["query", "loancheck"])
def test_nothing_gets_in_that_does_not_run(name: str, store: Store, images: dict[str, str]) -> None:
    command = (
        f"ls -A /app; grep -rl {CANARY} /app /data /opt; find / -xdev -name 'pip*' -path '*bin*' 2>/dev/null; true"
    )
    said = store.run_once(images[name], "-c", command, options=["--entrypoint", "/bin/sh"]).split()
    own = {"query": set(), "loancheck": {"local", "knowledge", "schedule.py", "__pycache__"}}[name]
    assert set(said) == {"LICENSE", "common", "functions", "requirements.txt"} | own


def test_a_function_that_is_not_listed_is_refused_by_the_arguments_name(store: Store, context: Path) -> None:
    one = {"entry_point": "query", "source": "functions/no_such/main.py"}
    done = store.build(context, "loancheck/refused:test", "--layers", *_arguments(one), check=False)
    assert done.returncode != 0
    assert "FUNCTION_SOURCE: must be one of functions/query/main.py" in done.stdout + done.stderr


def test_the_same_input_gives_the_same_layers(store: Store, images: dict[str, str], context: Path) -> None:
    health = next(one for one in FUNCTIONS if one["name"] == "health")
    store.build(context, "loancheck/health:again", "--layers", "--no-cache", *_arguments(health))
    first, second = store.inspected(images["health"]), store.inspected("loancheck/health:again")
    assert first["RootFS"]["Layers"] == second["RootFS"]["Layers"]


# How it runs


@pytest.mark.parametrize("name", [one["name"] for one in FUNCTIONS])
def test_a_function_lives_without_root_on_a_file_system_that_it_cannot_write_to(
    name: str, store: Store, images: dict[str, str], migrated: list[str]
) -> None:
    with store.running(images[name], options=migrated) as container:
        assert _answer(container).json()["status"] in {"alive", "live"}
        servers.wait_for(container.is_healthy, "a healthy container")
        assert container.run("id", "-u").strip() == str(USER)
        writable = container.run(
            "sh", "-c", "touch /app/new /opt/new 2>/dev/null; ls /app /opt; touch /tmp/new /data/new"
        )
        assert "new" not in writable.split()
        assert container.seconds_to_stop() < MOST_SECONDS_TO_STOP


def test_a_question_is_answered_with_its_source(store: Store, images: dict[str, str], migrated: list[str]) -> None:
    store.run_once(images["loancheck"], "ingest", "/app/knowledge", options=migrated)
    key = store.run_once(images["loancheck"], "keys", "create", "--role", "analyst", options=migrated).split()[-1]
    with store.running(images["query"], options=migrated) as container:
        _answer(container)
        assert httpx.post(f"{container.url}/api/query", json=QUESTION, timeout=60).status_code == 401
        answer = httpx.post(f"{container.url}/api/query", json=QUESTION, headers={"X-API-Key": key}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert ANSWER in answer.json()["answer"]
    assert answer.json()["citations"][0]["source"]


def test_costs_are_reported_with_what_the_image_has(store: Store, images: dict[str, str], migrated: list[str]) -> None:
    key = store.run_once(images["loancheck"], "keys", "create", "--role", "service", options=migrated).split()[-1]
    with store.running(images["cost_report"], options=migrated) as container:
        _answer(container)
        report = httpx.get(f"{container.url}/api/cost-report?period=30d", headers={"X-API-Key": key}, timeout=60)
    assert report.status_code == 200, report.text


def test_health_starts_within_the_figures_of_cold_starts(store: Store, images: dict[str, str], tmp_path: Path) -> None:
    """Compared with the same function outside, each in turn, by the median; and told of one that says hello
    in the same image, too."""
    (tmp_path / "main.py").write_text(HELLO)
    for parent in (tmp_path, *list(tmp_path.parents)[:2]):
        parent.chmod(0o755)
    hello = [
        "--volume",
        f"{tmp_path}:/hello:ro",
        "--env",
        "FUNCTION_TARGET=hello",
        "--env",
        "FUNCTION_SOURCE=/hello/main.py",
    ]
    taken: dict[str, list[float]] = {"hello": [], "health": [], "outside": []}
    for _ in range(ROUNDS):
        taken["hello"].append(_seconds_to_answer(store, images["health"], "/", hello))
        taken["health"].append(_seconds_to_answer(store, images["health"], "/live", ["--env", "LOG_LEVEL=WARNING"]))
        taken["outside"].append(_seconds_outside(tmp_path))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    of_hello = statistics.median(a / b for a, b in zip(taken["health"], taken["hello"], strict=True))
    of_outside = statistics.median(a / b for a, b in zip(taken["health"], taken["outside"], strict=True))
    seconds = ", ".join(f"{name} {median:.2f} s" for name, median in medians.items())
    print(f"start to first answer: {seconds}; health {of_hello:.2f} x hello, {of_outside:.2f} x outside")
    assert of_outside <= MOST_OF_OUTSIDE


def _seconds_to_answer(store: Store, tag: str, path: str, options: Sequence[str]) -> float:
    """From the start of the container's process, when all that podman does is done."""
    with store.running(tag, options=options) as container:
        answered = _first_answer(f"{container.url}{path}")
        return answered - container.started_at()


def _seconds_outside(folder: Path) -> float:
    """The same function from the checkout, by the same command."""
    port = servers.free_port()
    framework = str(Path(sys.executable).parent / "functions-framework")
    command = [framework, "--source", str(ROOT / "functions" / "health" / "main.py"), "--target", "health"]
    settings = dict(environment(folder, LOG_LEVEL="WARNING", PORT=str(port), HOST=servers.LOOPBACK))
    begun = time.time()
    with servers.running(command, is_ready=lambda: True, log=folder / "log", env=settings):
        return _first_answer(f"http://{servers.LOOPBACK}:{port}/live") - begun


def _first_answer(url: str) -> float:
    """When it came, in seconds since the epoch."""
    with httpx.Client(timeout=30) as client:

        def answered() -> bool:
            try:
                return client.get(url).is_success
            except httpx.TransportError:
                return False

        servers.wait_for(answered, f"an answer of {url}")
        return time.time()
