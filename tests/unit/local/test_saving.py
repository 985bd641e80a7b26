"""`loancheck cost savings`: what it finds, the entries behind it, and a replay through the real client library."""

import json
import shutil
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select

from common.database.engine import engine, read, write
from common.database.tables import answer_facts, audit_events, ledger_entries, turns
from common.function import Call
from common.knowledge.store import Document, knowledge_store
from common.request_head import Correlation
from functions.cost_report.savings.storage import stored
from functions.query.answering import answer
from functions.query.models import QueryAnswer, QueryRequest
from tests.command_line import Run, command_line
from tests.gemini_server import Behaviour, GeminiServer
from tests.instance import instance
from tests.savings_traffic import CHEAP, DEFAULT
from tests.tenants import ACME

QUESTIONS = (
    "What is the loan-to-value limit for raw land?",
    "What is the loan-to-value limit for improved property?",
    "How long is a financing statement effective?",
)
TEXT = (
    "The loan-to-value limit for raw land is 65 percent.\n\n"
    "The loan-to-value limit for improved property is 85 percent.\n\n"
    "A financing statement is effective for five years.\n"
)
POOR = '{"accuracy": 0.5, "completeness": 0.1, "clarity": 1.0, "faults": ["It leaves out the rest."]}'


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("SAVINGS_MIN_USD", "0")  # the stand-in counts words, which cost next to nothing
    with command_line(tmp_path, capsys, "cost", "savings") as command:
        yield command


@pytest.fixture
def gemini(monkeypatch: pytest.MonkeyPatch) -> Iterator[GeminiServer]:
    with GeminiServer() as server:
        monkeypatch.setenv("GEMINI_BASE_URL", server.url)
        monkeypatch.setenv("GEMINI_API_KEY", server.api_key)
        yield server


@pytest.fixture(scope="module")
def asked_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance's state after the questions were asked in earnest, each in a session of its own."""
    folder = tmp_path_factory.mktemp("asked")
    with (
        GeminiServer() as server,
        instance(folder, GEMINI_BASE_URL=server.url, GEMINI_API_KEY=server.api_key),
    ):
        knowledge_store().put([Document(id="limits", title="Limits", text=TEXT)], tenant=ACME.tenant)
        for question in QUESTIONS:
            ask(question)
    return folder


@pytest.fixture
def asked(asked_folder: Path, tmp_path: Path, gemini: GeminiServer, run: Run) -> Run:  # gemini listens
    shutil.copytree(asked_folder, tmp_path, dirs_exist_ok=True)
    return run


def ask(question: str, session_id: str | None = None) -> QueryAnswer:
    number = f"{time.monotonic_ns():032x}"
    given = answer(
        Call(
            correlation=Correlation(request_id=number, trace_id=number),
            principal=ACME,
            body=QueryRequest(message=question, agent="knowledge", session_id=session_id),
            path={},
            deadline=time.monotonic() + 30,
        )
    )
    assert isinstance(given, QueryAnswer)
    return given


def lanes(run: Run) -> list[str]:
    """The ids of the findings about the cheap lane, after an analysis; the one that rests on most calls first."""
    run("--tenant", "acme")
    with read(engine()) as connection:
        known = [one for one in stored(connection, "acme").findings if one.kind == "cheaper-lane"]
    return [one.id for one in sorted(known, key=lambda one: -one.entries)]


def test_an_empty_ledger_has_nothing_to_save(run: Run) -> None:
    assert run() == (0, ["Nothing was found that would save enough to tell."], "")


def test_what_is_found_is_shown_with_its_evidence_and_kept(asked: Run) -> None:
    code, lines, _ = asked("--tenant", "acme")
    said = "\n".join(lines)
    assert code == 0
    assert "The cheap lane may do for agent knowledge: not measured yet" in said
    assert "assumption: the same tokens, and answers that are accepted as often, which nobody has measured" in said
    assert lines[-1] == "Two findings may speak of the same calls: their amounts do not add up."


def test_all_entries_behind_a_finding_are_printed(asked: Run) -> None:
    lane = lanes(asked)[0]
    code, lines, _ = asked("--entries", lane)
    with read(engine()) as connection:
        paid = connection.scalars(select(ledger_entries.c.id).where(ledger_entries.c.provider == "gcp.gemini"))
        assert (code, [int(line) for line in lines]) == (0, sorted(paid))


def test_another_tenants_findings_are_not_there(asked: Run) -> None:
    lane = lanes(asked)[0]
    code, _, complaint = asked("--entries", lane, "--tenant", "other")
    assert (code, complaint) == (
        2, f"loancheck: {lane}: there is no such finding; loancheck cost savings lists them\n"
    )  # fmt: skip


def test_nothing_is_asked_without_a_yes(asked: Run, gemini: GeminiServer) -> None:
    lane = lanes(asked)[0]
    code, lines, complaint = asked("--replay", lane)
    assert code == 2
    assert lines[0].startswith("Asking 3 questions again costs about 0.00")
    assert complaint == "loancheck: nothing was asked: --yes agrees to the cost\n"
    assert gemini.requests == []


