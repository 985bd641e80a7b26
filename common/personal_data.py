"""What is kept of a person: found, given out, deleted. And what of all persons is deleted when its time is over.

A person is looked for by an identifier (an e-mail address, a phone, social security, card or account number), in
whatever spelling it was written, or by a name. Identifiers in sealed rows are found by their keyed hashes; a name has
none, so all rows of the tenant are opened and read for it.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, select

from common.costs.answers import forget_questions
from common.database.engine import read
from common.database.tables import api_keys, documents, idempotent_answers, sessions, subject_marks, turns
from common.knowledge.repair import slices
from common.security.encryption import API_KEY_LABEL, IDEMPOTENT_BODY, TURN_CONTENT, Sealer, row_of
from common.security.idempotency import HOLDER as ANSWERS
from common.security.idempotency import texts_of
from common.security.marks import NotAnIdentifier, forget_marks, mark_of, marks_of, texts_in

TURNS = turns.name  # holder of marks
BATCH = 200

Reads = Callable[[str], bool]
"""Whether a text speaks of the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Where a person is spoken of within one tenant: turns by uid, kept answers, documents and keys by id."""

    turns: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        return {
            "turns": len(self.turns),
            "answers": len(self.answers),
            "documents": len(self.documents),
            "keys": len(self.keys),
        }

    def __bool__(self) -> bool:
        return any(self.counts().values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    sessions: int
    turns: int


class Subject:
    """The person. `mark` is the keyed hash of the identifier that `text` is; None where it is a name."""

    def __init__(self, text: str) -> None:
        self.text = " ".join(unicodedata.normalize("NFC", text).split())
        try:
            self.mark: str | None = mark_of(text)
        except NotAnIdentifier:
            self.mark = None
        words = r"\s+".join(map(re.escape, self.text.split()))
        self._name = re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)

    def is_in(self, text: str) -> bool:
        """Whether `text` holds the identifier in any spelling, or the name as whole words."""
        if self.mark is not None:
            return self.mark in marks_of(text)
        return self._name.search(unicodedata.normalize("NFC", text)) is not None


def find(engine: Engine, sealer: Sealer, tenant: str, subject: Subject) -> Holdings:
    """All that speaks of `subject`."""
    with read(engine) as connection:
        return Holdings(
            turns=tuple(_turns(connection, sealer, tenant, subject)),
            answers=tuple(_answers(connection, sealer, tenant, subject)),
            documents=tuple(_documents(connection, tenant, subject)),
            keys=tuple(_keys(connection, sealer, tenant, subject)),
        )


def give_out(connection: Connection, sealer: Sealer, tenant: str, found: Holdings) -> dict[str, Any]:
    """What `found` points to, opened, as JSON takes it."""
    of_turns = select(turns).where(turns.c.tenant == tenant)
    of_documents = select(documents).where(documents.c.tenant == tenant)
    return {
        "turns": [
            {
                "session_id": row.session_id,
                "created_at": row.created_at.isoformat(),
                "agent": row.agent,
                **json.loads(sealer.open(row.content, TURN_CONTENT, row_of(tenant, row.uid))),
            }
            for some in slices(found.turns)
            for row in connection.execute(of_turns.where(turns.c.uid.in_(some)))
        ],
        "documents": [
            {"id": row.id, "title": row.title, "source": row.source, "metadata": row.metadata, "text": row.text}
            for some in slices(found.documents)
            for row in connection.execute(of_documents.where(documents.c.id.in_(some)))
        ],
        "kept_answers": len(found.answers),  # copies of answers among the turns
        "api_keys": list(found.keys),
    }


def delete_turns(connection: Connection, tenant: str, uids: Sequence[str]) -> Deleted:
    """Delete up to `BATCH` turns with their marks and their questions', and sessions that are left without any."""
    touched = select(turns.c.session_id).where(turns.c.tenant == tenant, turns.c.uid.in_(uids)).distinct()
    session_ids = connection.execute(touched).scalars().all()
    # On PostgreSQL a turn could come into a session between the look at its turns and its end: it waits now.
    held = select(sessions.c.id).where(sessions.c.id.in_(session_ids)).order_by(sessions.c.id).with_for_update()
    connection.execute(held)
    ours = (turns.c.tenant == tenant) & turns.c.uid.in_(uids)
    asked = connection.execute(select(turns.c.request_id).where(ours)).scalars().all()
    forget_questions(connection, session_ids, asked)
    gone = connection.execute(delete(turns).where(ours)).rowcount
    forget_marks(connection, TURNS, uids)
    empty = sessions.c.id.in_(session_ids) & ~select(turns.c.id).where(turns.c.session_id == sessions.c.id).exists()
    return Deleted(sessions=connection.execute(delete(sessions).where(empty)).rowcount, turns=gone)


