"""What is audited: who did what to which thing with what outcome, as entries of one signed chain.

Keys and documents have their entries in the transactions that change them, so neither is there without the other. What
takes several (erasing a person, retention, a rotation, an export) is entered when it ends, also where it fails; only a
process that is killed in the middle leaves none. An entry's target and facts are masked as log lines are, and whom a
deed concerned is named by a keyed hash. How the chain is signed and checked is in `common/security/audit_chain.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Literal, get_args

from common.pii import mask_value
from common.security.principal import is_tenant

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from common.security.keyring import KeyRing

Action = Literal[
    "key.created", "key.rotated", "key.revoked", "data_key.rotated",
    "document.stored", "document.deleted",
    "access.refused",
    "person.exported", "person.erased", "retention.applied", "budget.state",
    "report.read", "report.run", "ledger.reversed", "savings.replayed",
    "audit.exported", "settings.changed",
]  # fmt: skip
"""All that is audited. A new one is a line here, at most 32 characters long."""

Outcome = Literal["done", "refused", "failed"]

Fact = str | int | float | bool | None

ACTIONS: frozenset[Action] = frozenset(get_args(Action))
OUTCOMES: frozenset[Outcome] = frozenset(get_args(Outcome))

MAX_ACTOR = 128
MAX_TARGET = 320  # characters, as the table has it
MAX_REQUEST_ID = 128
MAX_FACTS = 4_096  # characters of their JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One deed. `actor` is a principal's id, `target` names the thing: a document's id, a key's readable part, a route.

    `facts` are counts, names and reasons from our own code. Target, request id and facts are masked when the event is
    recorded, and what is too long of them is cut; facts of more than `MAX_FACTS` characters are left out, and their
    size is told instead.

    Raises:
        ValueError: an action or outcome that is not listed, no tenant's name, an actor that is empty or too long, or a
            fact that is neither a short value nor a list of such.
    """

    tenant: str
    actor: str
    action: Action
    target: str
    outcome: Outcome
    request_id: str | None = None
    facts: Mapping[str, Fact | Sequence[Fact]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError("an action that is not audited")
        if self.outcome not in OUTCOMES:
            raise ValueError("an outcome that an audited deed cannot have")
        if not is_tenant(self.tenant):
            raise ValueError("no tenant's name")
        if not 0 < len(self.actor) <= MAX_ACTOR or not self.actor.isprintable():
            raise ValueError(f"an actor is 1 to {MAX_ACTOR} printable characters")
        if not all(map(_is_fact, self.facts.values())):
            raise ValueError("a fact is a text, a finite number, true, false, null, or a list of those")


def record(connection: "Connection", event: Event, *, at: datetime | None = None, ring: "KeyRing | None" = None) -> int:
    """Append `event` to the chain in the transaction of `connection`, which `common.database.engine.write` gave.

    Returns its number. If the transaction is rolled back, the event was never there, and its number goes to the next.
    From here to its end, the transaction holds up all others that record: call this last, after every other statement.
    Whoever locks rows after it could wait for another recorder who waits for this one.

    `at` is now, and `ring` that of the connection's database, where they are not given.

    Raises:
        InvalidSettings, Unavailable, CannotOpen: the audit key cannot be had.
        SQLAlchemyError: the event cannot be stored; the deed must not be done then.
    """
    from common.security.audit_chain import append

    mac = (ring or _ring_of(connection)).mac
    mac("audit", b"")  # an instance's first asks Cloud KMS, maybe for seconds: before others wait for this transaction
    return append(
        connection,
        mac,
        at=at or datetime.now(UTC),
        tenant=event.tenant,
        actor=event.actor,
        action=event.action,
        target=_text(event.target, MAX_TARGET),
        outcome=event.outcome,
        request_id=None if event.request_id is None else _text(event.request_id, MAX_REQUEST_ID),
        facts=_json(event.facts),
    )


def record_alone(*events: Event) -> None:
    """Append `events` in one transaction of their own, for deeds that change nothing in the database.

    Raises:
        DatabaseUnavailable, InvalidSettings, Unavailable, CannotOpen: nothing is recorded.
    """
    from common.database.engine import engine, write
    from common.security.keyring import key_ring

    ring = key_ring()  # before the transaction: what is not made yet is made in one of its own
    with write(engine()) as connection:
        for event in events:
            record(connection, event, ring=ring)


def _ring_of(connection: "Connection") -> "KeyRing":
    """This instance's ring, where it is made and is that of this database.

    Otherwise one in this transaction: to make the instance's now, it would have to wait for the end of this one.
    """
    from common.database.engine import engine
    from common.security.key_encryption import key_encryption_keys
    from common.security.keyring import KeyRing, has_no_keys, key_ring
    from common.settings import settings

    if key_ring.is_made and engine() is connection.engine:
        return key_ring()
    return KeyRing.on(connection, key_encryption_keys(settings(), is_new=lambda: has_no_keys(connection)))


def _is_fact(value: object) -> bool:
    if isinstance(value, list | tuple):
        return not any(isinstance(one, list | tuple) for one in value) and all(map(_is_fact, value))
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))


def _text(value: str, most: int) -> str:
    """`value` masked and on one line: what a terminal or a table could take for a command is written as an escape."""
    masked = str(mask_value(value))
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in masked)[:most]


def _json(facts: Mapping[str, Fact | Sequence[Fact]]) -> str:
    """`facts` masked, as the one JSON text they have: sorted, in ASCII, without blanks."""
    text = canonical(mask_value(dict(facts)))
    return text if len(text) <= MAX_FACTS else canonical({"left_out_characters": len(text)})


def canonical(value: object) -> str:
    """The one JSON text of `value`: names sorted, ASCII, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
