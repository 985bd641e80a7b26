"""API keys: `lcc_ID_SECRET`, shown once when they are made; the database holds a keyed hash of them.

The id names a key in lists, logs and the audit; the secret is 43 random letters and digits (256 bits) and a checksum of
six, as secret scanners like it. A text that is not of this shape is refused before anything is looked up: the shape is
public. From there on an unknown id and a wrong secret cost the same: one look-up, one hash, one comparison in constant
time. Whether a key has ended is found out after that, for whoever has its secret.

What a key may do, whose it is and when it ends is signed, so that whoever can only write the database gives it no more.
"""

import hashlib
import hmac
import json
import re
import secrets
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from string import ascii_letters, digits
from typing import Any, Literal

from cachetools import TTLCache
from sqlalchemy import Connection, Engine, Row, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from common.database import engine as database
from common.database.tables import api_keys as table
from common.logging import component_logger
from common.metrics import metrics_collector
from common.once import once
from common.security import audit
from common.security.encryption import API_KEY_LABEL, Sealer, row_of
from common.security.keyring import KeyRing, key_ring
from common.security.principal import DEFAULT_TENANT, ROLES, Principal, is_tenant
from common.settings import settings

PREFIX = "lcc_"
ID_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # read aloud and typed: nothing that looks like something else
ID_CHARACTERS = 12
SECRET_ALPHABET = digits + ascii_letters
SECRET_CHARACTERS = 43
CHECKSUM_CHARACTERS = 6
MAX_LABEL_CHARACTERS = 200
MAX_OVERLAP_HOURS = 24 * 30
CACHED_KEYS = 10_000
USE_NOTED_EVERY_SECONDS = 60.0
USE_WAITS_MS = 100  # for whoever writes meanwhile: a request waits for its own writes, not for this one

State = Literal["active", "rotated", "expired", "revoked", "damaged"]

_KEY = re.compile(
    rf"{PREFIX}([a-z2-9]{{{ID_CHARACTERS}}})_([0-9A-Za-z]{{{SECRET_CHARACTERS}}})([0-9A-Za-z]{{{CHECKSUM_CHARACTERS}}})"
)
_NOBODYS_HASH = "0" * 64  # what the secret of an unknown id is compared with

log = component_logger("security")


