"""One answer for one `Idempotency-Key`: whoever asks again, because the first answer got lost, gets that one again.

A row in the database is the right to do the work: of all instances only one adds it. The answer goes into it, sealed,
and stays for `Settings.idempotency_hours`. The right ends with a lease, for an instance may die over its work.

Source: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07
"""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from common.database.engine import engine, write
from common.database.tables import idempotent_answers
from common.logging import component_logger
from common.once import once
from common.problems import AssistantError, BadRequest
from common.security.encryption import IDEMPOTENT_BODY, Sealer, row_of
from common.security.keyring import KeyRing, key_ring
from common.security.marks import Marks, forget_marks, texts_in
from common.security.principal import Principal
from common.settings import settings

HOLDER = "idempotent_answers"  # of marks
RETRY_AFTER_SECONDS = 2  # where the first request is not through yet
MOST_CHARACTERS = 128
_AT_ONCE = 500  # rows that one call deletes: a transaction that others wait for

_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # RFC 9651, section 3.3.3
_BARE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~:/=@-]+")

log = component_logger("security")


class IdempotencyMismatch(AssistantError):
    """The key belongs to another payload."""

    type = "/problems/idempotency-key-reused"
    title = "This Idempotency-Key was used for another request"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class IdempotencyConflict(AssistantError):
    """The first request with this key is still being answered."""

    type = "/problems/idempotency-in-flight"
    title = "A request with this Idempotency-Key is being answered"
    status = HTTPStatus.CONFLICT

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The answer that this key had before."""

    status: int
    content_type: str | None
    body: bytes


class Ticket:
    """The right to do the work of one key. One of `finish` and `release` ends it, and its lease does otherwise."""

    def __init__(self, answers: "IdempotentAnswers", id_: str, owner: str, tenant: str) -> None:
        self._answers = answers
        self.id = id_
        self.owner = owner
        self.tenant = tenant

    def finish(self, status: int, content_type: str | None, body: bytes) -> None:
        """Keep the whole answer, for whoever asks again. Where the lease was over, another one's answer is kept.

        Raises:
            DatabaseUnavailable, KeysUnavailable: it was not kept.
        """
        self._answers.keep(self, Replay(status=status, content_type=content_type, body=body))

    def release(self) -> None:
        """There is no answer to keep: the next request with this key does the work.

        Raises:
            DatabaseUnavailable: the key stays taken until the lease is over.
        """
        self._answers.give_up(self)


class IdempotentAnswers:
    """The answers in one database, kept for `hours`. Safe to share between threads; `clock` gives aware UTC."""

    def __init__(
        self,
        engine: Engine,
        ring: KeyRing,
        *,
        hours: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._ring = ring
        self._sealer = Sealer(ring)
        self._marks = Marks(ring)
        self._kept_for = timedelta(hours=hours)
        self._clock = clock

    def begin(
        self,
        header: str,
        *,
        principal: Principal,
        route: str,
        path: str,
        payload: bytes,
        accept: str,
        lease_seconds: float,
    ) -> Replay | Ticket:
        """As the function `begin`."""
        scope = [principal.tenant, principal.id, route, path, key_of(header)]
        id_ = self._ring.mac("mark", json.dumps(scope).encode())
        fingerprint = self._ring.mac("mark", accept.encode() + b"\0" + payload)
        ticket = Ticket(self, id_, secrets.token_hex(16), principal.tenant)
        now = self._clock()
        with write(self._engine) as connection:
            found = _taken(
                connection,
                {
                    "id": id_,
                    "tenant": principal.tenant,
                    "fingerprint": fingerprint,
                    "owner": ticket.owner,
                    "expires_at": now + timedelta(seconds=lease_seconds),
                },
                now,
            )
        if found is None:
            return ticket
        if found.fingerprint != fingerprint:
            raise IdempotencyMismatch
        if found.status is None:
            raise IdempotencyConflict
        body = self._sealer.open(found.body, IDEMPOTENT_BODY, row_of(principal.tenant, id_))
        return Replay(status=found.status, content_type=found.content_type, body=body)

    def keep(self, ticket: Ticket, answer: Replay) -> None:
        """As `Ticket.finish`."""
        sealed = self._sealer.seal(answer.body, IDEMPOTENT_BODY, row_of(ticket.tenant, ticket.id))
        values = {
            "status": answer.status,
            "content_type": answer.content_type,
            "body": sealed,
            "expires_at": self._clock() + self._kept_for,
        }
        with write(self._engine) as connection:
            if not connection.execute(update(idempotent_answers).where(*_of(ticket)).values(values)).rowcount:
                log.warning("idempotency.lease_over")
                return
            forget_marks(connection, HOLDER, [ticket.id])  # of an answer that was kept under this key before
            texts = texts_of(answer.content_type, answer.body)
            self._marks.note(connection, ticket.tenant, HOLDER, ticket.id, texts)

    def give_up(self, ticket: Ticket) -> None:
        """As `Ticket.release`."""
        with write(self._engine) as connection:
            if connection.execute(delete(idempotent_answers).where(*_of(ticket))).rowcount:
                forget_marks(connection, HOLDER, [ticket.id])


def begin(
    header: str,
    *,
    principal: Principal,
    route: str,
    path: str,
    payload: bytes,
    accept: str,
    lease_seconds: float,
) -> Replay | Ticket:
    """The right to do the work of the key in `header`, or the answer that it had before.

    A key is one principal's, on one `path` of one `route` ("POST /path"). `payload` and `accept` are what has to be
    the same again. After `lease_seconds` without an answer somebody else may do the work.

    Raises:
        BadRequest: the header's value is no key.
        IdempotencyMismatch: the key was used for another payload.
        IdempotencyConflict: the first request is still being answered.
        DatabaseUnavailable, KeysUnavailable: nothing was begun.
    """
    return idempotent_answers_here().begin(
        header,
        principal=principal,
        route=route,
        path=path,
        payload=payload,
        accept=accept,
        lease_seconds=lease_seconds,
    )


def delete_expired(connection: Connection, now: datetime) -> int:
    """Delete some answers whose time is over, with their marks, in the caller's transaction; 0 when none is left."""
    over = select(idempotent_answers.c.id).where(idempotent_answers.c.expires_at <= now).limit(_AT_ONCE)
    ids = connection.scalars(over).all()
    if not ids:
        return 0
    # Once more by time: on PostgreSQL a key may have been taken anew meanwhile.
    gone = delete(idempotent_answers).where(idempotent_answers.c.id.in_(ids), idempotent_answers.c.expires_at <= now)
    deleted = connection.scalars(gone.returning(idempotent_answers.c.id)).all()
    forget_marks(connection, HOLDER, deleted)
    return len(deleted)


