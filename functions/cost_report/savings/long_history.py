"""Earlier turns that went along with questions which do not go on from them."""

from collections.abc import Iterator

from sqlalchemy import and_, case, func, not_, select

from functions.cost_report.savings.found import Found, found
from functions.cost_report.savings.pricing import tokens_saved, uncached
from functions.cost_report.savings.traffic import DRAFT, Traffic, counted, entry, facts


def find(traffic: Traffic) -> Iterator[Found]:
    """The history's tokens of each draft for a question that is no follow-up, at the input price of its call.

    No more than the call's uncached input is counted: what came from the provider's cache cost next to nothing.
    """
    alone = and_(facts.history_tokens > 0, not_(facts.is_follow_up))
    needless = case((facts.history_tokens < uncached, facts.history_tokens), else_=uncached)
    by_tenant = tokens_saved(
        traffic,
        and_(traffic.answers(found_by_call=True), alone, entry.step == DRAFT),
        needless,
        lambda rates: rates.input,
        (facts.tenant,),
    )
    saved = by_tenant.get((traffic.tenant,))
    if saved is None:
        return
    query = select(func.count(), func.count(facts.session_id.distinct())).where(traffic.answers(), alone)
    questions, sessions = traffic.connection.execute(query).one()
    yield found(
        traffic,
        kind="long-history",
        subject="",
        title=f"Earlier turns went along with {counted(questions, 'question')} that stood alone",
        advice="Send history only with a question that reads as a follow-up, or lower HISTORY_TOKENS; begin a new "
        "session for a new subject.",
        saving_usd=saved.usd,
        how_certain="estimated",
        evidence={
            "questions": f"{questions:,} in {counted(sessions, 'session')}",
            "tokens of history": f"{saved.tokens:,} in the drafts' prompts",
            "assumption": "a token is about four characters; a question that neither refers back nor is cut short "
            "would have been answered as well without what came before",
        },
        calls=saved.calls,
    )
