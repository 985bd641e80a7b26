"""Findings as they are kept: each tenant's, as its last analysis found them, with all their entry ids."""

import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, RowMapping, delete, func, select, update

from common.database.tables import savings_findings
from functions.cost_report.models import Finding, Period, Savings, Usd
from functions.cost_report.savings.found import Found, finding_id
from functions.cost_report.savings.replayed import Replay, measured

ANALYSIS = "analysis"  # the kind of the one row a tenant that tells when it was looked through, found or not

_row = savings_findings.c


class _Kept(BaseModel):
    """What the column `finding` holds: the finding without any replay, and what its calls cost in 30 days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finding: Finding
    cost_usd_per_month: Usd


class Stored(BaseModel):
    """A finding as it is kept, with whose it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str
    period_start: datetime
    period_end: datetime
    finding: Finding


def store(connection: Connection, tenant: str, findings: Iterable[Found], period: Period, found_at: datetime) -> None:
    """Keep `findings`, all of them the tenant's own, in place of those that it had.

    What a replay measured stays with a finding that comes again.
    """
    kept = list(findings)
    if any(one.tenant != tenant for one in kept):
        raise ValueError("a finding of another tenant")
    common = {"tenant": tenant, "found_at": found_at, "period_start": period.start, "period_end": period.end}
    _put(connection, [common | _of_analysis(tenant)])  # first: another analysis of the tenant's waits here for this one
    replays = _replays(connection, tenant)
    connection.execute(delete(savings_findings).where(_row.tenant == tenant, _row.kind != ANALYSIS))
    _put(connection, [common | _of_finding(one) | {"replay": replays.get(one.finding.id)} for one in kept])


def stored(connection: Connection, tenant: str | None) -> Savings:
    """What the last analysis found, dearest first, with what replays measured; None: of all tenants.

    `found_at` is that of the oldest analysis among them.
    """
    query = select(func.min(_row.found_at)).where(_row.kind == ANALYSIS)
    found_at = connection.scalar(query if tenant is None else query.where(_row.tenant == tenant))
    return Savings(found_at=found_at, findings=[one.finding for one in stored_findings(connection, tenant)])


def stored_findings(connection: Connection, tenant: str | None) -> Sequence[Stored]:
    """The same, each with whose it is; dearest first."""
    query = select(savings_findings).where(_row.kind != ANALYSIS)
    rows = connection.execute(query if tenant is None else query.where(_row.tenant == tenant)).mappings()
    return sorted(map(_stored, rows), key=lambda one: (-one.finding.usd_per_month, one.finding.id))


def stored_finding(connection: Connection, id_: str, tenant: str | None = None) -> Stored | None:
    """The finding of that id; None: there is none, or it is not the tenant's."""
    query = select(savings_findings).where(_row.id == id_, _row.kind != ANALYSIS)
    if tenant is not None:
        query = query.where(_row.tenant == tenant)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _stored(row)


def entry_ids_of(connection: Connection, id_: str) -> Sequence[int]:
    """All ledger entries that the finding rests on, in rising order; empty: there is no such finding."""
    packed = connection.scalar(select(_row.entry_ids).where(_row.id == id_))
    return [] if packed is None else unpack(packed)


def keep_replay(connection: Connection, id_: str, replay: Replay) -> bool:
    """Keep what was measured with its finding; whether that is still there."""
    text = replay.model_dump_json()
    return bool(connection.execute(update(savings_findings).where(_row.id == id_).values(replay=text)).rowcount)


def pack(ids: Iterable[int]) -> bytes:
    """Rising numbers in few bytes: the steps between them, seven bits a byte, compressed."""
    packed, before = bytearray(), 0
    for one in ids:
        step, before = one - before, one
        while step > 0x7F:
            packed.append(step & 0x7F | 0x80)
            step >>= 7
        packed.append(step)
    return zlib.compress(bytes(packed))


def unpack(packed: bytes) -> Sequence[int]:
    """The numbers that `pack` was given."""
    ids, last, step, shift = array("q"), 0, 0, 0
    for byte in zlib.decompress(packed):
        step |= (byte & 0x7F) << shift
        shift += 7
        if byte <= 0x7F:
            last += step
            ids.append(last)
            step = shift = 0
    return ids


def _replays(connection: Connection, tenant: str) -> Mapping[str, str]:
    query = select(_row.id, _row.replay).where(_row.tenant == tenant, _row.replay.is_not(None)).with_for_update()
    return {row.id: row.replay for row in connection.execute(query)}


def _stored(row: RowMapping) -> Stored:
    kept = _Kept.model_validate_json(row["finding"])
    finding = kept.finding
    if row["replay"] is not None:
        finding = measured(finding, Replay.model_validate_json(row["replay"]), kept.cost_usd_per_month)
    return Stored(tenant=row["tenant"], period_start=row["period_start"], period_end=row["period_end"], finding=finding)


def _of_finding(one: Found) -> dict[str, object]:
    kept = _Kept(finding=one.finding, cost_usd_per_month=one.cost_usd_per_month)
    return {
        "id": one.finding.id,
        "kind": one.finding.kind,
        "usd_per_month": one.finding.usd_per_month,
        "finding": kept.model_dump_json(),
        "entry_ids": pack(one.entry_ids),
    }


def _of_analysis(tenant: str) -> dict[str, object]:
    return {
        "id": finding_id(ANALYSIS, tenant, "", ""),
        "kind": ANALYSIS,
        "usd_per_month": Decimal(0),
        "finding": "{}",
        "entry_ids": pack([]),
        "replay": None,
    }


def _put(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows anew or over those of the same id."""
    if not rows:
        return
    from sqlalchemy.dialects import postgresql, sqlite

    inserting = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    upsert = inserting(savings_findings)
    names = [column.name for column in savings_findings.columns if column.name != "id"]
    changed = {name: upsert.excluded[name] for name in names}
    connection.execute(upsert.on_conflict_do_update(index_elements=["id"], set_=changed), rows)
