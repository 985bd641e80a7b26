"""The legacy Gemini adapter in the package's own environment, where protobuf is older than everything else wants."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from coverage import Coverage

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements-legacy.txt"
CONTRACT = "tests/unit/common/llm/test_chat_contract.py"

ANSWERS_BY_SETTING = """
from common.llm.chat import ChatRequest
from common.llm.models import build_chat_model
from common.settings import load_settings
from tests.gemini_server import GeminiServer

with GeminiServer() as server:
    settings = load_settings(
        gemini_api_key=server.api_key, gemini_base_url=server.url, gemini_sdk="google-generativeai",
        pii_shield=False,  # its key is the database's, whose packages are not here
    )
    print(build_chat_model(settings).generate(ChatRequest(instruction="-", question="?")).text)
    assert "gapic" in server.requests[0].headers["x-goog-api-client"]
"""

pytestmark = pytest.mark.slow


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    ours = ("PYTEST_", "COV", "GEMINI_", "VERTEX_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def measured() -> tuple[str, ...]:
    """Leaves the coverage of the other environment beside ours, where this session measures its own."""
    return ("-m", "coverage", "run", "--parallel-mode") if Coverage.current() is not None else ()


def unavailable(reason: str) -> NoReturn:
    """A skip that is seen; in CI the environment has to be there."""
    reason = f"google-generativeai needs an environment of its own: {reason}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with requirements-legacy.txt; kept under data/.cache while that stays so."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    folder = ROOT / "data" / ".cache" / f"legacy-gemini-{version}-{lock}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # one of the test processes makes it, the others wait
        if not (folder / "complete").exists():
            make_environment(folder)
    return folder / "bin" / "python"


def make_environment(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        unavailable("there is no uv to make it (pip install uv)")
    for command in (
        (uv, "venv", "--quiet", "--python", sys.executable, folder),
        (uv, "pip", "install", "--quiet", "--require-hashes", "--python", folder / "bin" / "python", "-r", LOCK),
    ):
        made = run(*command)
        if made.returncode != 0:
            unavailable(made.stderr[-500:])
    (folder / "complete").touch()


@pytest.mark.timeout(400)
def test_the_legacy_adapter_keeps_the_chat_models_contract(python: Path) -> None:
    # --noconftest: that one is for databases, whose packages are not there
    options = ("-q", "--noconftest", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib", "-W", "error")
    finished = run(python, *measured(), "-m", "pytest", *options, "-k", "google-generativeai", CONTRACT)
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-1000:]
    assert " skipped" not in finished.stdout


@pytest.mark.timeout(400)
def test_the_legacy_adapter_is_chosen_by_a_setting(python: Path) -> None:
    finished = run(python, "-W", "error", "-c", ANSWERS_BY_SETTING)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert "This is the local stand-in for Gemini." in finished.stdout
