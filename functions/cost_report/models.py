"""What a cost report says, whichever of its three formats it is given in.

Amounts are USD and exact: in JSON they are texts, for a JSON number is a float with most readers. Days and periods are
UTC and half-open. `None` is "not known" or "cannot be formed", never zero.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer

SCHEMA_VERSION = "1.0"

Usd = Annotated[Decimal, PlainSerializer(lambda value: f"{value:f}", return_type=str, when_used="json")]
Dimension = Literal["tenant", "principal", "agent", "step", "model", "route"]
DIMENSIONS: tuple[Dimension, ...] = ("tenant", "principal", "agent", "step", "model", "route")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Period(_Model):
    """Half-open, from midnight UTC to midnight UTC. `is_over` tells whether more can still be added to it."""

    label: str  # as it was asked for, as in "30d" or "2026-11"
    start: datetime
    end: datetime
    days: int
    is_over: bool


class Tokens(_Model):
    """`cached_input` is a part of `input`; `thinking` is not a part of `output`."""

    input: int = 0
    cached_input: int = 0
    output: int = 0
    thinking: int = 0
    tool: int = 0


class Totals(_Model):
    """`cost_usd` is what models, embeddings and paid searches cost; calls without a price are only in `unpriced_calls`.

    `cached_share_percent` is the share of input tokens that were cached. `answers` counts replies of every kind,
    `answered` those that answered the question.
    """

    cost_usd: Usd
    cloud_cost_usd: Usd | None  # None where no billing export is given
    calls: int
    unpriced_calls: int
    lost_calls: int  # begun, and never heard of again: what they may have cost is in no sum
    lost_usd_at_most: Usd
    answers: int
    answered: int
    usd_per_answer: Usd | None
    usd_per_1000_answers: Usd | None
    cached_share_percent: float | None
    tokens: Tokens


class Group(_Model):
    """A part of the costs: what `key` stands for is told by where it is. `share_percent` is of the costs."""

    key: str
    cost_usd: Usd
    calls: int
    unpriced_calls: int
    share_percent: float | None
    tokens: Tokens


class Day(_Model):
    day: date
    cost_usd: Usd
    cloud_cost_usd: Usd | None
    calls: int
    answers: int
    unpriced_calls: int


class ForecastDay(_Model):
    day: date
    expected_usd: Usd
    low_usd: Usd
    high_usd: Usd


class Forecast(_Model):
    """What the period will have cost at its end: what it has cost so far and `days`, today's rest among them.

    `method` names it ("run rate", "exponential smoothing, weekly pattern"), `why` says in a sentence why that one.
    The true total lies between `low_usd` and `high_usd` in about `confidence_percent` of cases, if all goes on alike.
    """

    method: str
    why: str
    history_days: int
    total_usd: Usd
    low_usd: Usd
    high_usd: Usd
    confidence_percent: int
    days: list[ForecastDay]


class BudgetState(_Model):
    """A budget that this report's reader may see, in the period of its own that now is in."""

    id: str
    scope: str  # "all", "tenant acme", ...
    period: Literal["day", "week", "month", "year"]
    time_zone: str
    amount_usd: Usd
    spent_usd: Usd
    held_usd: Usd  # of calls under way
    used_percent: float
    state: Literal["open", "soft", "hard"]
    starts_at: datetime
    resets_at: datetime


class Anomaly(_Model):
    """A day, or a principal's day, outside its own pattern: `driver` says what drove it, by `evidence`."""

    day: date
    subject: str  # "all", or "principal KEY-ID"
    cost_usd: Usd
    expected_usd: Usd
    driver: Literal["model switched", "tokens per call grew", "calls grew", "one principal", "price changed", "unclear"]
    evidence: str


class TopQuestion(_Model):
    """A question that was asked, masked; None where it has been deleted since, and in what is archived."""

    question: str | None
    asked: int
    agent: str
    cost_usd: Usd


class Finding(_Model):
    """Where money could be saved. `entry_ids` are the first of the `entries` ledger entries that it rests on.

    `how_certain` says what the amount is: "measured" by a replay, "computed" from the ledger, or "estimated" by an
    assumption that `evidence` names. `evidence` is figure by name, in plain words.
    """

    id: str
    kind: Literal[
        "repeated-questions",
        "cheaper-lane",
        "uncited-passages",
        "long-history",
        "thinking",
        "repeated-embeddings",
        "price-change",
    ]
    title: str
    advice: str
    usd_per_month: Usd
    how_certain: Literal["measured", "computed", "estimated"]
    evidence: dict[str, str]
    entries: int
    entry_ids: list[int]
    can_be_replayed: bool


class Savings(_Model):
    """What the last analysis found, dearest first; `found_at` is None where there was none yet."""

    found_at: datetime | None
    findings: list[Finding]


class Assumption(_Model):
    """A figure of the ROI that nobody has measured: `setting` is where it is changed."""

    name: str
    low: str
    base: str
    high: str
    unit: str
    setting: str
    why: str


class RoiCase(_Model):
    """One of three cases. `roi_percent` is None without costs, `payback_days` where it is never paid back."""

    case: Literal["low", "base", "high"]
    minutes_saved: Usd  # minutes, exact
    benefit_usd: Usd
    cost_usd: Usd
    net_usd: Usd
    roi_percent: float | None
    payback_days: float | None
    in_words: str


class Roi(_Model):
    answered: int
    model_cost_usd: Usd
    cloud_cost_usd: Usd
    platform_cost_usd: Usd
    cases: list[RoiCase]
    assumptions: list[Assumption]


class Report(_Model):
    """`tenant` is None where it is about all of them. `groups` are those of `group_by`; `by` holds all six."""

    schema_version: str = SCHEMA_VERSION
    generated_at: datetime
    tenant: str | None
    currency: Literal["USD"] = "USD"
    period: Period
    group_by: Dimension
    totals: Totals
    days: list[Day]
    groups: list[Group]
    by: dict[Dimension, list[Group]]
    forecast: Forecast | None  # None where the period is over
    budgets: list[BudgetState]
    anomalies: list[Anomaly]
    top_questions: list[TopQuestion]
    savings: Savings
    roi: Roi
    notes: list[str]  # what the reader must know: what is left out, what could not be read
