"""`loancheck keys rotate-data`: a new data key, by which all that is sealed in the database is sealed anew."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the database comes with the command that needs it, not with `loancheck --help`
    from common.security.rotation import Rotated

Tell = Callable[[str], None]


def rotate_data(tell: Tell) -> "Rotated":
    """Rotate this installation's data key, telling how far it is, and record it in the audit.

    Raises:
        InvalidSettings, DatabaseUnavailable, KeysUnavailable: it was cut short, and running it again goes on.
    """
    from common.database.engine import engine
    from common.security.audit import Event, Outcome, record_alone
    from common.security.principal import DEFAULT_TENANT
    from common.security.rotation import rotate_data_keys

    try:
        done = rotate_data_keys(engine(), lambda column, rows: tell(f"{column}: {rows} looked at"))
    except BaseException:
        cut_short = Event(
            tenant=DEFAULT_TENANT, actor="cli", action="data_key.rotated", target="data-key", outcome="failed"
        )
        record_alone(cut_short)
        raise
    facts = {
        "rewrapped": done.rewrapped,
        "resealed": done.resealed,
        "unreadable": done.unreadable,
        "forgotten": done.forgotten,
        "kept": done.kept,
    }
    target = f"data-key:{done.key_id}"
    outcome: Outcome = "failed" if done.unreadable else "done"
    record_alone(
        Event(
            tenant=DEFAULT_TENANT, actor="cli", action="data_key.rotated", target=target, outcome=outcome, facts=facts
        )
    )
    return done


def in_words(done: "Rotated") -> list[str]:
    """What a rotation did, for a person, line by line."""
    from common.security.rotation import KEPT

    how = "A rotation that was cut short is finished" if done.is_resumed else "A new data key is made"
    lines = [f"{how}: {done.key_id} seals from now on. Sealed anew: {done.resealed}."]
    lines.append(f"Data keys wrapped anew by the key-encryption key of the settings: {done.rewrapped}.")
    if done.unreadable:
        lines.append(f"Left as they are, for no key opens them: {done.unreadable}.")
    if done.forgotten:
        lines.append(f"Old data keys deleted: {done.forgotten}.")
    if done.kept:
        hours = KEPT.total_seconds() / 3600
        lines.append(
            f"Old data keys kept: {done.kept}. Run this again after {hours:g} hours, to delete what is unused."
        )
    return lines
