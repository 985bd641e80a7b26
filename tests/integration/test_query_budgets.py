"""Budgets under the whole product: a real emulator, the real client library, and a stand-in for Gemini that bills."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, func, select

from common.costs.price_table import load_price_table
from common.costs.prices import BUILT_IN, Prices
from common.database.engine import create_engine_for, read
from common.database.tables import answer_facts, ledger_entries, open_calls, sessions, turns
from common.llm.chat import TokenUsage
from tests.emulators import Emulator, emulator
from tests.gemini_server import Behaviour, GeminiServer
from tests.servers import wait_for

QUESTION = "How long is a UCC financing statement effective?"
MODEL, CHEAP, PROVIDER = "gemini-3.8-flash", "gemini-3.5-flash-lite", "gcp.gemini"
BILLED = {"promptTokenCount": 2_600, "candidatesTokenCount": 250, "thoughtsTokenCount": 250}  # near what is held
QUERIES = 64


@dataclass(frozen=True)
class Product:
    client: httpx.Client
    gemini: GeminiServer
    engine: Engine
    running: Emulator

    def ask(self, message: str = QUESTION, **fields: Any) -> httpx.Response:
        return self.client.post("/api/query", json={"message": message, "agent": "knowledge", **fields})

    def entries(self) -> list[Any]:
        with read(self.engine) as connection:
            return list(connection.execute(select(ledger_entries).order_by(ledger_entries.c.id)).mappings())

    def left_open(self) -> int:
        with read(self.engine) as connection:
            return connection.scalar(select(func.count()).select_from(open_calls)) or 0


@contextmanager
def product(folder: Path, *budgets: dict[str, Any], database: str | None = None, **settings: str) -> Iterator[Product]:
    """The product with `budgets`, on SQLite, or on `database`."""
    file = folder / "budgets.json"
    file.write_text(json.dumps({"budgets": budgets}))
    location = {} if database is None else {"DATABASE_URL": database}
    with GeminiServer() as gemini:
        given = {
            "GEMINI_API_KEY": gemini.api_key,
            "GEMINI_BASE_URL": gemini.url,
            "MODEL_ATTEMPTS": "1",
            "MODEL_BREAKER_FAILURES": "1000",
            "MAX_CONCURRENT_REQUESTS": "200",
            "BUDGET_FILE": str(file),
            "LOG_LEVEL": "ERROR",
            "DAILY_USD": "0",
            "DAILY_TOKENS": "0",
        }
        with (
            emulator(folder, **given | location | settings) as running,
            httpx.Client(base_url=running.url, timeout=120) as client,
        ):
            engine = create_engine_for(database or f"sqlite:///{running.data / 'database' / 'loan_collateral.db'}")
            try:
                yield Product(client, gemini, engine, running)
            finally:
                engine.dispose()


def budget(usd: str, **fields: Any) -> dict[str, Any]:
    return {"id": "desk", "scope": "all", "period": "year", "amount_usd": usd, "soft_at": None, **fields}


def billed_usd(gemini: GeminiServer) -> Decimal:
    """What the stand-in has billed: each call that it answered, at the list's prices."""
    prices = Prices([load_price_table(BUILT_IN)])
    usage = TokenUsage(
        input_tokens=BILLED["promptTokenCount"],
        output_tokens=BILLED["candidatesTokenCount"],
        thinking_tokens=BILLED["thoughtsTokenCount"],
    )
    costs = [
        prices.cost_usd(provider=PROVIDER, model=request.model, usage=usage, at=datetime.now(UTC))
        for request in gemini.requests
    ]
    return sum((cost for cost in costs if cost is not None), Decimal(0))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))


