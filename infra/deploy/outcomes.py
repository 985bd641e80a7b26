"""How a deploy can end: each end is a state that is known, and has an exit code."""

from collections.abc import Callable
from enum import Enum

Say = Callable[[str], None]
"""Told of each step on the way, in one line for people."""


class Outcome(Enum):
    """The ends of promote, rollback and migrate, with what is said last."""

    PROMOTED = "promoted: the candidates get all requests"
    NOTHING_TO_DEPLOY = "nothing to deploy: each newest revision serves already"
    MIGRATED = "migrated: the database has the newest schema"
    NOT_MIGRATED = "not migrated: the database is as the failed migrations left it, which undo themselves"
    RESTORED = "rolled back as asked: what served before gets all requests"
    NOTHING_UNFINISHED = "nothing unfinished: no deploy was left in between"
    ROLLED_BACK = "failed and rolled back: what served before gets all requests"
    LEFT_IN_BETWEEN = "left in between: loancheck deploy rollback --take-over mends it"
    OVERTAKEN = "overtaken: another deploy goes on from here; loancheck deploy status shows it"

    @property
    def exit_code(self) -> int:
        """0: done. 1: failed, and undone. 3: left in a state that needs rollback. (2: refused, so nothing began.)"""
        if self in (Outcome.ROLLED_BACK, Outcome.NOT_MIGRATED):
            return 1
        return 3 if self in (Outcome.LEFT_IN_BETWEEN, Outcome.OVERTAKEN) else 0
