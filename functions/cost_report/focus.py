"""The ledger's days as cost rows that FinOps tools read: a CSV in FOCUS 1.2.

`COLUMNS` is the one table of names: a column is named and filled there and nowhere else, so that 1.3, which renames
the provider's, is a change of lines in it. Source: https://focus.finops.org/focus-specification/v1-2/
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from common.telemetry import semconv

FOCUS_VERSION = "1.2"
TOKENS_PER_PRICING_UNIT = "1000000 Tokens"  # as the models' price lists have it
PRODUCT = "LoanCollateralCheck"

# What a spreadsheet takes for the begin of a formula; the wide ones count where that is how people type.
# Source: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDayRow:
    """What the ledger's entries of one day (UTC) add up to that have all the other fields alike: a `ledger_days` row.

    `model` is the one that answered, or else was asked. `cost_usd` holds nothing of the `unpriced_calls`, of which the
    `lost_calls` are a part; `lost_usd` is what those can have cost at most. Where entries of other days were taken
    back on this one, sums may be negative. `cached_input_tokens` are a part of `input_tokens`.
    """

    day: date
    tenant: str
    principal: str
    agent: str  # "" where there is none
    step: str
    route: str
    lane: str = ""
    provider: str
    model: str
    calls: int
    unpriced_calls: int
    lost_calls: int = 0
    lost_usd: Decimal = Decimal(0)
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    tool_tokens: int = 0
    cost_usd: Decimal

    @property
    def tokens(self) -> int:
        """All that are billed for; each once."""
        return self.input_tokens + self.output_tokens + self.thinking_tokens + self.tool_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who pays: the billing account's id, and its name where it has one."""

    id: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """A provider as FOCUS names it; `category` and `subcategory` are among the specification's values."""

    name: str
    provider: str
    publisher: str
    issuer: str
    category: str = "AI and Machine Learning"
    subcategory: str = "Generative AI"


_GOOGLE: Mapping[str, str] = {"provider": "Google Cloud", "publisher": "Google", "issuer": "Google Cloud"}
_OURS: Mapping[str, str] = dict.fromkeys(("provider", "publisher", "issuer"), PRODUCT)
_SERPER: Mapping[str, str] = dict.fromkeys(("provider", "publisher", "issuer", "name"), "Serper")
_SERVICES: Mapping[str, _Service] = {
    semconv.PROVIDER_GEMINI: _Service(name="Gemini API", **_GOOGLE),
    semconv.PROVIDER_VERTEX_AI: _Service(name="Vertex AI", **_GOOGLE),
    semconv.PROVIDER_GOOGLE: _Service(name="Google generative AI", **_GOOGLE),
    "embedded": _Service(name="Embedded models", **_OURS),  # inside the package, and free
    "serper": _Service(category="Other", subcategory="Other (Other)", **_SERPER),  # searches
}

_Cell = str | int | Decimal | datetime | None