@pytest.mark.slow
@pytest.mark.parametrize("over", ["extract", "refuse"])
def test_64_questions_at_once_never_cost_more_than_the_budget(tmp_path: Path, database: str | None, over: str) -> None:
    amount = Decimal("0.066")  # of 7 to 12 calls, as they are held
    with product(tmp_path, budget(str(amount), over=over), database=database) as made:
        made.gemini.script(*[Behaviour(usage=BILLED)] * 500)
        with ThreadPoolExecutor(QUERIES) as threads:
            responses = list(threads.map(lambda number: made.ask(stream=number % 4 == 0), range(QUERIES)))
        bounds = [entry["bound_usd"] for entry in made.entries() if entry["bound_usd"] is not None]
        billed = billed_usd(made.gemini)
        print(f"{over}: {len(made.gemini.requests)} calls, {billed} USD billed of {amount}; held {max(bounds)} a call")
        assert amount / 2 < billed <= amount
        assert 7 <= amount / max(bounds) <= 12
        assert sum(entry["cost_usd"] for entry in made.entries()) == billed
        assert made.left_open() == 0
        told = [told_of(response) for response in responses]
        assert {answer["status"] for answer in told} <= {200, 429}
        if over == "extract":
            assert all(answer["answered"] for answer in told)
            without = [one for one in told if one["usage"]["model"] in {None, "extractive"}]
            assert len(without) >= QUERIES - len(made.gemini.requests)
            assert all(one["degraded"] == ["budget"] for one in without)
        else:
            refused = [one for one in told if one["status"] == 429]
            assert len(refused) >= QUERIES - len(made.gemini.requests)
            assert {one["type"] for one in refused} == {"/problems/budget-spent"}
            assert all(one["resets_at"].endswith("-01-01T00:00:00Z") for one in refused)


def told_of(response: httpx.Response) -> dict[str, Any]:
    """The answer or the problem, whichever way it came."""
    if response.headers["content-type"].startswith("text/event-stream"):
        last = response.text.strip().split("\n\n")[-1]
        told: dict[str, Any] = json.loads(last.partition("data: ")[2])
    else:
        told = response.json()
    return {"status": 200} | told


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(
        tmp_path_factory.mktemp("roomy"), budget("1000"), MODEL_TIMEOUT_SECONDS="2", MODEL_ATTEMPTS="2"
    ) as made:
        yield made


@pytest.fixture
def asked(roomy: Product) -> Product:
    roomy.gemini.reset()
    return roomy


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "outcome", "is_billed"),
    [
        (Behaviour(status=503), "ModelError", False),
        (Behaviour(status=400), "ModelRefusedCredentials", False),
        (Behaviour(delay_seconds=20), "ModelTimeout", None),
        (Behaviour(cut_after_bytes=20), "ModelError", None),
        (Behaviour(text="no JSON at all"), "ModelAnswerUnusable", True),
        (Behaviour(finish_reason="SAFETY"), "ModelBlocked", True),
    ],
    ids=str,
)
def test_a_call_that_fails_is_closed_and_what_may_be_billed_counts(
    asked: Product, failure: Behaviour, outcome: str, is_billed: bool | None, stream: bool
) -> None:
    before = len(asked.entries())
    asked.gemini.script(failure, failure)
    told = told_of(asked.ask(stream=stream))
    assert (told["answered"], told["degraded"]) == (True, ["model"])
    assert asked.left_open() == 0
    failed = [entry for entry in asked.entries()[before:] if entry["provider"] == PROVIDER]
    assert len(failed) == len(asked.gemini.requests)  # those that were repeated, too
    assert {entry["outcome"] for entry in failed} == {outcome}
    costs = {entry["cost_usd"] for entry in failed}
    assert (costs == {None}) if is_billed is None else (None not in costs and (min(costs) > 0) == is_billed)
    assert all(entry["bound_usd"] > 0 for entry in failed)


