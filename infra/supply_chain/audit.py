"""The audit of what the project is made of: locks, known vulnerabilities, secrets, workflows, scripts, and what
is deployed: Terraform, images, Kubernetes objects.

    make audit                          # or .venv-audit/bin/python -m infra.supply_chain.audit
    make audit ADVISORIES=required      # fails as well when the advisory service does not answer

A line each check, and one for everything found. A tool that is missing is named and fails only where tools are
required: `make` does so with CI set. An advisory service that is away is named too, and fails only where its answer is
required, as in the weekly run: a change does not wait for somebody else's server.
"""

import argparse
import datetime
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from infra.supply_chain.advisories import IGNORED, check_advisories, locked_packages, read_ignored, valid_today
from infra.supply_chain.locks import LOCK_NAME, LooseRequirement, check_locks
from infra.supply_chain.outcomes import Outcome, State
from infra.supply_chain.rules import check_compose, check_dockerfiles, check_rules
from infra.supply_chain.scripts import check_scripts
from infra.supply_chain.secret_scan import ALLOWED, check_secrets, read_allowed
from infra.supply_chain.tools import ROOT, ToolFailed, ToolMissing, repository_files
from infra.supply_chain.workflows import check_actionlint, check_zizmor

Check = Callable[[], Outcome]


def main() -> None:
    """Command line; exits with 1 when something failed."""
    parser = argparse.ArgumentParser(description="Audit what the project is made of.")
    parser.add_argument("--advisories", choices=("asked", "required"), default="asked")
    parser.add_argument("--tools", choices=("found", "required"), default="found")
    given = parser.parse_args()
    required = {State.UNANSWERED: given.advisories == "required", State.NOT_RUN: given.tools == "required"}
    has_failed = False
    for name, check in checks(ROOT).items():
        outcome = outcome_of(check)
        sys.stdout.write("\n".join(lines(name, outcome)) + "\n")
        sys.stdout.flush()
        has_failed |= outcome.state == State.FAILED or required.get(outcome.state, False)
    sys.exit(1 if has_failed else 0)


def checks(root: Path) -> Mapping[str, Check]:
    """The checks by their names, in the order in which they run: quick ones first."""
    return {
        "locks": lambda: check_locks(root, repository_files(root)),
        "scripts": lambda: check_scripts(root),
        "workflows": lambda: check_zizmor(root),
        "workflows' syntax": lambda: check_actionlint(root),
        "Dockerfiles": lambda: check_dockerfiles(root),
        "compose": lambda: check_compose(root),
        "rules": lambda: check_rules(root),
        "secrets": lambda: check_secrets(root, read_allowed(ALLOWED.read_text(encoding="utf-8"))),
        "advisories": lambda: _advisories(root),
    }


def _advisories(root: Path) -> Outcome:
    ignored = read_ignored(IGNORED.read_text(encoding="utf-8"))
    today = datetime.datetime.now(datetime.UTC).date()
    locks = [name for name in repository_files(root) if LOCK_NAME.fullmatch(Path(name).name)]
    return check_advisories(locked_packages(root, locks), valid_today(ignored, today))


def outcome_of(check: Check) -> Outcome:
    """What `check` came to, also when it could not run; the checks after it run all the same."""
    try:
        return check()
    except ToolMissing as missing:
        return Outcome(state=State.NOT_RUN, about=f"missing: {missing}")
    except (ToolFailed, LooseRequirement) as failed:
        return Outcome(state=State.FAILED, about=str(failed))


def lines(name: str, outcome: Outcome) -> Iterator[str]:
    """What is shown of a check: one line, and one below it for each finding."""
    yield f"{outcome.state:<12} {name}: {outcome.about}"
    yield from (f"    {finding}" for finding in outcome.findings)


if __name__ == "__main__":
    main()