COLUMNS: Mapping[str, Callable[[LedgerDayRow, Account], _Cell]] = {
    # Every cost is the ledger's: what the price list says, exactly. There are no discounts, and nothing is prepaid.
    "BilledCost": lambda row, _: row.cost_usd,
    "BillingAccountId": lambda _, account: account.id,
    "BillingAccountName": lambda _, account: account.name,
    "BillingCurrency": lambda *_: "USD",
    "BillingPeriodEnd": lambda row, _: _midnight(_next_month(row.day)),
    "BillingPeriodStart": lambda row, _: _midnight(row.day.replace(day=1)),
    "ChargeCategory": lambda *_: "Usage",
    "ChargeClass": lambda *_: None,  # a reversal is no correction of an invoice: the ledger is none
    "ChargeDescription": lambda row, _: _description(row),
    "ChargeFrequency": lambda *_: "Usage-Based",
    "ChargePeriodEnd": lambda row, _: _midnight(row.day + timedelta(days=1)),
    "ChargePeriodStart": lambda row, _: _midnight(row.day),
    "ConsumedQuantity": lambda row, _: row.tokens or row.calls,
    "ConsumedUnit": lambda row, _: "Tokens" if row.tokens else "Requests",
    "ContractedCost": lambda row, _: row.cost_usd,
    "EffectiveCost": lambda row, _: row.cost_usd,
    "InvoiceIssuerName": lambda row, _: _service(row).issuer,
    "ListCost": lambda row, _: row.cost_usd,
    "PricingCategory": lambda *_: "Standard",
    "PricingQuantity": lambda row, _: Decimal(row.tokens).scaleb(-6) if row.tokens else row.calls,
    "PricingUnit": lambda row, _: TOKENS_PER_PRICING_UNIT if row.tokens else "Requests",
    "ProviderName": lambda row, _: _service(row).provider,
    "PublisherName": lambda row, _: _service(row).publisher,
    "ResourceId": lambda row, _: row.model,
    "ResourceName": lambda row, _: row.model,
    "ResourceType": lambda row, _: "Model" if row.model else None,
    "ServiceCategory": lambda row, _: _service(row).category,
    "ServiceName": lambda row, _: _service(row).name,
    "ServiceSubcategory": lambda row, _: _service(row).subcategory,
    "SkuId": lambda row, _: row.model or row.provider,
    "SkuMeter": lambda row, _: "Tokens" if row.tokens else "Requests",
    "SkuPriceId": lambda row, _: row.model or row.provider,
    "SubAccountId": lambda row, _: row.tenant,
    "SubAccountName": lambda row, _: row.tenant,
    "Tags": lambda row, _: _tags(row),
    "x_Agent": lambda row, _: row.agent,
    "x_CachedInputTokens": lambda row, _: row.cached_input_tokens,
    "x_Calls": lambda row, _: row.calls,
    "x_InputTokens": lambda row, _: row.input_tokens,
    "x_Lane": lambda row, _: row.lane,
    "x_LostCalls": lambda row, _: row.lost_calls,
    "x_LostCostAtMost": lambda row, _: row.lost_usd,
    "x_OutputTokens": lambda row, _: row.output_tokens,
    "x_PrincipalId": lambda row, _: row.principal,
    "x_Route": lambda row, _: row.route,
    "x_Step": lambda row, _: row.step,
    "x_TenantId": lambda row, _: row.tenant,
    "x_ThinkingTokens": lambda row, _: row.thinking_tokens,
    "x_ToolTokens": lambda row, _: row.tool_tokens,
    "x_UnpricedCalls": lambda row, _: row.unpriced_calls,
}


def focus_csv(rows: Iterable[LedgerDayRow], account: Account) -> bytes:
    """One charge for each of `rows`, in their order, below a header that is always there: UTF-8, lines end with CRLF.

    The sum of BilledCost is the sum of `cost_usd`, to the last digit. BilledCost must not be null, so a call without a
    known price adds 0 to it, and the row says so: in x_UnpricedCalls, and in words in ChargeDescription.

    There are no unit prices, for a row mixes kinds of tokens that are priced apart. A text that a spreadsheet would
    take for a formula has an apostrophe before it; numbers, those below zero too, stay numbers.
    """
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow(COLUMNS)
    for row in rows:
        lines.writerow([_written(fill(row, account)) for fill in COLUMNS.values()])
    return text.getvalue().encode()


def formula_safe(text: str) -> str:
    """`text`, behind an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _written(cell: _Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return formula_safe(cell)
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%dT%H:%M:%SZ}"
    return f"{cell:f}" if isinstance(cell, Decimal) else str(cell)


def _service(row: LedgerDayRow) -> _Service:
    """A provider that is not known here goes by the name that the ledger has for it."""
    known = _SERVICES.get(row.provider)
    return known or _Service(name=row.provider, provider=row.provider, publisher=row.provider, issuer=row.provider)


def _description(row: LedgerDayRow) -> str:
    parts = [f"{_counted(row.calls)} of {row.model or row.provider} for {row.step}, at the list price"]
    if row.unpriced_calls:
        parts.append(f"{_counted(row.unpriced_calls)} without a known price: what they cost is not in the amount")
    if row.lost_calls:
        parts.append(f"{_counted(row.lost_calls)} of those without an answer, of {row.lost_usd:f} USD at most")
    if row.cost_usd < 0:
        parts.append("less what was taken back of earlier days")
    return "; ".join(parts)


def _counted(calls: int) -> str:
    return f"{calls:,} {'call' if calls == 1 else 'calls'}"


def _tags(row: LedgerDayRow) -> str | None:
    """What most tools group by, as they look at no x_ column."""
    tags = {"agent": row.agent, "lane": row.lane, "route": row.route, "step": row.step}
    given = {name: value for name, value in tags.items() if value}
    return json.dumps(given, ensure_ascii=False) if given else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
