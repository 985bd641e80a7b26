"""Where the tools of the audit are and how they are called: from environments of their own, `.venv-audit` and, for
checkov, which holds back the packages of the others, `.venv-checkov`."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv-audit" / "bin"
RULES_BIN = ROOT / ".venv-checkov" / "bin"
HERE = Path(__file__).parent
TIMEOUT_SECONDS = 300


class ToolMissing(Exception):
    """A tool is not on this machine; the message names it and what brings it."""


class ToolFailed(Exception):
    """A tool ended in a way that is none of its answers; the message is the end of what it said."""


def audit_tool(name: str) -> str:
    """The path of a tool of requirements-audit.txt; raises ToolMissing."""
    return _installed(BIN / name)


def rules_tool(name: str) -> str:
    """The path of a tool of requirements-checkov.txt; raises ToolMissing."""
    return _installed(RULES_BIN / name)


def _installed(path: Path) -> str:
    if not path.exists():
        raise ToolMissing(f"{path.name} (make audit installs it)")
    return str(path)


def system_tool(name: str, package: str) -> str:
    """The path of a tool that the machine has; raises ToolMissing with the package that brings it."""
    path = shutil.which(name)
    if path is None:
        raise ToolMissing(f"{name} (Debian and Ubuntu: apt-get install {package})")
    return path


def run(command: Sequence[str], *, cwd: Path = ROOT, answers: tuple[int, ...] = (0,)) -> str:
    """What `command` writes to its standard output; `answers` are the exit codes that are answers.

    Raises:
        ToolFailed: another exit code, or no end within `TIMEOUT_SECONDS`.
    """
    try:
        ended = subprocess.run(  # noqa: S603 - the tools of this package, never through a shell
            command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{Path(command[0]).name}: no end within {TIMEOUT_SECONDS} s") from None
    if ended.returncode not in answers:
        said = (ended.stderr.strip() or ended.stdout.strip() or "nothing").splitlines()
        raise ToolFailed(f"{Path(command[0]).name} exited with {ended.returncode}: {said[-1][:500]}")
    return ended.stdout


def repository_files(root: Path) -> list[str]:
    """Every file in `root` that is, or by `git add` would be, in the repository: paths from `root`, sorted.

    Files that are deleted but not yet committed as such are left out.
    """
    git = system_tool("git", package="git")
    listed = run([git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root)
    return sorted(name for name in set(listed.split("\0")) - {""} if (root / name).is_file())
