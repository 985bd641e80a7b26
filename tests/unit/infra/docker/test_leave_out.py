"""infra/docker/leave_out.py: which packages an image does without, and what its bill says then."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infra.docker.leave_out import bill_without, left_out
from infra.supply_chain.locks import pins
from tests.compositions import FOLDER, ROOT

LISTS = tomllib.loads((FOLDER / "left_out.toml").read_text())
FUNCTIONS = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
BILL: dict[str, Any] = {
    "metadata": {"component": {"bom-ref": "project"}},
    "components": [{"name": "chromadb", "bom-ref": "c"}, {"name": "kubernetes", "bom-ref": "k"}],
    "dependencies": [{"ref": "project", "dependsOn": ["c"]}, {"ref": "c", "dependsOn": ["k"]}, {"ref": "k"}],
}


def test_all_that_is_left_out_is_locked() -> None:
    locked = {pin.name for pin in pins((ROOT / "requirements.txt").read_text())}
    named = {name for part in LISTS["unless"].values() for name in part} | {*LISTS["nowhere"], *LISTS["functions"]}
    assert named <= locked


def test_parts_are_those_that_functions_use() -> None:
    assert LISTS["unless"].keys() <= {part for one in FUNCTIONS for part in one["uses"]}


def test_a_function_has_what_belongs_to_the_parts_it_uses() -> None:
    names = left_out(LISTS, {"uses": ["vectors"]})
    assert "chromadb" not in names
    assert {"statsmodels", "rich", "kubernetes"} <= set(names)


def test_the_command_line_has_all_but_what_nothing_imports() -> None:
    assert left_out(LISTS, None) == sorted(LISTS["nowhere"])


def test_a_bill_without_a_package_does_not_lead_to_it() -> None:
    bill = bill_without(BILL, ["kubernetes"])
    assert [one["name"] for one in bill["components"]] == ["chromadb"]
    assert bill["dependencies"] == [{"ref": "project", "dependsOn": ["c"]}, {"ref": "c"}]


@pytest.mark.parametrize("source", ["", "functions/no_such/main.py"])
def test_a_function_that_is_not_listed_is_refused(source: str, tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "leave_out.py"), "--function", source]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("FUNCTION_SOURCE: must be one of functions/query/main.py, ")
