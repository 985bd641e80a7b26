"""A new data key, and what the old ones sealed sealed anew by it, while all goes on as usual.

Nothing is unreadable meanwhile: a value names the key that sealed it, and old keys open until nothing needs them. It
may be cut short at any point and run again, beside traffic and beside itself.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Engine, LargeBinary, func, select, update

from common.database.engine import read, write
from common.database.tables import api_keys, idempotent_answers, turns
from common.logging import component_logger
from common.security.encryption import (
    API_KEY_LABEL,
    IDEMPOTENT_BODY,
    PREFIX_BYTES,
    TURN_CONTENT,
    CannotOpen,
    Sealer,
    prefix_of,
    row_of,
)
from common.security.key_encryption import key_encryption_keys
from common.security.keyring import SEAL, KeyRing, StoredKey, holds_no_keys
from common.settings import settings

log = component_logger("security")

BATCH_ROWS = 50  # in one transaction: on SQLite everybody else who writes waits for it
# Other instances seal with the old key for up to `keyring.REFRESH_SECONDS`, and store that at the end of a request,
# which takes up to an hour (`Settings.query_timeout_seconds`).
KEPT = timedelta(hours=2)
# A key younger than this is that of a rotation cut short, where it has not sealed everything yet: no other is made.
RESUMED_WITHIN = timedelta(hours=24)

Progress = Callable[[str, int], None]
"""Called after each batch with the column ("turns.content") and how many of its rows were looked at since the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What a rotation did. `unreadable` rows cannot be opened by any key, and were left as they are.

    `kept` old keys still open something, or may for a while: the next run deletes those that do not.
    """

    key_id: int
    is_resumed: bool
    rewrapped: int
    resealed: int
    unreadable: int
    forgotten: int
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    """A column of sealed values: `tenant` and `row` are what they are bound to, `order` a unique column to go along."""

    name: str
    column: Column[Any]  # bytes, or null
    tenant: Column[Any]
    row: Column[Any]
    order: Column[Any]

    @property
    def prefix(self) -> ColumnElement[bytes]:
        return func.substr(self.column, 1, PREFIX_BYTES, type_=LargeBinary)


SEALED = (
    _Sealed(name=TURN_CONTENT, column=turns.c.content, tenant=turns.c.tenant, row=turns.c.uid, order=turns.c.id),
    _Sealed(
        name=API_KEY_LABEL,
        column=api_keys.c.label,
        tenant=api_keys.c.tenant,
        row=api_keys.c.id,
        order=api_keys.c.id,
    ),
    _Sealed(
        name=IDEMPOTENT_BODY,
        column=idempotent_answers.c.body,
        tenant=idempotent_answers.c.tenant,
        row=idempotent_answers.c.id,
        order=idempotent_answers.c.id,
    ),
)


class _Value(NamedTuple):
    order: Any  # a number or a text, only compared by the database
    tenant: str
    row: str
    sealed: bytes


def rotate_data_keys(
    engine: Engine,
    progress: Progress = lambda _column, _rows: None,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Rotated:
    """Wrap all data keys anew; make one that seals, unless one is to be gone on with; seal by it; delete old ones.

    Raises:
        InvalidSettings, DatabaseUnavailable, KeysUnavailable: as `KeyRing.rewrap`; running it again goes on.
    """
    ring = KeyRing.over(engine, key_encryption_keys(settings(), is_new=lambda: holds_no_keys(engine)))
    ring.complete()
    rewrapped = ring.rewrap()
    current = _active(ring)
    is_resumed = clock() - current.created_at < RESUMED_WITHIN and _in_use(engine) - {prefix_of(current.id)} != set()
    key_id = current.id if is_resumed else ring.renew()
    resealed = unreadable = 0
    for sealed in SEALED:
        looked_at = 0
        for values in _batches(engine, sealed, key_id):
            new, lost = _sealed_anew(Sealer(ring), sealed, values)
            resealed += _store(engine, sealed, new)
            unreadable += lost
            looked_at += len(values)
            progress(sealed.name, looked_at)
    if unreadable:
        log.error("rotation.unreadable", count=unreadable)
    forgotten, kept = _forget(engine, ring, clock())
    return Rotated(
        key_id=key_id,
        is_resumed=is_resumed,
        rewrapped=rewrapped,
        resealed=resealed,
        unreadable=unreadable,
        forgotten=forgotten,
        kept=kept,
    )


def _active(ring: KeyRing) -> StoredKey:
    return next(key for key in ring.stored() if key.purpose == SEAL and key.retired_at is None)


def _in_use(engine: Engine) -> set[bytes]:
    """What sealed values begin with: the form's version, and the key."""
    with read(engine) as connection:
        return {
            bytes(prefix)
            for sealed in SEALED
            for prefix in connection.scalars(select(sealed.prefix).where(sealed.column.is_not(None)).distinct())
        }


def _batches(engine: Engine, sealed: _Sealed, key_id: int) -> Iterator[Sequence[_Value]]:
    """The values that another key sealed, each once, by their order; those that come behind meanwhile too."""
    is_other = [sealed.column.is_not(None), sealed.prefix != prefix_of(key_id)]
    query = select(sealed.order, sealed.tenant, sealed.row, sealed.column).order_by(sealed.order).limit(BATCH_ROWS)
    after: list[ColumnElement[bool]] = []
    while True:
        with read(engine) as connection:
            values = [_Value(*row) for row in connection.execute(query.where(*is_other, *after))]
        if not values:
            return
        yield values
        after = [sealed.order > values[-1].order]


def _sealed_anew(sealer: Sealer, sealed: _Sealed, values: Sequence[_Value]) -> tuple[list[tuple[_Value, bytes]], int]:
    """Each with its new value; and of how many none can be made."""
    new = []
    for value in values:
        row = row_of(value.tenant, value.row)
        try:
            content = sealer.open(value.sealed, sealed.name, row)
        except CannotOpen:
            continue
        new.append((value, sealer.seal(content, sealed.name, row)))
    return new, len(values) - len(new)


def _store(engine: Engine, sealed: _Sealed, values: Sequence[tuple[_Value, bytes]]) -> int:
    """How many were stored: a row that was changed or deleted meanwhile stays as it is."""
    stored = 0
    with write(engine) as connection:
        for old, new in values:
            change = update(sealed.column.table).where(sealed.row == old.row, sealed.column == old.sealed)
            stored += connection.execute(change.values({sealed.column: new})).rowcount
    return stored


def _forget(engine: Engine, ring: KeyRing, now: datetime) -> tuple[int, int]:
    """How many old keys were deleted, and how many are left."""
    old = {key.id: key.retired_at for key in ring.stored() if key.purpose == SEAL and key.retired_at is not None}
    in_use = _in_use(engine)  # read after the keys: what a key retired by then can still seal is in time
    useless = [key for key, at in old.items() if now - at > KEPT and prefix_of(key) not in in_use]
    if useless:
        ring.forget(useless)
    return len(useless), len(old) - len(useless)
