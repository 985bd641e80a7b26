"""Shell scripts, by shellcheck: whatever begins with a line that names a shell."""

import json
import re
from pathlib import Path

from infra.supply_chain.outcomes import Outcome, judged
from infra.supply_chain.tools import audit_tool, repository_files, run

_SHELL = re.compile(rb"#!\S*(/|/env )(ba|da|k)?sh\b")


def check_scripts(root: Path) -> Outcome:
    """shellcheck over the shell scripts of the repository in `root`, whatever their names.

    Raises:
        ToolMissing, ToolFailed: shellcheck or git.
    """
    scripts = [name for name in repository_files(root) if _is_shell(root / name)]
    findings = []
    if scripts:
        found = json.loads(run([audit_tool("shellcheck"), "--format=json", "--", *scripts], cwd=root, answers=(0, 1)))
        findings = [f"{item['file']}:{item['line']}: {item['message']} [SC{item['code']}]" for item in found]
    return judged(findings, f"{len(scripts)} scripts")


def _is_shell(path: Path) -> bool:
    with path.open("rb") as file:
        return _SHELL.match(file.readline(80)) is not None
