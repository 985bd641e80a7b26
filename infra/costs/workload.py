"""What so many questions a month cost on Google Cloud, line by line, with what is assumed about them.

Gemini's prices come from where each call's price comes from (`common/costs/prices.py`), the own price file left out;
the cloud's from `cloud_prices`. A figure that somebody measured or chose stands here once, and in `ASSUMPTIONS` with
its reason.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Literal

from common.costs.price_table import load_price_table
from common.costs.prices import BUILT_IN, Prices
from common.llm.chat import TokenUsage
from infra.costs import cloud_prices as cloud

Lane = Literal["default", "cheap"]
Switch = Literal[
    "database", "redis", "chroma", "gemini embeddings"
]  # what a setting switches on; the rest is always there

GEMINI = "gcp.gemini"
UNTIL = datetime(2026, 12, 31, tzinfo=UTC)
FROM = datetime(2027, 1, 1, tzinfo=UTC)
PERIODS = {"until 31 Dec 2026": UNTIL, "from 1 Jan 2027": FROM}

# One round of a question is a draft and its review.
DRAFT = TokenUsage(input_tokens=3_500, output_tokens=400, thinking_tokens=300)
REVIEW = TokenUsage(input_tokens=3_000, output_tokens=120, thinking_tokens=300)
ROUNDS = Decimal("1.25")
LANES: dict[Lane, str] = {"default": "gemini-3.8-flash", "cheap": "gemini-3.5-flash-lite"}
EMBEDDING_MODEL = "gemini-embedding-2"
QUESTION_TOKENS = 30
DOCUMENT_TOKENS = 2_500_000  # new and changed text a month

SECONDS_A_QUESTION = Decimal("6.5")
LOG_BYTES = 2_048
REPLY_BYTES = 3_072
STORED_BYTES = 4_096
MONTHS_STORED = 12
IMAGES_GB = Decimal(3)
JOBS = 3
SECRETS = 4
QUESTIONS_A_START = 100
MESSAGES = 3_000

GIB = Decimal(2**30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A month. `sharing` is how many questions an instance has under way at a time, on average."""

    name: str
    questions: int
    sharing: int
    database: str  # "micro", "small" or "four"
    redis_has_replica: bool
    chroma_is_large: bool


