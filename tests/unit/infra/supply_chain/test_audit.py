"""What the audit says, and what fails it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from infra.supply_chain import audit, tools
from infra.supply_chain.locks import LooseRequirement
from infra.supply_chain.outcomes import Outcome, State, judged
from infra.supply_chain.tools import ToolFailed, ToolMissing, audit_tool, repository_files, rules_tool, run

AWAY = Outcome(state=State.UNANSWERED, about="the advisory service cannot be reached")
FOUND = Outcome(state=State.FAILED, about="2 files", findings=("README.md:1: AWS Access Key",))
GOOD = Outcome(state=State.PASSED, about="2 files")


def raising(error: Exception) -> audit.Check:
    def check() -> Outcome:
        raise error

    return check


def exit_code(monkeypatch: pytest.MonkeyPatch, checks: Mapping[str, audit.Check], *options: str) -> object:
    found: Callable[[Path], Mapping[str, audit.Check]] = lambda root: checks  # noqa: E731
    monkeypatch.setattr(audit, "checks", found)
    monkeypatch.setattr(sys, "argv", ["audit", *options])
    with pytest.raises(SystemExit) as ended:
        audit.main()
    return ended.value.code


def test_everything_passed_is_a_line_each(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(monkeypatch, {"secrets": lambda: GOOD}) == 0
    assert capsys.readouterr().out == "passed       secrets: 2 files\n"


def test_a_finding_fails_and_the_checks_after_it_run_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, {"secrets": lambda: FOUND, "scripts": lambda: GOOD}) == 1
    assert capsys.readouterr().out.splitlines() == [
        "FAILED       secrets: 2 files",
        "    README.md:1: AWS Access Key",
        "passed       scripts: 2 files",
    ]


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--advisories=required"], 1), (["--tools=required"], 0)])
def test_an_advisory_service_that_is_away_is_said_and_fails_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], code: int
) -> None:
    assert exit_code(monkeypatch, {"advisories": lambda: AWAY}, *options) == code
    assert capsys.readouterr().out == "NOT CHECKED  advisories: the advisory service cannot be reached\n"


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--tools=required"], 1), (["--advisories=required"], 0)])
def test_a_missing_tool_is_said_and_fails_where_tools_are_required(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], code: int
) -> None:
    assert exit_code(monkeypatch, {"workflows": raising(ToolMissing("node"))}, *options) == code
    assert capsys.readouterr().out == "NOT RUN      workflows: missing: node\n"


@pytest.mark.parametrize("error", [ToolFailed("zizmor exited with 3"), LooseRequirement("not pinned")])
def test_a_tool_that_breaks_down_fails_and_has_not_passed(error: Exception) -> None:
    assert audit.outcome_of(raising(error)) == Outcome(state=State.FAILED, about=str(error))


def test_each_part_of_the_supply_chain_is_looked_at() -> None:
    assert list(audit.checks(tools.ROOT)) == [
        "locks", "scripts", "workflows", "workflows' syntax", "Dockerfiles", "compose", "rules", "secrets", "advisories"
    ]  # fmt: skip


def test_something_found_is_not_passed() -> None:
    assert (judged([], "-").state, judged(["x"], "-").state) == (State.PASSED, State.FAILED)


def test_a_tool_of_the_audit_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "BIN", tmp_path)
    with pytest.raises(ToolMissing, match="zizmor"):
        audit_tool("zizmor")


def test_a_tool_of_the_rules_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "RULES_BIN", tmp_path)
    with pytest.raises(ToolMissing, match="checkov"):
        rules_tool("checkov")


def test_a_tool_that_ends_in_no_answer_says_why() -> None:
    with pytest.raises(ToolFailed, match="exited with 3: no such thing"):
        run([sys.executable, "-c", "import sys; print('first\\nno such thing', file=sys.stderr); sys.exit(3)"])


def test_a_tool_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "TIMEOUT_SECONDS", 0.1)
    with pytest.raises(ToolFailed, match="no end within"):
        run([sys.executable, "-c", "import signal; signal.pause()"])


def test_files_are_those_of_the_repository_also_new_ones_and_none_that_git_ignores(repository: Path) -> None:
    for name in ("kept.py", "new file.py", "ignored.log", ".gitignore"):
        (repository / name).write_text("*.log\n")
    run(["git", "add", "kept.py"], cwd=repository)
    assert repository_files(repository) == [".gitignore", "kept.py", "new file.py"]
    (repository / "kept.py").unlink()
    assert repository_files(repository) == [".gitignore", "new file.py"]