def test_a_replay_measures_scores_and_costs_of_both_lanes(asked: Run, gemini: GeminiServer) -> None:
    lane = lanes(asked)[0]
    code, lines, _ = asked("--replay", lane, "--yes")
    assert code == 0
    # drafts by the cheap lane's model, reviews by the one that reviewed in earnest
    assert [request.model for request in gemini.requests] == [CHEAP, DEFAULT] * 3
    with read(engine()) as connection:
        entries = connection.execute(select(ledger_entries).order_by(ledger_entries.c.id)).all()
        kept = stored(connection, "acme")
        assert len(connection.execute(select(turns)).all()) == 3
        assert len(connection.execute(select(answer_facts)).all()) == 3
        [event] = connection.execute(select(audit_events).where(audit_events.c.action == "savings.replayed")).all()
    assert (event.tenant, event.target, event.facts) == ("acme", f"finding:{lane}", '{"questions":3}')
    replayed = [one for one in entries if one.route == "loancheck cost savings" and one.provider != "embedded"]
    assert {(one.tenant, one.principal, one.step, one.lane, one.model_answered) for one in replayed} == {
        ("acme", "cli", "draft", "cheap", CHEAP),
        ("acme", "cli", "critique", "default", DEFAULT),
    }
    # each lane's cost by hand: input and output tokens at the two models' prices
    before = [one for one in entries if one.route == "POST /api/query" and one.provider != "embedded"]
    default = sum((_cost(one, "0.75", "3.75") for one in before), Decimal(0))
    cheap = sum((_cost(one, "0.30", "2.50") for one in replayed), Decimal(0))
    [finding] = [one for one in kept.findings if one.id == lane]
    assert finding.how_certain == "measured"
    assert finding.usd_per_month == pytest.approx(default - cheap, abs=Decimal("1e-14"))
    assert "default, in earnest" in "\n".join(lines)
    assert finding.evidence["verdict"] == "as well, within 5 points of accepted answers"


def test_worse_answers_save_nothing(asked: Run, gemini: GeminiServer) -> None:
    lane = lanes(asked)[0]
    gemini.script(*[Behaviour(), Behaviour(text=POOR)] * 6)
    code, lines, _ = asked("--replay", lane, "--yes")
    assert code == 0
    assert "  Stay on the default lane: the replay's answers were worse." in lines
    with read(engine()) as connection:
        [finding] = [one for one in stored(connection, "acme").findings if one.id == lane]
    assert (finding.how_certain, finding.usd_per_month) == ("measured", Decimal(0))


def test_what_was_measured_stays_with_the_finding_in_the_next_analysis(asked: Run) -> None:
    lane = lanes(asked)[0]
    asked("--replay", lane, "--yes", "--sample", "2")
    _, lines, _ = asked()
    assert any(lane in line and "measured" in line for line in lines)


def test_a_question_that_went_on_from_earlier_turns_is_not_asked_again(asked: Run, gemini: GeminiServer) -> None:
    first = ask(QUESTIONS[0])
    ask("And for improved property?", first.session_id)
    gemini.reset()
    for lane in lanes(asked):
        asked("--replay", lane, "--yes")
    assert gemini.saw("How long is a financing statement effective?") != []
    assert gemini.saw("And for improved property?") == []


def test_deleted_questions_cannot_be_asked_again(asked: Run) -> None:
    lane = lanes(asked)[0]
    with write(engine()) as connection:
        connection.execute(turns.delete())
    code, _, complaint = asked("--replay", lane, "--yes")
    assert code == 2
    assert "went on from earlier turns, or are deleted" in complaint


def test_a_model_that_is_away_measures_nothing(asked: Run, gemini: GeminiServer) -> None:
    lane = lanes(asked)[0]
    gemini.script(*[Behaviour(status=400)] * 9)
    code, _, complaint = asked("--replay", lane, "--yes")
    assert (code, complaint) == (
        2, "loancheck: no question got an answer that could be measured: their calls' outcomes are in the ledger\n"
    )  # fmt: skip


def test_a_budget_that_is_spent_ends_the_replay(asked: Run, gemini: GeminiServer, tmp_path: Path) -> None:
    lane = lanes(asked)[0]
    budgets = {
        "budgets": [{"id": "acme-a-day", "scope": "tenant", "of": "acme", "period": "day", "amount_usd": "0.0001"}]
    }
    file = tmp_path / "budgets.json"
    file.write_text(json.dumps(budgets))
    with instance(tmp_path, BUDGET_FILE=str(file)):
        code, _, complaint = asked("--replay", lane, "--yes")
    assert code == 2
    assert complaint.startswith("loancheck: the budget acme-a-day allows no more questions")
    assert gemini.requests == []


def test_the_embedded_model_has_nothing_to_replay(run: Run) -> None:
    code, _, complaint = run("--replay", "cheaper-lane-0123456789ab")
    assert (code, complaint) == (
        2,
        "loancheck: the embedded model answers on both lanes and costs nothing: there is nothing to replay\n",
    )


def test_it_answers_to_both_of_its_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with command_line(tmp_path, capsys, "savings") as savings:
        assert savings("--period", "7d") == (0, ["Nothing was found that would save enough to tell."], "")


def _cost(entry: object, input_usd: str, output_usd: str) -> Decimal:
    tokens_in, tokens_out = getattr(entry, "input_tokens"), getattr(entry, "output_tokens")  # noqa: B009
    return Decimal(tokens_in * Decimal(input_usd) + tokens_out * Decimal(output_usd)).scaleb(-6)
