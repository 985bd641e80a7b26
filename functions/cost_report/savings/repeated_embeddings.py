"""Texts that were embedded again by the same model: their vectors were known."""

from collections.abc import Iterator

from sqlalchemy import Subquery, func, select

from common.database.tables import ledger_entries
from functions.cost_report.savings.found import Found, found
from functions.cost_report.savings.traffic import Traffic, counted, entry


def find(traffic: Traffic) -> Iterator[Found]:
    """All successful embedding calls but the first of those that sent the same to the same model."""
    ranked = _ranked(traffic)
    query = select(func.count(ranked.c.content_mark.distinct()), func.count()).where(ranked.c.number > 1)
    texts, again = traffic.connection.execute(query).one()
    if not again:
        return
    calls = traffic.read_calls(select(ranked.c.id, ranked.c.cost_usd).where(ranked.c.number > 1))
    if not traffic.matters(calls.cost_usd):
        return
    yield found(
        traffic,
        kind="repeated-embeddings",
        subject="",
        title=f"{counted(again, 'call')} embedded texts whose vectors were known",
        advice="Keep vectors by a hash of their text and model: raise RETRIEVAL_CACHE_ENTRIES and "
        "RETRIEVAL_CACHE_SECONDS for questions, and send only documents that have changed.",
        saving_usd=calls.cost_usd,
        how_certain="computed",
        evidence={
            "texts sent more than once": f"{texts:,}",
            "calls after the first": f"{again:,}",
            "counted as the same": "the same keyed hash of what was sent, to the same model; only calls that succeeded",
        },
        calls=calls,
    )


def _ranked(traffic: Traffic) -> Subquery:
    number = func.row_number().over(
        partition_by=(entry.content_mark, entry.provider, entry.model_asked), order_by=(entry.created_at, entry.id)
    )
    return (
        select(entry.id, entry.cost_usd, entry.content_mark, number.label("number"))
        .select_from(ledger_entries)
        .where(traffic.calls(), entry.step == "embed", entry.outcome == "ok", entry.content_mark.is_not(None))
        .subquery("ranked")
    )
