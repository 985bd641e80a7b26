"""`loancheck deploy` as a command: what it needs, and what the workflow asks of it."""

import re
import sys
from pathlib import Path

import pytest
import typer.main
import yaml

from local import deploying
from tests.command_line import command_line

ROOT = Path(__file__).parents[3]
WORKFLOW = ROOT / ".github" / "workflows" / "deploy.yml"


def test_without_its_packages_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.run_v2", None)
    with command_line(tmp_path, capsys, "deploy") as run:
        code, lines, complaint = run("status", "--prefix", "lcc-dev", "--project", "example-lending")
    assert (code, lines) == (2, [])
    assert complaint == "loancheck: deploying needs more packages: pip install -r requirements-deploy.txt\n"


def test_without_a_project_it_names_the_option_and_the_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    with command_line(tmp_path, capsys, "deploy") as run:
        code, _, complaint = run("rollback", "--prefix", "lcc-dev")
    assert code == 2
    assert complaint == "loancheck: project: must be given by --project or GOOGLE_CLOUD_PROJECT\n"


def test_a_push_is_deployed_once_all_checks_have_succeeded_and_those_get_no_secret() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    assert jobs["deploy"]["needs"] == ["check", "ci"]
    pushed = jobs["deploy"]["if"].split("github.event_name == 'push'")[1]
    assert all(f"&& needs.{name}.result == 'success'" in pushed for name in ("check", "ci"))
    assert jobs["ci"]["permissions"] == {"contents": "read"}
    assert "secrets" not in jobs["ci"]
    assert "DEPLOYS" not in jobs["ci"]["if"]  # main is checked where nothing is deployed too
    assert any("terraform" in step.get("run", "") and step["run"].endswith(" test") for step in jobs["check"]["steps"])
    called = yaml.safe_load((WORKFLOW.parent / "ci.yml").read_text())
    assert "workflow_call" in called[True]  # YAML 1.1 reads the key `on` as true


def test_the_workflow_uses_commands_and_options_that_there_are() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    scripts = [step["run"].replace("\\\n", " ") for job in jobs for step in job.get("steps", []) if "run" in step]
    used = [found for script in scripts for found in re.findall(r"loancheck deploy (\w+)(.*)", script)]
    commands = typer.main.get_group(deploying.app).commands
    assert {name for name, _ in used} == commands.keys()
    for name, arguments in used:
        known = {option for one in commands[name].params for option in one.opts}
        assert set(re.findall(r"--[a-z-]+", arguments)) <= known
