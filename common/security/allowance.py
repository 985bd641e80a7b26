"""What one principal's questions and documents may cost in a day: nobody runs up the model's bill by asking on.

The ledger is asked before a paid model is. What is being answered at that moment is not in it yet, so a day may end
above its allowance by as much as a principal's requests in flight cost (`Settings.max_concurrent_requests`). A call
that was left in the middle counts for all that it can have used.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common.metrics import metrics_collector
from common.problems import QuotaExceeded
from common.security.principal import Principal
from common.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from common.llm.chat import TokenUsage


def check_allowance(principal: Principal, settings: Settings, engine: "Engine", now: datetime) -> None:
    """To be called before a model that may cost something; the embedded ones never do. `now` is in UTC, where days
    end at midnight.

    Raises:
        QuotaExceeded: the principal's tokens or money of this day are used up, until midnight.
        DatabaseUnavailable: as `read`.
    """
    if not settings.has_gemini or not (settings.daily_tokens or settings.daily_usd):
        return
    from common.costs.ledger import spent_since
    from common.database.engine import read

    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    with read(engine) as connection:
        spent = spent_since(connection, principal.id, midnight, most_of_a_call(settings))
    used_up = []
    if settings.daily_tokens and spent.tokens >= settings.daily_tokens:
        used_up.append(f"{settings.daily_tokens:,} model tokens")
    if settings.daily_usd and spent.cost_usd >= settings.daily_usd:
        used_up.append(f"{settings.daily_usd:,.2f} USD for models")
    if used_up:
        metrics_collector.record_limit("allowance", "refused")
        raise QuotaExceeded(
            f"This key's or account's {' and '.join(used_up)} of this day are used up. The next day begins at "
            "midnight UTC.",
            retry_after_seconds=(midnight + timedelta(days=1) - now).total_seconds(),
        )


def most_of_a_call(settings: Settings) -> "TokenUsage":
    """About what one call can use: all that goes into a prompt at its longest, a draft under review, a whole answer."""
    from common.llm.chat import CHARACTERS_A_TOKEN, TokenUsage

    message = settings.max_message_characters // CHARACTERS_A_TOKEN
    texts = settings.evidence_tokens + settings.history_tokens + message + settings.max_output_tokens
    return TokenUsage(input_tokens=texts, output_tokens=settings.max_output_tokens)