def test_a_client_that_hangs_up_leaves_no_call_open_and_its_bound_is_counted(asked: Product) -> None:
    before = len(asked.entries())
    asked.gemini.script(Behaviour(pause_seconds=0.5))
    body = {"message": QUESTION, "agent": "knowledge", "stream": True}
    with asked.client.stream("POST", "/api/query", json=body) as response:
        lines = response.iter_lines()
        while "drafting" not in next(lines):
            pass
    wait_for(lambda: len(asked.entries()) > before, "the call is in the ledger")
    assert asked.left_open() == 0
    cut, *_ = [entry for entry in asked.entries()[before:] if entry["provider"] == PROVIDER]
    assert (cut["outcome"], cut["cost_usd"]) == ("cancelled", None)
    assert cut["bound_usd"] > 0


def test_each_call_tells_what_it_was_held_at_and_what_was_sent(asked: Product) -> None:
    before = len(asked.entries())
    asked.ask()
    asked.ask()
    draft, review, again, _ = asked.entries()[before:]
    assert draft["cost_usd"] < draft["bound_usd"]
    assert (draft["lane"], draft["route"], draft["step"], review["step"]) == (
        "default", "POST /api/query", "draft", "critique",
    )  # fmt: skip
    assert draft["content_mark"] == again["content_mark"] != review["content_mark"]


def test_a_preview_asks_no_model_and_leaves_nothing_behind(asked: Product) -> None:
    def rows() -> list[int]:
        with read(asked.engine) as connection:
            tables = (turns, sessions, ledger_entries, answer_facts, open_calls)
            return [connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables]

    before = rows()
    response = asked.ask(dry_run=True)
    told = response.json()
    assert (response.status_code, told["dry_run"], told["agent"]) == (200, True, "knowledge")
    assert asked.gemini.requests == []
    assert rows() == before
    default, cheap = told["lanes"]
    assert (default["lane"], default["model"], cheap["model"]) == ("default", MODEL, CHEAP)
    assert 0 < cheap["usd_likely"] < default["usd_likely"] < default["usd_at_most"]
    assert told["passages"] > 0
    assert told["budget"] == {"state": "open", "resets_at": None}
    real = asked.ask().json()
    assert real["usage"]["cost_usd"] < default["usd_at_most"]


def test_a_preview_is_not_streamed(asked: Product) -> None:
    refused = asked.ask(dry_run=True, stream=True)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/stream")


@pytest.mark.slow
def test_from_soft_on_the_cheap_lane_is_asked_and_then_earlier_answers_are_given(tmp_path: Path) -> None:
    spent = {"promptTokenCount": 40_000, "candidatesTokenCount": 100}  # as dear as no question is
    with product(tmp_path, budget("0.2", soft_at="0.2"), EMBEDDING_MODEL="embedded") as made:
        made.gemini.script(*[Behaviour(usage=spent)] * 2)
        first = made.ask().json()
        assert (first["usage"]["model"], first["degraded"]) == (MODEL, [])
        made.gemini.script(*[Behaviour(usage={**spent, "promptTokenCount": 800_000})] * 2)
        second = made.ask("What is the LTV limit for raw land?").json()
        assert (second["usage"]["model"], second["degraded"]) == (CHEAP, [])
        lanes = [entry["lane"] for entry in made.entries()]
        assert lanes == ["default", "default", "cheap", "cheap"]
        assert made.ask(dry_run=True).json()["budget"]["state"] == "hard"
        made.gemini.reset()
        again = made.ask(QUESTION.upper()).json()
        assert (again["answer"], again["citations"]) == (first["answer"], first["citations"])
        assert (again["usage"]["cost_usd"], again["degraded"]) == (0, ["budget"])
        other = made.ask("What haircut applies to government bonds?").json()
        assert (other["usage"]["model"], other["degraded"]) == ("extractive", ["budget"])
        document = {"id": "new", "title": "New", "text": "Something else is said here."}
        made.client.post("/api/documents", json={"documents": [document]}).raise_for_status()
        changed = made.ask().json()
        assert (changed["usage"]["model"], changed["degraded"]) == ("extractive", ["budget"])
        assert made.gemini.requests == []
