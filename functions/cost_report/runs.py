"""Which scheduled reports are done: one a period, whoever asks for it how often and at how many places at once.

A row in the database is the right to do the work. It lasts as long as a request may, so that a run that was killed is
done again by the next one; a run that fails gives it back at once. What was due and is not finished stays known until
it is done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from sqlalchemy import ColumnElement, Connection, Engine, select, update
from sqlalchemy.dialects import postgresql, sqlite

from common.database.engine import write
from common.database.tables import report_runs
from common.problems import AssistantError

_run = report_runs.c
_GIVEN_BACK = datetime(1970, 1, 1, tzinfo=UTC)  # as if it had been begun so long ago


class RunInProgress(AssistantError):
    """Another request makes this report at this moment."""

    type = "/problems/report-in-progress"
    title = "This report is being made"
    status = HTTPStatus.CONFLICT

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after_seconds)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to make the report of `key`, held by `owner` alone."""

    key: str
    owner: str


def expect(engine: Engine, keys: Iterable[str]) -> None:
    """Note that these reports are due, so that they are `unfinished` until they are made, whatever comes between."""
    inserting = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    new = [{"period": key, "started_at": _GIVEN_BACK, "owner": ""} for key in keys]
    with write(engine) as connection:
        connection.execute(inserting(report_runs).on_conflict_do_nothing(), new)


def claim(engine: Engine, key: str, owner: str, now: datetime, lease: timedelta) -> Claim | Mapping[str, str]:
    """The right to make the report, or where its files are, if it was made.

    Raises:
        RunInProgress: somebody has the right, and may still be at work.
    """
    inserting = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    with write(engine) as connection:
        new = inserting(report_runs).values(period=key, started_at=now, owner=owner)
        # Not by its row count, which PostgreSQL's driver does not tell of an INSERT.
        if connection.execute(new.on_conflict_do_nothing().returning(_run.period)).first() is not None:
            return Claim(key=key, owner=owner)
        row = connection.execute(select(report_runs).where(_run.period == key).with_for_update()).one()
        if row.finished_at is not None:
            return dict(row.files)
        if row.started_at + lease > now:
            raise RunInProgress(max(1, round((row.started_at + lease - now).total_seconds())))
        connection.execute(update(report_runs).where(_run.period == key).values(started_at=now, owner=owner))
    return Claim(key=key, owner=owner)


def finish(connection: Connection, mine: Claim, files: Mapping[str, str], now: datetime) -> None:
    """Note that the report is made and where it is, in the transaction that tells of it.

    Raises:
        RunInProgress: it took so long that another request has the right by now, and tells of it.
    """
    done = update(report_runs).where(_is(mine)).values(finished_at=now, files=dict(files))
    if not connection.execute(done).rowcount:
        raise RunInProgress(1)


def give_back(engine: Engine, mine: Claim) -> None:
    """The work was not done: whoever comes next does it."""
    with write(engine) as connection:
        connection.execute(update(report_runs).where(_is(mine)).values(started_at=_GIVEN_BACK))


def unfinished(connection: Connection, before: datetime, tenant: str | None, most: int) -> Sequence[str]:
    """Labels of periods whose report was due or begun `before` and never finished: the newest of them."""
    begun = select(_run.period).where(_run.finished_at.is_(None), _run.started_at < before)
    labels = []
    for key in connection.scalars(begun.order_by(_run.period.desc())):
        label, _, whose = key.partition(" ")
        if (whose or None) == tenant:
            labels.append(label)
    return labels[:most]


def key_of(label: str, tenant: str | None) -> str:
    """What a report is known by: its period's label, with the tenant's name where it is about one alone."""
    return label if tenant is None else f"{label} {tenant}"


def _is(mine: Claim) -> "ColumnElement[bool]":
    return (_run.period == mine.key) & (_run.owner == mine.owner) & _run.finished_at.is_(None)
