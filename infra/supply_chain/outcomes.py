"""What a check of the audit came to: four outcomes, since a check that did not run has not passed."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The word at the start of a check's line."""

    PASSED = "passed"
    FAILED = "FAILED"
    UNANSWERED = "NOT CHECKED"  # the advisory service did not answer
    NOT_RUN = "NOT RUN"  # a tool is missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One check: what it looked at in a few words, and what it found, a line each."""

    state: State
    about: str
    findings: tuple[str, ...] = ()


def judged(findings: list[str], about: str) -> Outcome:
    """Passed when there is nothing to find."""
    return Outcome(state=State.FAILED if findings else State.PASSED, about=about, findings=tuple(findings))