def key_of(header: str) -> str:
    """The key in an `Idempotency-Key` field: a structured-field string, or the same without quotes, as many send it.

    Raises:
        BadRequest: it is neither, or has not 1 to 128 printable ASCII characters.
    """
    value = header.strip()
    quoted = _QUOTED.fullmatch(value)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value
    if not 1 <= len(key) <= MOST_CHARACTERS or not (quoted or _BARE.fullmatch(key)):
        raise BadRequest(
            f"Idempotency-Key is one text in double quotes, of 1 to {MOST_CHARACTERS} printable ASCII characters."
        )
    return key


def texts_of(content_type: str | None, body: bytes) -> Iterator[str]:
    """All texts of an answer, without JSON's escapes, which would hide where an e-mail address begins."""
    text = body.decode(errors="replace")
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        for line in text.splitlines():
            if line.startswith("data: "):
                yield from texts_in(json.loads(line.removeprefix("data: ")))
    elif kind == "application/json" or kind.endswith("+json"):
        yield from texts_in(json.loads(text))
    else:
        yield text


def _taken(connection: Connection, values: dict[str, object], now: datetime) -> Row[tuple[object, ...]] | None:
    """None where the row is ours now: it is new, or its time was over. Else the row as it is.

    One statement, so that of all instances one gets it. Where it does nothing it locks the row, on PostgreSQL too, so
    that the row is still there to be read.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    anew = {**values, "status": None, "content_type": None, "body": None}
    statement = insert(idempotent_answers).values(anew)
    taking = statement.on_conflict_do_update(
        index_elements=["id"], set_=anew, where=idempotent_answers.c.expires_at <= now
    ).returning(idempotent_answers.c.id)
    if connection.execute(taking).first() is not None:  # RETURNING: psycopg's count of an upsert is not given on
        return None
    return connection.execute(select(idempotent_answers).where(idempotent_answers.c.id == values["id"])).one()


def _of(ticket: Ticket) -> tuple[ColumnElement[bool], ...]:
    return idempotent_answers.c.id == ticket.id, idempotent_answers.c.owner == ticket.owner


@once
def idempotent_answers_here() -> IdempotentAnswers:
    """This instance's, over its database."""
    return IdempotentAnswers(engine(), key_ring(), hours=settings().idempotency_hours, clock=lambda: datetime.now(UTC))
