"""What the audit says of stored documents: an event in each transaction of `KnowledgeStore.put` that stores some.

Whatever is killed in between, no document is there without its event, and no event without its documents.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from common.knowledge.store import Along
from common.security.audit import Event, Outcome, record

if TYPE_CHECKING:
    from common.security.keyring import KeyRing

AUDITED_ID_CHARACTERS = 2_000  # of the ids of one event, together


@dataclass(frozen=True, slots=True, kw_only=True)
class Storing:
    """Who stores documents, whose they are, and in which request."""

    tenant: str
    actor: str
    request_id: str | None = None

    def along(self, ring: "KeyRing") -> Along:
        """For `KnowledgeStore.put`. `ring` has to be there before: what is not made yet is made in a transaction."""

        def note(connection: Connection, ids: Sequence[str]) -> None:
            record(connection, self.event(ids, "done"), ring=ring)

        return note

    def event(self, ids: Sequence[str], outcome: Outcome) -> Event:
        """How many documents these are, and the first of their ids, as many as fit among an event's facts."""
        return Event(
            tenant=self.tenant,
            actor=self.actor,
            action="document.stored",
            target=ids[0],
            outcome=outcome,
            request_id=self.request_id,
            facts={"documents": len(ids), "ids": list(_first(ids))},
        )


def _first(ids: Sequence[str]) -> Iterator[str]:
    left = AUDITED_ID_CHARACTERS
    for one in ids:
        left -= len(ascii(one))  # facts are ASCII
        if left < 0:
            return
        yield one