def delete_answers(connection: Connection, tenant: str, ids: Sequence[str]) -> None:
    """Delete kept answers with their marks: whoever asks again with that key is answered anew."""
    of_tenant = (idempotent_answers.c.tenant == tenant) & idempotent_answers.c.id.in_(ids)
    connection.execute(delete(idempotent_answers).where(of_tenant))
    forget_marks(connection, ANSWERS, ids)


def delete_sessions_before(connection: Connection, before: datetime) -> Deleted:
    """Delete up to `BATCH` sessions that were last used before, with their turns; of every tenant.

    One that somebody goes on with at this moment is not among them.
    """
    old = select(sessions.c.id).where(sessions.c.updated_at < before).order_by(sessions.c.updated_at).limit(BATCH)
    ids = connection.execute(old.with_for_update(skip_locked=True)).scalars().all()
    if not ids:
        return Deleted(sessions=0, turns=0)
    held = connection.execute(select(turns.c.uid, turns.c.request_id).where(turns.c.session_id.in_(ids))).all()
    uids = [row.uid for row in held]
    forget_marks(connection, TURNS, uids)
    for some in slices([row.request_id for row in held]):
        forget_questions(connection, ids, some)
    connection.execute(delete(turns).where(turns.c.session_id.in_(ids)))
    return Deleted(
        sessions=connection.execute(delete(sessions).where(sessions.c.id.in_(ids))).rowcount, turns=len(uids)
    )


def _marked(connection: Connection, tenant: str, holder: str, mark: str) -> Sequence[str]:
    of_tenant = (subject_marks.c.tenant == tenant) & (subject_marks.c.holder == holder)
    return (
        connection.execute(select(subject_marks.c.uid).where(of_tenant, subject_marks.c.mark == mark)).scalars().all()
    )


def _turns(connection: Connection, sealer: Sealer, tenant: str, subject: Subject) -> Iterator[str]:
    if subject.mark is not None:
        yield from _marked(connection, tenant, TURNS, subject.mark)
        return
    query = select(turns.c.uid, turns.c.content).where(turns.c.tenant == tenant)
    with connection.execute(query.execution_options(yield_per=BATCH)) as rows:  # closed where one does not open
        for row in rows:
            content = json.loads(sealer.open(row.content, TURN_CONTENT, row_of(tenant, row.uid)))
            if any(map(subject.is_in, texts_in(content))):
                yield row.uid


def _answers(connection: Connection, sealer: Sealer, tenant: str, subject: Subject) -> Iterator[str]:
    if subject.mark is not None:
        yield from _marked(connection, tenant, ANSWERS, subject.mark)
        return
    kept = idempotent_answers.c
    query = select(kept.id, kept.content_type, kept.body).where(kept.tenant == tenant, kept.body.is_not(None))
    with connection.execute(query.execution_options(yield_per=BATCH)) as rows:
        for row in rows:
            body = sealer.open(row.body, IDEMPOTENT_BODY, row_of(tenant, row.id))
            if any(map(subject.is_in, texts_of(row.content_type, body))):
                yield row.id


def _documents(connection: Connection, tenant: str, subject: Subject) -> Iterator[str]:
    query = select(documents).where(documents.c.tenant == tenant).execution_options(yield_per=BATCH)
    for row in connection.execute(query):
        values = map(str, row.metadata.values())  # a number may be a person's as well
        if any(map(subject.is_in, (row.id, row.title, row.text, row.source or "", *values))):
            yield row.id


def _keys(connection: Connection, sealer: Sealer, tenant: str, subject: Subject) -> Iterator[str]:
    for row in connection.execute(select(api_keys.c.id, api_keys.c.label).where(api_keys.c.tenant == tenant)):
        if subject.is_in(sealer.open(row.label, API_KEY_LABEL, row_of(tenant, row.id)).decode()):
            yield row.id
