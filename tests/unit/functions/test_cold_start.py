"""What a function's start costs, told by what it imports: a count does not depend on what else the machine does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FUNCTIONS = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
HEAVY = {
    "pydantic", "pydantic_settings", "dotenv", "prometheus_client", "asyncio", "rich", "chromadb",
    "chromadb_rust_bindings", "google.genai", "google.cloud.logging", "google.cloud.trace_v2", "grpc",
    "opentelemetry.sdk", "httpx", "orjson", "sqlalchemy", "onnxruntime", "numpy", "tokenizers", "alembic",
    "genai_prices", "cryptography", "jwt", "limits", "redis", "fsspec", "cachetools", "google.cloud.kms_v1",
}  # fmt: skip
MOST_FOREIGN = 30  # modules of other packages and of the standard library, on top of the framework's own 389
MOST_OWN = 50
LOAD = """
import json, sys
import functions_framework
from werkzeug.test import Client

before = set(sys.modules)
client = Client(functions_framework.create_app(sys.argv[1], sys.argv[2], "http"))
at_start = sorted(set(sys.modules) - before)
for path in sys.argv[3:]:
    assert client.get(path).status_code in {200, 503}
sys.stderr.write(json.dumps([at_start, sorted(set(sys.modules) - before)]))  # apart from the log
"""


def loaded(function: dict[str, str], folder: Path, *paths: str) -> tuple[set[str], set[str]]:
    """The modules that starting a function loads beyond the framework's, and those that are there after `paths`."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, function["entry_point"], str(ROOT / function["source"]), *paths],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,  # as in the cloud: not started from the project's folder
    )
    assert done.returncode == 0, done.stderr
    at_start, afterwards = json.loads(done.stderr)
    return set(at_start), set(afterwards)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function["name"])
def test_a_function_starts_and_says_that_it_lives_without_any_heavy_package(
    function: dict[str, str], tmp_path: Path
) -> None:
    at_start, afterwards = loaded(function, tmp_path, "/live")
    assert not HEAVY & afterwards
    own = {name for name in at_start if name.partition(".")[0] in {"common", "functions"}}
    assert len(own) <= MOST_OWN, sorted(own)
    assert len(at_start - own) <= MOST_FOREIGN, sorted(at_start - own)


def test_health_is_told_without_models(tmp_path: Path) -> None:
    (health,) = [function for function in FUNCTIONS if function["name"] == "health"]
    _, afterwards = loaded(health, tmp_path, "/health", "/health/ready", "/health/live")
    assert not HEAVY & afterwards
