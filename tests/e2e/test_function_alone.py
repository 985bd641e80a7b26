"""Each function alone, as the Functions Framework starts it in the cloud."""

import json
import sys
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.emulators import environment

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function["name"])
def test_a_function_starts_alone_and_answers(function: dict[str, str], tmp_path: Path, free_port: int) -> None:
    command = [
        str(Path(sys.executable).parent / "functions-framework"),
        "--source", str(ROOT / function["source"]), "--target", function["entry_point"],
        "--host", "127.0.0.1", "--port", str(free_port),
    ]  # fmt: skip
    url = f"http://127.0.0.1:{free_port}"
    settings = {name: value for name, value in environment(tmp_path).items() if name not in {"PORT", "PYTHONPATH"}}
    with servers.running(command, is_ready=lambda: servers.answers(f"{url}/live"), log=tmp_path / "log", env=settings):
        described = httpx.get(f"{url}/openapi.json", timeout=30).json()
        assert function["paths"][0] in described["paths"]
        if function["name"] == "query":
            response = httpx.post(f"{url}/api/query", json={"message": "hello"}, timeout=60)
            assert (response.status_code, response.json()["agent"]) == (200, "greeting")
        elif function["name"] == "documents":
            document = {"id": "a", "title": "A", "text": "A lien lapses after five years."}
            response = httpx.post(f"{url}/api/documents", json={"documents": [document]}, timeout=60)
            assert (response.status_code, response.json()["documents"]) == (200, 1)
        else:
            response = httpx.get(f"{url}/health")
            assert response.json()["components"]["database"]["detail"] == "not there"  # nobody asked anything yet
            assert (response.status_code, httpx.get(f"{url}/health/live").status_code) == (503, 200)
