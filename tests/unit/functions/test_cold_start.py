"""What importing a function's main.py costs: none of the heavy packages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FUNCTIONS = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
HEAVY = [
    "chromadb",
    "google.genai",
    "google.cloud.logging",
    "google.cloud.trace_v2",
    "grpc",
    "opentelemetry.sdk",
    "rich",
    "httpx",
    "orjson",
    "sqlalchemy",
    "onnxruntime",
    "numpy",
    "tokenizers",
    "alembic",
    "genai_prices",
]
LOAD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("main", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert callable(getattr(module, sys.argv[2]))
print(*[name for name in sys.argv[3:] if name in sys.modules])
"""


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function["name"])
def test_importing_a_function_loads_no_heavy_package(function: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(ROOT / function["source"]), function["entry_point"], *HEAVY],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,  # as in the cloud: not started from the project's folder
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
