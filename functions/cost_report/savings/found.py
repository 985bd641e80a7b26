"""A finding with all that it rests on, before it is stored."""

import hashlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from functions.cost_report.models import Finding
from functions.cost_report.savings.traffic import Calls, Traffic, evidence_of

SHOWN_IDS = 20
ID_DIGITS = 12

Kind = Literal[
    "repeated-questions",
    "cheaper-lane",
    "uncited-passages",
    "long-history",
    "thinking",
    "repeated-embeddings",
    "price-change",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`finding` with all its `entry_ids` in rising order, and what those calls cost in 30 days.

    `saving_usd` is what the period itself would have saved.
    """

    tenant: str
    finding: Finding
    entry_ids: "array[int]"
    saving_usd: Decimal
    cost_usd_per_month: Decimal


def found(
    traffic: Traffic,
    *,
    kind: Kind,
    subject: str,
    title: str,
    advice: str,
    saving_usd: Decimal,
    how_certain: Literal["computed", "estimated"],
    evidence: Mapping[str, str],
    calls: Calls,
    can_be_replayed: bool = False,
) -> Found:
    """The finding of `kind` about `subject`, which tells it from others of its kind, and stays the same in each run."""
    entry_ids = array("q", sorted(calls.ids))
    finding = Finding(
        id=finding_id(kind, traffic.tenant, subject, traffic.label),
        kind=kind,
        title=title,
        advice=advice,
        usd_per_month=traffic.per_month(saving_usd),
        how_certain=how_certain,
        evidence=evidence_of(traffic, calls, evidence),
        entries=len(entry_ids),
        entry_ids=entry_ids[:SHOWN_IDS].tolist(),
        can_be_replayed=can_be_replayed,
    )
    return Found(
        tenant=traffic.tenant,
        finding=finding,
        entry_ids=entry_ids,
        saving_usd=saving_usd,
        cost_usd_per_month=traffic.per_month(calls.cost_usd),
    )


def finding_id(kind: str, tenant: str, subject: str, label: str) -> str:
    """The same for the same finding in each run over a period of that label, so that what a replay measured stays."""
    named = "\x00".join((tenant, subject, label)).encode()
    return f"{kind}-{hashlib.sha256(named).hexdigest()[:ID_DIGITS]}"
