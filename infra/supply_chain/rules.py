"""Rules for what is deployed, offline: checkov over `infra/`, hadolint over Dockerfiles, Compose files by their schema.

An exception stands where it holds, with its reason, and nowhere else: `checkov:skip=ID: reason` in a resource of
Terraform, `checkov.io/skip1: ID=reason` on an object of Kubernetes, `hadolint ignore=ID # reason` in a Dockerfile.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.supply_chain.outcomes import Outcome, judged
from infra.supply_chain.tools import audit_tool, repository_files, rules_tool, run

Json = dict[str, Any]  # Any: as the tools give it

# Namespaces are said by the overlays of Kustomize, and the objects are looked at before it has put them in.
_SAID_ELSEWHERE = "CKV_K8S_21"
_CHECKOV_OPTIONS = (
    "--skip-download", "--compact", "--output=json", f"--skip-check={_SAID_ELSEWHERE}",
    "--framework", "terraform", "dockerfile", "kubernetes",
)  # fmt: skip
_ELSEWHERE = {".checkov.yml", ".checkov.yaml", ".checkov.baseline", ".hadolint.yml", ".hadolint.yaml"}
_DOCKERFILE = re.compile(r"(.*/)?(Dockerfile(\.[^/]+)?|[^/]+\.Dockerfile)")
_COMPOSE = re.compile(r"(.*/)?(docker-)?compose(\.[^/]+)?\.ya?ml")
_IGNORED = re.compile(r"#\s*hadolint\s+(global\s+)?ignore=[\w,]+\s*(#(?P<reason>.*))?$", re.IGNORECASE)
_MIN_REASON_CHARACTERS = 10


def check_rules(root: Path) -> Outcome:
    """checkov over Terraform, Dockerfiles and Kubernetes objects in `infra/`; every finding counts.

    Raises:
        ToolMissing, ToolFailed: checkov or git.
    """
    elsewhere = [name for name in repository_files(root) if Path(name).name in _ELSEWHERE]
    findings = [f"{name}: exceptions stand where they hold, with their reasons" for name in elsewhere]
    command = [rules_tool("checkov"), "--directory", "infra", *_CHECKOV_OPTIONS]
    reports = _reports(run(command, cwd=root, answers=(0, 1)))
    findings += [finding for report in reports for finding in _findings(report["results"], root)]
    passed, skipped = (sum(report["summary"][kind] for report in reports) for kind in ("passed", "skipped"))
    return judged(findings, f"checkov on infra: {passed} rules kept, {skipped} exceptions with their reasons")


def check_dockerfiles(root: Path) -> Outcome:
    """hadolint over every Dockerfile of the repository in `root`; every finding counts.

    Raises:
        ToolMissing, ToolFailed: hadolint or git.
    """
    names = [name for name in repository_files(root) if _DOCKERFILE.fullmatch(name)]
    findings = [finding for name in names for finding in _without_reason(name, (root / name).read_text("utf-8"))]
    if names:
        found = json.loads(run([audit_tool("hadolint"), "--format=json", *names], cwd=root, answers=(0, 1)))
        findings += [f"{one['file']}:{one['line']}: {one['message']} [{one['code']}]" for one in found]
    return judged(findings, f"hadolint on {len(names)} Dockerfiles")


def check_compose(root: Path) -> Outcome:
    """The Compose specification's schema over every Compose file of the repository in `root`.

    Raises:
        ToolMissing, ToolFailed: check-jsonschema or git.
    """
    names = [name for name in repository_files(root) if _COMPOSE.fullmatch(name)]
    findings = []
    if names:
        command = [audit_tool("check-jsonschema"), "--builtin-schema=vendor.compose-spec", "--output-format=json"]
        found = json.loads(run([*command, *names], cwd=root, answers=(0, 1)))
        findings = [f"{one['filename']}: {one['path']}: {one['message']}" for one in found["errors"]]
        findings += [f"{one['filename']}: {one['message']}" for one in found.get("parse_errors", [])]
    return judged(findings, f"Compose's schema on {len(names)} files")


def _reports(said: str) -> list[Json]:
    """A report for each kind of file there is; checkov gives none where there is nothing to look at."""
    found = json.loads(said)
    return [report for report in (found if isinstance(found, list) else [found]) if "results" in report]


def _findings(results: Json, root: Path) -> Iterator[str]:
    for broken in results["failed_checks"]:
        yield f"{_place(broken, root)}: {broken['resource']}: {broken['check_name']} [{broken['check_id']}]"
    for skipped in results["skipped_checks"]:
        reason = skipped["check_result"]["suppress_comment"].strip()
        if reason == "No comment provided" or len(reason) < _MIN_REASON_CHARACTERS:
            yield f"{_place(skipped, root)}: {skipped['resource']}: an exception says why [{skipped['check_id']}]"
    yield from (f"{path}: checkov cannot read it" for path in results["parsing_errors"])


def _place(check: Json, root: Path) -> str:
    """Path and line; checkov gives the path from `root` for some kinds of files, and from `infra` for others."""
    path = check["file_path"].lstrip("/")
    return f"{path if (root / path).is_file() else f'infra/{path}'}:{check['file_line_range'][0]}"


def _without_reason(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        ignored = _IGNORED.search(line)
        if ignored is not None and len((ignored["reason"] or "").strip()) < _MIN_REASON_CHARACTERS:
            yield f"{name}:{number}: an exception says why [hadolint]"
