"""The questions that cost most: which they were, how often they were asked, what all of it cost."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Float, and_, cast, false, func, or_, select

from common.database.tables import answer_facts, ledger_entries, turns
from common.llm.shield import marked
from common.pii import mask
from common.security.encryption import TURN_CONTENT, CannotOpen, Sealer, row_of
from functions.cost_report.costs import plain
from functions.cost_report.models import TopQuestion

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from common.security.keyring import KeyRing

MOST = 10
MAX_CHARACTERS = 120
LOOKED_AT = 20_000  # answers among which the dearest are looked for: the newest

_fact, _entry = answer_facts.c, ledger_entries.c
# A caller may name several requests alike; a question with a mark is the first of its session.
_PAID_FOR = and_(_entry.request_id == _fact.request_id, _entry.session_id == _fact.session_id)

Mark = tuple[str, str]
"""Tenant and mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """How often a question was asked, and the last time."""

    times: int
    agent: str
    request_id: str
    session_id: str
    last_at: datetime


def top_questions(
    connection: Connection,
    ring: "KeyRing | None",
    dearest: Sequence[Mark],
    start: datetime,
    end: datetime,
    tenant: str | None,
) -> list[TopQuestion]:
    """The `dearest_questions` asked from `start` to before `end`, dearest first; of one tenant, or of all.

    A question is the same one where its words are, within a tenant, whatever their case. Those asked within a
    conversation stand for no question of their own and are left out, as those that cost nothing. The words come from
    the newest conversation that has them, masked and cut; where that is deleted, or does not open, or there is no
    `ring`, they are None.
    """
    is_dearest = _is_asked(start, end, tenant) & _one_of((_fact.tenant, _fact.question_mark), dearest)
    costs = _costs(connection, is_dearest)
    asked = _asked(connection, is_dearest)
    words = {} if ring is None else _words(connection, ring, asked)
    found = [
        TopQuestion(question=words.get(mark), asked=one.times, agent=one.agent, cost_usd=plain(costs[mark]))
        for mark, one in asked.items()
        if costs[mark] > 0
    ]
    return sorted(found, key=lambda one: -one.cost_usd)


def dearest_questions(
    connection: Connection, start: datetime, end: datetime, tenant: str | None, most: int = MOST
) -> Sequence[Mark]:
    """The questions that cost most among those of the newest `LOOKED_AT` answers.

    Told by a sum of floats, which is good enough to choose by: SQLite keeps exact costs as text.
    """
    columns = (_fact.tenant, _fact.question_mark, _fact.request_id, _fact.session_id)
    by_age = select(*columns).where(_is_asked(start, end, tenant)).order_by(_fact.created_at.desc())
    newest = by_age.limit(LOOKED_AT).subquery().c
    query = (
        select(newest.tenant, newest.question_mark)
        .join(ledger_entries, and_(_entry.request_id == newest.request_id, _entry.session_id == newest.session_id))
        .where(_entry.cost_usd.is_not(None))
        .group_by(newest.tenant, newest.question_mark)
        .order_by(func.sum(cast(_entry.cost_usd, Float)).desc(), newest.question_mark)
        .limit(most)
    )
    return [(tenant, mark) for tenant, mark in connection.execute(query)]


def _is_asked(start: datetime, end: datetime, tenant: str | None) -> "ColumnElement[bool]":
    is_asked = and_(_fact.created_at >= start, _fact.created_at < end, _fact.question_mark.is_not(None))
    return is_asked if tenant is None else is_asked & (_fact.tenant == tenant)


def _costs(connection: Connection, is_asked: "ColumnElement[bool]") -> Mapping[Mark, Decimal]:
    query = (
        select(_fact.tenant, _fact.question_mark, _entry.cost_usd, func.count())
        .join(ledger_entries, _PAID_FOR)
        .where(is_asked, _entry.cost_usd.is_not(None))
        .group_by(_fact.tenant, _fact.question_mark, _entry.cost_usd)
    )
    costs: defaultdict[Mark, Decimal] = defaultdict(Decimal)
    for tenant, mark, cost, count in connection.execute(query):
        costs[tenant, mark] += cost * count
    return costs


def _asked(connection: Connection, is_asked: "ColumnElement[bool]") -> Mapping[Mark, _Asked]:
    newest = (
        select(func.max(_fact.id).label("id"), func.count().label("times"))
        .where(is_asked)
        .group_by(_fact.tenant, _fact.question_mark)
        .subquery()
    )
    columns = (_fact.tenant, _fact.question_mark, newest.c.times, _fact.agent, _fact.request_id, _fact.session_id)
    rows = connection.execute(select(*columns, _fact.created_at).join(newest, newest.c.id == _fact.id))
    return {
        (row.tenant, row.question_mark): _Asked(
            times=row.times,
            agent=row.agent,
            request_id=row.request_id,
            session_id=row.session_id,
            last_at=row.created_at,
        )
        for row in rows
    }


def _words(connection: Connection, ring: "KeyRing", asked: Mapping[Mark, _Asked]) -> Mapping[Mark, str]:
    """The questions as they were asked in those requests; one that cannot be read is left out."""
    marks = {(tenant, one.session_id, one.request_id): (tenant, mark) for (tenant, mark), one in asked.items()}
    column = turns.c
    columns = (column.tenant, column.session_id, column.request_id, column.created_at, column.uid, column.content)
    query = select(*columns).where(_one_of((column.tenant, column.session_id, column.request_id), list(marks)))
    sealer = Sealer(ring)
    words: dict[Mark, str] = {}
    for tenant, session_id, request_id, at, uid, sealed in connection.execute(query):
        mark = marks[tenant, session_id, request_id]
        if at != asked[mark].last_at:  # another turn of the session, under the same id
            continue
        try:
            content = json.loads(sealer.open(sealed, TURN_CONTENT, row_of(tenant, uid)))
        except CannotOpen:  # its key is gone, and with it what was said
            continue
        words[mark] = _shown(content["message"])
    return words


def _one_of(columns: Sequence["ColumnElement[str]"], values: Sequence[tuple[str, ...]]) -> "ColumnElement[bool]":
    """As `(a, b) IN (...)`, for which SQLite would look at every row."""
    each = (and_(*(column == one for column, one in zip(columns, value, strict=True))) for value in values)
    return or_(false(), *each)


def _shown(message: str) -> str:
    """Masked before it is cut, for half of a number would not be told as one."""
    masked = " ".join(mask(marked(message)).split())
    return masked if len(masked) <= MAX_CHARACTERS else f"{masked[: MAX_CHARACTERS - 1].rstrip()}…"