SCENARIOS = (
    Scenario(name="idle", questions=0, sharing=1, database="micro", redis_has_replica=False, chroma_is_large=False),
    Scenario(
        name="1,000", questions=1_000, sharing=1, database="micro", redis_has_replica=False, chroma_is_large=False
    ),
    Scenario(
        name="100,000", questions=100_000, sharing=1, database="small", redis_has_replica=False, chroma_is_large=False
    ),
    Scenario(
        name="10 million",
        questions=10_000_000,
        sharing=8,
        database="four",
        redis_has_replica=True,
        chroma_is_large=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the bill. `switch` is None for what is always there."""

    part: str
    how: str
    usd: Callable[[Scenario], Decimal]
    switch: Switch | None = None


def question_usage() -> TokenUsage:
    """The tokens of one question, rounds counted in: whole tokens."""
    both = (DRAFT, REVIEW)
    return TokenUsage(
        input_tokens=int(ROUNDS * sum(one.input_tokens for one in both)),
        output_tokens=int(ROUNDS * sum(one.output_tokens for one in both)),
        thinking_tokens=int(ROUNDS * sum(one.thinking_tokens for one in both)),
    )


def question_usd(lane: Lane, at: datetime) -> Decimal:
    """What the model costs a question."""
    return _priced(LANES[lane], question_usage(), at)


def gemini_rates(model: str, at: datetime) -> dict[str, Decimal]:
    """USD per million tokens by what they are for, of a short prompt."""
    rates = _prices().rates_for(provider=GEMINI, model=model, at=at, prompt_tokens=0)
    if rates is None:
        raise LookupError(f"{model} has no price")
    if rates.output is None:
        return {"input": rates.input}
    return {"input": rates.input, "cached input": rates.cached_input, "output and thinking": rates.output}


def embeddings_usd(scenario: Scenario) -> Decimal:
    tokens = scenario.questions * QUESTION_TOKENS + (DOCUMENT_TOKENS if scenario.questions else 0)
    return _priced(EMBEDDING_MODEL, TokenUsage(input_tokens=tokens), FROM)


def database_usd(scenario: Scenario) -> Decimal:
    """Cloud SQL with ten GiB at least, and room for the rows of a year."""
    stored = max(Decimal(10), scenario.questions * MONTHS_STORED * STORED_BYTES / GIB)
    kept = stored * cloud.SQL_BACKUP.usd
    if scenario.database == "four":  # 4 vCPU, 16 GiB, highly available
        hour = 2 * (4 * cloud.SQL_VCPU.usd + 16 * cloud.SQL_MEMORY.usd)
        return hour * cloud.HOURS_A_MONTH + 2 * stored * cloud.SQL_SSD.usd + kept
    hour = (cloud.SQL_MICRO if scenario.database == "micro" else cloud.SQL_SMALL).usd
    return hour * cloud.HOURS_A_MONTH + stored * cloud.SQL_SSD.usd + kept


def redis_usd(scenario: Scenario) -> Decimal:
    price = cloud.REDIS_STANDARD if scenario.redis_has_replica else cloud.REDIS_BASIC
    return price.usd * cloud.HOURS_A_MONTH


def chroma_usd(scenario: Scenario) -> Decimal:
    machine, disk_gib = (cloud.VM_STANDARD, 50) if scenario.chroma_is_large else (cloud.VM_SMALL, 20)
    return machine.usd * cloud.HOURS_A_MONTH + disk_gib * cloud.DISK.usd


@cache
def _prices() -> Prices:
    return Prices([load_price_table(BUILT_IN)])


def _priced(model: str, usage: TokenUsage, at: datetime) -> Decimal:
    cost = _prices().cost_usd(provider=GEMINI, model=model, usage=usage, at=at)
    if cost is None:
        raise LookupError(f"{model} has no price")
    return cost


def _instance_seconds(scenario: Scenario) -> Decimal:
    return scenario.questions * SECONDS_A_QUESTION / scenario.sharing


def _starts(scenario: Scenario) -> Decimal:
    return Decimal(scenario.questions) / QUESTIONS_A_START


LINES = (
    Line(
        part="Cloud Run functions, vCPU",
        how=f"questions x {SECONDS_A_QUESTION} s / questions at a time in an instance x 1 vCPU",
        usd=lambda scenario: cloud.VCPU_SECOND.monthly_usd(_instance_seconds(scenario)),
    ),
    Line(
        part="Cloud Run functions, memory",
        how="the same seconds x 1 GiB",
        usd=lambda scenario: cloud.GIB_SECOND.monthly_usd(_instance_seconds(scenario)),
    ),
    Line(
        part="Cloud Run functions, requests",
        how="questions",
        usd=lambda scenario: cloud.REQUEST.monthly_usd(Decimal(scenario.questions)),
    ),
    Line(
        part="Cloud Logging",
        how=f"questions x {LOG_BYTES} bytes",
        usd=lambda scenario: cloud.LOG.monthly_usd(scenario.questions * LOG_BYTES / GIB),
    ),
    Line(
        part="Data to the internet",
        how=f"questions x {REPLY_BYTES} bytes",
        usd=lambda scenario: cloud.EGRESS.monthly_usd(scenario.questions * REPLY_BYTES / GIB),
    ),
    Line(
        part="Artifact Registry",
        how=f"{IMAGES_GB} GB of images",
        usd=lambda _: cloud.IMAGE.monthly_usd(IMAGES_GB),
    ),
    Line(part="Cloud Scheduler", how=f"{JOBS} jobs", usd=lambda _: cloud.JOB.monthly_usd(Decimal(JOBS))),
    Line(
        part="Pub/Sub",
        how=f"{MESSAGES:,} messages of budgets and documents, 1 kB each, in and out",
        usd=lambda _: cloud.MESSAGE_GIB.monthly_usd(2 * MESSAGES * 1_000 / GIB),
    ),
    Line(
        part="Secret Manager",
        how=f"{SECRETS} secrets, each read once an instance",
        usd=lambda scenario: (
            cloud.SECRET.monthly_usd(Decimal(SECRETS)) + cloud.SECRET_ACCESS.monthly_usd(SECRETS * _starts(scenario))
        ),
    ),
    Line(
        part="Cloud KMS",
        how="1 key version, used once an instance",
        usd=lambda scenario: cloud.KEY.monthly_usd(Decimal(1)) + cloud.KEY_USE.monthly_usd(_starts(scenario)),
    ),
    Line(
        part="Cloud SQL for PostgreSQL",
        how="db-f1-micro; from 100,000 db-g1-small; at 10 million 4 vCPU and 16 GiB, highly available",
        usd=database_usd,
        switch="database",
    ),
    Line(
        part="Memorystore for Redis",
        how="1 GiB, Basic; at 10 million with a replica",
        usd=redis_usd,
        switch="redis",
    ),
    Line(
        part="Chroma server",
        how="e2-small with 20 GiB; at 10 million e2-standard-2 with 50 GiB",
        usd=chroma_usd,
        switch="chroma",
    ),
    Line(
        part="Gemini embeddings",
        how=f"questions x {QUESTION_TOKENS} tokens, {DOCUMENT_TOKENS:,} tokens of documents, {EMBEDDING_MODEL}",
        usd=embeddings_usd,
        switch="gemini embeddings",
    ),
)


def cloud_usd(scenario: Scenario, switched_on: Iterable[Switch]) -> Decimal:
    """The month without the chat model: what is always there, and what is switched on."""
    wanted = {None, *switched_on}
    return sum((line.usd(scenario) for line in LINES if line.switch in wanted), Decimal(0))


def total_usd(scenario: Scenario, switched_on: Iterable[Switch], lane: Lane, at: datetime) -> Decimal:
    return cloud_usd(scenario, switched_on) + scenario.questions * question_usd(lane, at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    what: str
    value: str
    why: str


ASSUMPTIONS = (
    Assumption(
        what="Input of a draft",
        value=f"{DRAFT.input_tokens:,} tokens",
        why="measured on the sample knowledge base: 2,400 on average of ten questions, 3,500 with full "
        "EVIDENCE_TOKENS (1,800) and HISTORY_TOKENS (600); four characters a token, the answer's schema counted in",
    ),
    Assumption(
        what="Input of a review",
        value=f"{REVIEW.input_tokens:,} tokens",
        why="measured alike: 2,100 on average, 3,000 with full passages",
    ),
    Assumption(
        what="Output of a draft",
        value=f"{DRAFT.output_tokens:,} tokens",
        why="150 words, which is what the instruction allows, and three quotes, as JSON",
    ),
    Assumption(
        what="Output of a review", value=f"{REVIEW.output_tokens:,} tokens", why="three scores and two or three faults"
    ),
    Assumption(
        what="Thinking",
        value=f"{DRAFT.thinking_tokens:,} tokens a call",
        why="not measured: it needs the real model. Calls ask for the low level; the ledger shows the true figure",
    ),
    Assumption(
        what="Rounds",
        value=f"{ROUNDS}",
        why="one question in four needs the second of CRITIQUE_ROUNDS (2); not measured",
    ),
    Assumption(
        what="Cached input, cached answers",
        value="none",
        why="the dear case; both make it cheaper, and the report shows by how much",
    ),
    Assumption(
        what="Time of a question",
        value=f"{SECONDS_A_QUESTION} s",
        why="2.5 calls of 2.5 s, which is not measured, and 0.1 s of our own, which is (two cores)",
    ),
    Assumption(
        what="Instance",
        value="1 vCPU, 1 GiB",
        why="memory_mb of functions.json; less than a vCPU serves one request at a time",
    ),
    Assumption(
        what="Questions at a time in an instance",
        value="1; at 10 million 8",
        why="10 million are 25 under way at any time, and each waits for the model nearly all of its time",
    ),
    Assumption(what="Log of a question", value=f"{LOG_BYTES:,} bytes", why="measured: 2,051 bytes as JSON"),
    Assumption(
        what="Reply",
        value=f"{REPLY_BYTES:,} bytes",
        why="measured 772 bytes with one sentence and one quote; 150 words and three quotes are about four times that",
    ),
    Assumption(
        what="Rows of a question",
        value=f"{STORED_BYTES:,} bytes, kept {MONTHS_STORED} months",
        why="measured 1,809 bytes in SQLite with one sentence; CONVERSATION_DAYS is 365",
    ),
    Assumption(
        what="Images", value=f"{IMAGES_GB} GB", why="eight functions that share most layers, two versions; not measured"
    ),
    Assumption(
        what="Starts of instances",
        value=f"one in {QUESTIONS_A_START} questions",
        why="only for reads of secrets and of the key; the time of the start itself is not counted",
    ),
    Assumption(
        what="Question and documents for embeddings",
        value=f"{QUESTION_TOKENS} tokens, {DOCUMENT_TOKENS:,} tokens a month",
        why="10,000 new or changed chunks of 250 tokens; only where EMBEDDING_MODEL names a Gemini model",
    ),
)
