"""Data keys: one seals what is stored, the others hash what is searched, remembered and signed.

Each has one purpose and lies in the table `data_keys`, wrapped by the key-encryption key together with its number and
purpose, so that none can be put in another's place. They are made at first need, unwrapped once per instance, and
kept in memory.

Only the key that seals is rotated. The others are stable: under a new one no API key would be found any more, no
person's mark, and no signature in the audit would hold.
"""

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from common.database.engine import engine, read, write
from common.database.tables import data_keys
from common.once import once
from common.security.key_encryption import KEY_BYTES, CannotOpen, KeyEncryptionKey, key_encryption_keys
from common.settings import InvalidSettings, settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MacPurpose = Literal["mark", "api-key", "audit", "shield"]
Purpose = Literal["seal"] | MacPurpose
SEAL: Purpose = "seal"
PURPOSES: tuple[Purpose, ...] = (SEAL, *get_args(MacPurpose))

REFRESH_SECONDS = 60.0  # how late an instance may notice that another one has rotated the key that seals
_MOST_IDS = 2**31  # what an INTEGER of PostgreSQL holds, from 0


class StoredKey(NamedTuple):
    """A row of `data_keys`."""

    id: int
    purpose: str
    wrapped: bytes
    wrapped_by: str
    created_at: datetime
    retired_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealKey:
    """A key that seals, ready for use. `id` goes along with what it seals."""

    id: int
    aead: "AESGCM" = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the table held when it was last read. Never changed, only swapped for another."""

    keys: Mapping[int, StoredKey]
    active: Mapping[str, int]
    read_at: float

    @property
    def missing(self) -> list[Purpose]:
        return [purpose for purpose in PURPOSES if purpose not in self.active]


class KeyRing:
    """The data keys of one database. Safe to share between threads and processes.

    It is read as a whole, and completed where a key is missing, before the first use of any. After that only
    `sealing` looks again, every `REFRESH_SECONDS`, and `opening` where it meets a key that another instance made.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Connection]],
        writing: Callable[[], AbstractContextManager[Connection]],
        wrapping: Sequence[KeyEncryptionKey],
        *,
        clock: Callable[[], float] = time.monotonic,
        new_id: Callable[[], int] = lambda: secrets.randbelow(_MOST_IDS),
    ) -> None:
        """`reading` and `writing` give transactions; `wrapping` is as `key_encryption_keys` gives it."""
        self._reading = reading
        self._writing = writing
        self._wrapping = wrapping
        self._clock = clock
        self._new_id = new_id
        self._known: _Known | None = None
        self._secrets: dict[int, bytes] = {}
        self._seal_keys: dict[int, SealKey] = {}
        self._macs: dict[MacPurpose, bytes] = {}
        self._lock = threading.RLock()

    @classmethod
    def over(cls, engine: Engine, wrapping: Sequence[KeyEncryptionKey]) -> "KeyRing":
        """Reads and makes keys in transactions of its own."""
        return cls(lambda: read(engine), lambda: write(engine), wrapping)

    @classmethod
    def on(cls, connection: Connection, wrapping: Sequence[KeyEncryptionKey]) -> "KeyRing":
        """Reads and makes keys in the transaction of `connection`, which must be able to write.

        It is of no use after that: what was made goes where the transaction is rolled back.
        """
        return cls(lambda: nullcontext(connection), lambda: nullcontext(connection), wrapping)

    def complete(self) -> None:
        """Read the keys, and make those that are missing.

        Raises:
            InvalidSettings: the keys were wrapped by a key-encryption key that is not the one in the settings.
            DatabaseUnavailable, KeysUnavailable: as they say.
        """
        with self._lock:
            known = self._read()
            while known.missing:  # again, where a number was taken already: one time in a thousand million
                self._make(known.missing)
                known = self._read()

    def mac(self, purpose: MacPurpose, message: bytes) -> str:
        """HMAC-SHA-256 of `message` by the key of `purpose`, in 64 hexadecimal digits.

        Raises:
            InvalidSettings, DatabaseUnavailable, KeysUnavailable: at first use, as `complete`.
            CannotOpen: the key was changed in the database.
        """
        key = self._macs.get(purpose)
        if key is None:
            key = self._macs[purpose] = self._secret(self._active(purpose))
        return hmac.digest(key, message, "sha256").hex()

    def sealing(self) -> SealKey:
        """The key to seal with now.

        Raises:
            InvalidSettings, DatabaseUnavailable, KeysUnavailable, CannotOpen: as `mac`, at first use and after a
                rotation.
        """
        known = self._known
        if known is not None and self._clock() - known.read_at > REFRESH_SECONDS:
            self._refresh()
        return self._seal_key(self._active(SEAL))

    def opening(self, key_id: int) -> SealKey:
        """The key to open with what the key `key_id` sealed.

        Raises:
            CannotOpen: there is no such key, not even in the database; or it was changed there.
            InvalidSettings, DatabaseUnavailable, KeysUnavailable: as `mac`.
        """
        found = self._seal_keys.get(key_id)
        if found is not None:
            return found
        with self._lock:
            known = self._known
            stored = None if known is None else known.keys.get(key_id)
            if stored is None:
                stored = self._read().keys.get(key_id)
        if stored is None or stored.purpose != SEAL:
            raise CannotOpen
        return self._seal_key(stored)

    def renew(self) -> int:
        """Make a new key that seals, and retire the one before; the number of the one that seals from now on.

        Of several that do this at once, one makes the key, and the others get its number.

        Raises:
            InvalidSettings, DatabaseUnavailable, KeysUnavailable: as `complete`.
        """
        before = self._active(SEAL)
        new = self._new(SEAL)
        with self._writing() as connection:
            retired = connection.execute(
                update(data_keys)
                .where(data_keys.c.id == before.id, data_keys.c.retired_at.is_(None))
                .values(retired_at=datetime.now(UTC))
            )
            if retired.rowcount:
                _add(connection, [new])
        with self._lock:
            self._read()
        return self._active(SEAL).id

    def rewrap(self) -> int:
        """Wrap all keys anew by the key-encryption key of the settings; how many they are.

        Afterwards the one before is not needed any more, nor are older versions of one in Cloud KMS.

        Raises:
            InvalidSettings: they were wrapped by another one, which the settings do not hold too.
            DatabaseUnavailable, KeysUnavailable, CannotOpen: as `mac`.
        """
        current = self._wrapping[0]
        count = 0
        for stored in self.stored():
            wrapped = current.wrap(self._secret(stored), _context(stored.id, stored.purpose))
            with self._writing() as connection:
                changed = connection.execute(
                    update(data_keys)
                    .where(data_keys.c.id == stored.id, data_keys.c.wrapped == stored.wrapped)
                    .values(wrapped=wrapped, wrapped_by=current.name)
                )
            count += changed.rowcount
        return count

    def forget(self, key_ids: Iterable[int]) -> None:
        """Delete retired keys: whatever they sealed can never be opened again, from a backup neither."""
        with self._writing() as connection:
            connection.execute(
                delete(data_keys).where(data_keys.c.id.in_(key_ids), data_keys.c.retired_at.is_not(None))
            )

    def stored(self) -> Sequence[StoredKey]:
        """All keys as they are in the database now, in no order."""
        with self._lock:
            return list(self._read().keys.values())

    def _active(self, purpose: Purpose) -> StoredKey:
        known = self._known
        if known is None or purpose not in known.active:
            self.complete()
            known = self._known
            assert known is not None
        return known.keys[known.active[purpose]]

    def _refresh(self) -> None:
        """Read the table again; while one thread does, the others go on with what they have."""
        if self._lock.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._lock.release()

    def _read(self) -> _Known:
        columns = [data_keys.c[name] for name in StoredKey._fields]
        read_at = self._clock()
        with self._reading() as connection:
            rows = [StoredKey(*row) for row in connection.execute(select(*columns))]
        keys = {row.id: row for row in rows}
        active = {row.purpose: row.id for row in rows if row.retired_at is None}
        self._known = _Known(keys=keys, active=active, read_at=read_at)
        return self._known

    def _make(self, purposes: Iterable[Purpose]) -> None:
        made = [self._new(purpose) for purpose in purposes]  # wrapped before the transaction: it may go over a network
        with self._writing() as connection:
            _add(connection, made)

    def _new(self, purpose: Purpose) -> StoredKey:
        key_id = self._new_id()
        wrapping = self._wrapping[0]
        wrapped = wrapping.wrap(secrets.token_bytes(KEY_BYTES), _context(key_id, purpose))
        return StoredKey(key_id, purpose, wrapped, wrapping.name, datetime.now(UTC), None)

    def _seal_key(self, stored: StoredKey) -> SealKey:
        found = self._seal_keys.get(stored.id)
        if found is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            found = self._seal_keys[stored.id] = SealKey(id=stored.id, aead=AESGCM(self._secret(stored)))
        return found

    def _secret(self, stored: StoredKey) -> bytes:
        with self._lock:
            if stored.id not in self._secrets:
                wrapping = self._wrapping_of(stored)
                self._secrets[stored.id] = wrapping.unwrap(stored.wrapped, _context(stored.id, stored.purpose))
            return self._secrets[stored.id]

    def _wrapping_of(self, stored: StoredKey) -> KeyEncryptionKey:
        for wrapping in self._wrapping:
            if wrapping.name == stored.wrapped_by:
                return wrapping
        setting = "KEY_FILE" if self._wrapping[-1].name.startswith("file:") else "KMS_KEY"
        raise InvalidSettings(f"{setting}: is not the key that the database's keys were wrapped with")