class KeyRefused(Exception):
    """A key cannot be made or changed as asked; the message says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made. `text` is the key itself, which nobody can show again."""

    id: str
    text: str
    expires_at: datetime | None

    def __repr__(self) -> str:
        return f"NewKey(id={self.id!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """What is known of a key. `state`: rotated is still let in, until `expires_at`.

    Of one that is damaged, what is told is what the database says, and not what the key was made with; its label, which
    may be sealed for another tenant, is left out.
    """

    id: str
    tenant: str
    role: str
    scopes: tuple[str, ...]
    label: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_to: str | None
    state: State


@dataclass(frozen=True, slots=True)
class _Checked:
    principal: Principal
    expires_at: datetime | None


class ApiKeys:
    """The keys in a database. Whoever makes or changes one is told to the audit, in the same transaction.

    A key that was let in is let in again for `cache_seconds` without a look-up: so long may a revocation by another
    instance take. Refusals are looked up each time. `ring` is asked for at its first use. Safe to share between
    threads.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        ring: Callable[[], KeyRing] = key_ring,
        cache_seconds: float = 0.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._ring = ring
        self._clock = clock
        self._lock = threading.Lock()
        self._digest_key = secrets.token_bytes(32)
        self._checked: TTLCache[bytes, _Checked] = TTLCache(CACHED_KEYS, cache_seconds)
        self._noted: TTLCache[str, bool] = TTLCache(CACHED_KEYS, USE_NOTED_EVERY_SECONDS)

    # For whoever gives keys out

    def create(
        self,
        *,
        role: str,
        tenant: str = DEFAULT_TENANT,
        scopes: Iterable[str] | None = None,
        label: str = "",
        expires_at: datetime | None = None,
        actor: str = "cli",
    ) -> NewKey:
        """A new key with `scopes`, which are all of the role's where none are given.

        Raises:
            KeyRefused: there is no such role, the tenant, label or time cannot be one, or a scope is not the role's.
        """
        now = self._clock()
        granted = _granted(role, scopes)
        _check(tenant, label)
        if expires_at is not None and expires_at <= now:
            raise KeyRefused("a key must expire in the future")
        ring = self._ring()  # before the transaction: it may need one of its own
        with database.write(self._engine) as connection:
            made = _insert(
                connection, ring, tenant=tenant, role=role, scopes=granted, label=label, at=now,
                expires_at=expires_at,
            )  # fmt: skip
            facts = {"role": role, "scopes": granted, "expires_at": _told(expires_at)}
            audit.record(connection, _event("key.created", tenant, actor, made.id, facts), ring=ring)
        return made

    def rotate(self, key_id: str, *, overlap_hours: float = 24.0, actor: str = "cli") -> NewKey:
        """A new key in place of `key_id`, made for as long a time; for `overlap_hours` both are let in.

        Raises:
            KeyRefused: there is no such key, it has ended or was rotated before, or the overlap is too long.
        """
        if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
            raise KeyRefused(f"the overlap must be 0 to {MAX_OVERLAP_HOURS} hours")
        now = self._clock()
        ring = self._ring()
        with database.write(self._engine) as connection:
            old = _locked(connection, key_id)
            if (state := _state(ring, old, now)) != "active":
                raise KeyRefused(f"the key {key_id} is {state}: only an active one can be rotated")
            until = now + timedelta(hours=overlap_hours)
            made = _insert(
                connection, ring, tenant=old.tenant, role=old.role, scopes=old.scopes,
                label=_label(ring, old), at=now,
                expires_at=None if old.expires_at is None else now + (old.expires_at - old.created_at),
            )  # fmt: skip
            ends = until if old.expires_at is None else min(until, old.expires_at)
            _change(connection, ring, old, expires_at=ends, rotated_to=made.id)
            facts = {"rotated_to": made.id, "ends_at": _told(ends), "expires_at": _told(made.expires_at)}
            audit.record(connection, _event("key.rotated", old.tenant, actor, key_id, facts), ring=ring)
        self.forget()
        return made

    def revoke(self, key_id: str, *, actor: str = "cli") -> bool:
        """End `key_id`: here at once, on other instances within the cache's seconds. Whether it was let in before.

        A damaged one is signed anew as revoked, under what it says now, and its label goes.

        Raises:
            KeyRefused: there is no such key.
        """
        now = self._clock()
        ring = self._ring()
        with database.write(self._engine) as connection:
            key = _locked(connection, key_id)
            was = _state(ring, key, now)
            if was != "revoked":
                label = {"label": _sealed(ring, key.tenant, key_id, "")} if was == "damaged" else {}
                _change(connection, ring, key, revoked_at=now, **label)
                audit.record(connection, _event("key.revoked", key.tenant, actor, key_id, {"was": was}), ring=ring)
        self.forget()
        return was in ("active", "rotated")

    def known(self, tenant: str | None = None) -> list[KnownKey]:
        """All keys, newest first; of one tenant, where it is given."""
        chosen = select(table).order_by(table.c.created_at.desc(), table.c.id)
        with database.read(self._engine) as connection:
            rows = connection.execute(chosen if tenant is None else chosen.where(table.c.tenant == tenant)).all()
        now = self._clock()
        return [self._known(row, now) for row in rows]

    # For requests

    def check(self, text: str, at: datetime | None = None) -> Principal | None:
        """Who `text` is the key of, or None where it is let in no longer, or never was. `at` is now, if not given."""
        at = at or self._clock()
        shape = _KEY.fullmatch(text)
        if shape is None or not hmac.compare_digest(checksum(shape[1], shape[2]), shape[3]):
            return None
        digest = hashlib.blake2b(text.encode(), key=self._digest_key).digest()
        with self._lock:
            checked = self._checked.get(digest)
        if checked is None:
            checked = self._looked_up(shape[1], shape[2], at)
            if checked is None:
                return None
            with self._lock:
                self._checked[digest] = checked
        if checked.expires_at is not None and checked.expires_at <= at:  # may come while the key is cached
            return None
        self._note_use(shape[1], at)
        return checked.principal

    def forget(self) -> None:
        """Look every key up again at its next use."""
        with self._lock:
            self._checked.clear()

    def _looked_up(self, key_id: str, secret: str, at: datetime) -> _Checked | None:
        with database.read(self._engine) as connection:
            expected = connection.execute(_HASH_BY_ID, {"id": key_id}).scalar_one()
            if not hmac.compare_digest(_hash(self._ring(), key_id, secret), expected):
                return None
            row = connection.execute(_BY_ID, {"id": key_id}).one_or_none()
        state = None if row is None else _state(self._ring(), row, at)
        if state == "damaged":
            log.error("key.damaged")
        if row is None or state not in ("active", "rotated"):
            return None
        # What the role may do now: a scope that it has lost since is not in old keys either.
        scopes = ROLES.get(row.role, frozenset()) & frozenset(row.scopes)
        principal = Principal(id=f"key:{key_id}", tenant=row.tenant, scopes=scopes)
        return _Checked(principal, row.expires_at)

    def _note_use(self, key_id: str, at: datetime) -> None:
        """At most once a minute for each key, and never worth a request."""
        with self._lock:
            if key_id in self._noted:
                return
            self._noted[key_id] = True
        try:
            with _hurried(self._engine) as connection:
                is_older = or_(table.c.last_used_at.is_(None), table.c.last_used_at < at)
                connection.execute(update(table).where(table.c.id == key_id, is_older).values(last_used_at=at))
        except SQLAlchemyError as error:
            metrics_collector.record_error("security", type(error).__name__)
            log.warning("key.use_not_noted", error_type=type(error).__name__)

    def _known(self, row: Row[Any], now: datetime) -> KnownKey:
        state = _state(self._ring(), row, now)
        scopes = row.scopes if isinstance(row.scopes, list) else []
        return KnownKey(
            id=row.id, tenant=row.tenant, role=row.role, scopes=tuple(map(str, scopes)),
            label="" if state == "damaged" else _label(self._ring(), row), created_at=row.created_at,
            expires_at=row.expires_at, revoked_at=row.revoked_at, last_used_at=row.last_used_at,
            rotated_to=row.rotated_to, state=state,
        )  # fmt: skip


@once
def api_keys() -> ApiKeys:
    """This instance's."""
    return ApiKeys(database.engine(), cache_seconds=settings().auth_cache_seconds)


_BY_ID = select(table).where(table.c.id == bindparam("id"))
# One row of one text, whether there is such a key or not: reading more of those that are there would take longer.
_HASH_BY_ID = select(func.coalesce(func.max(table.c.secret_hash), _NOBODYS_HASH)).where(table.c.id == bindparam("id"))


@contextmanager
def _hurried(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes one row, or gives up after `USE_WAITS_MS` where another one is in its way."""
    with engine.connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {USE_WAITS_MS}")
            yield connection
            return
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {USE_WAITS_MS}")
        try:
            yield connection
        finally:  # the connection goes back to the pool
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {database.SQLITE_BUSY_SECONDS * 1_000}")


def _locked(connection: Connection, key_id: str) -> Row[Any]:
    """The key's row, which no other transaction changes until this one ends."""
    row = connection.execute(_BY_ID.with_for_update(), {"id": key_id}).one_or_none()
    if row is None:
        raise KeyRefused("there is no key with this id: loancheck keys list shows them")
    return row


def _insert(
    connection: Connection,
    ring: KeyRing,
    *,
    tenant: str,
    role: str,
    scopes: Sequence[str],
    label: str,
    at: datetime,
    expires_at: datetime | None,
) -> NewKey:
    key_id = _random(ID_ALPHABET, ID_CHARACTERS)
    secret = _random(SECRET_ALPHABET, SECRET_CHARACTERS)
    row = {
        "id": key_id, "tenant": tenant, "label": _sealed(ring, tenant, key_id, label), "role": role,
        "scopes": list(scopes), "secret_hash": _hash(ring, key_id, secret), "created_at": at, "expires_at": expires_at,
        "revoked_at": None, "rotated_to": None,
    }  # fmt: skip
    connection.execute(insert(table).values({**row, "rights": _rights(ring, row)}))
    return NewKey(id=key_id, text=f"{PREFIX}{key_id}_{secret}{checksum(key_id, secret)}", expires_at=expires_at)


def _change(connection: Connection, ring: KeyRing, key: Row[Any], **changed: object) -> None:
    """Store what is changed of `key`, and sign the whole anew."""
    rights = _rights(ring, {**key._asdict(), **changed})
    connection.execute(update(table).where(table.c.id == key.id).values(**changed, rights=rights))


def _sealed(ring: KeyRing, tenant: str, key_id: str, label: str) -> bytes:
    return Sealer(ring).seal(label.encode(), API_KEY_LABEL, row_of(tenant, key_id))


def _label(ring: KeyRing, row: Row[Any]) -> str:
    return Sealer(ring).open(row.label, API_KEY_LABEL, row_of(row.tenant, row.id)).decode()


def _random(alphabet: str, characters: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(characters))


def _hash(ring: KeyRing, key_id: str, secret: str) -> str:
    return ring.mac("api-key", f"{key_id}{secret}".encode())


def _rights(ring: KeyRing, row: Mapping[str, Any]) -> str:
    """The signature of what the key `row` may do, for whom and how long. No `_hash` is made of such a text."""
    # Left out: `last_used_at`, which requests note beside each other, and `label`, which an erasure writes over.
    # Neither lets anybody in, and a label that was changed does not open.
    times = [row[name] and row[name].astimezone(UTC).isoformat() for name in ("created_at", "expires_at", "revoked_at")]
    signed = ["rights", row["id"], row["tenant"], row["role"], row["scopes"], *times, row["rotated_to"]]
    return ring.mac("api-key", json.dumps(signed, default=repr).encode())  # SQLite may hold bytes, which fit nothing


def checksum(key_id: str, secret: str) -> str:
    """CRC-32 of the key in six letters and digits: tells a mistyped key, and a scanner's find from a look-alike."""
    rest, text = zlib.crc32(f"{PREFIX}{key_id}_{secret}".encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        rest, place = divmod(rest, len(SECRET_ALPHABET))
        text = SECRET_ALPHABET[place] + text
    return text


def _state(ring: KeyRing, row: Row[Any], now: datetime) -> State:
    if not hmac.compare_digest(_rights(ring, row._asdict()).encode(), str(row.rights).encode()):
        return "damaged"
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at is not None and row.expires_at <= now:
        return "expired"
    return "active" if row.rotated_to is None else "rotated"


def _granted(role: str, scopes: Iterable[str] | None) -> Sequence[str]:
    """The scopes of a new key, sorted."""
    if role not in ROLES:
        raise KeyRefused(f"there is no such role: it is one of {', '.join(ROLES)}")
    allowed = next(allowed for name, allowed in ROLES.items() if name == role)
    granted = allowed if scopes is None else frozenset(scopes)
    if not granted:
        raise KeyRefused("a key without a scope could do nothing")
    if not granted <= allowed:
        raise KeyRefused(f"the role {role} has only these scopes: {', '.join(sorted(allowed))}")
    return sorted(granted)


def _check(tenant: str, label: str) -> None:
    if not is_tenant(tenant):
        raise KeyRefused("a tenant is 1 to 64 of a-z, 0-9, _ and -, and begins with a letter or digit")
    if len(label) > MAX_LABEL_CHARACTERS or not label.isprintable():
        raise KeyRefused(f"a label has at most {MAX_LABEL_CHARACTERS} characters, and all can be printed")


def _event(
    action: audit.Action, tenant: str, actor: str, key_id: str, facts: Mapping[str, audit.Fact | Sequence[audit.Fact]]
) -> audit.Event:
    return audit.Event(tenant=tenant, actor=actor, action=action, target=f"key:{key_id}", outcome="done", facts=facts)


def _told(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds")