@once
def key_ring() -> KeyRing:
    """This instance's key ring, over this instance's database, complete.

    The first call may write: where it comes from within a `write` transaction on SQLite, it would wait for that. So
    call it before the transaction begins; afterwards nothing but `sealing` reads, and nothing writes.

    Raises:
        InvalidSettings, DatabaseTooNew, DatabaseUnavailable, KeysUnavailable: as `engine` and `KeyRing.complete`.
    """
    ring = KeyRing.over(engine(), key_encryption_keys(settings(), is_new=lambda: holds_no_keys(engine())))
    ring.complete()
    return ring


def holds_no_keys(engine: Engine) -> bool:
    """Whether its database never got data keys.

    Raises:
        DatabaseUnavailable: as `read`.
    """
    with read(engine) as connection:
        return has_no_keys(connection)


def has_no_keys(connection: Connection) -> bool:
    """`holds_no_keys`, within a transaction."""
    return connection.scalar(select(data_keys.c.id).limit(1)) is None


def _context(key_id: int, purpose: str) -> bytes:
    return b"LoanCollateralCheck data key %d %s" % (key_id, purpose.encode())


def _add(connection: Connection, keys: Sequence[StoredKey]) -> None:
    """Add `keys`, but none to a purpose that has an active key: an index allows only one, whoever comes first."""
    new = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(new(data_keys).on_conflict_do_nothing(), [key._asdict() for key in keys])
