"""`loancheck cost`: the bill at a terminal, in files, and an entry taken back."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.costs import ledger
from local import asking
from local.costing import preview_in_words, report_in_words
from tests import sample_reports
from tests.command_line import Run, command_line
from tests.ledgers import entry


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """`loancheck cost` over a ledger in which acme spent 1,234.5 USD and other 0.25, with a budget for all."""
    budget = {"id": "desk", "scope": "all", "period": "month", "amount_usd": "2000"}
    (tmp_path / "budgets.json").write_text(json.dumps({"budgets": [budget]}))
    with pytest.MonkeyPatch.context() as patch, command_line(tmp_path, capsys, "cost") as one:
        patch.setenv("BUDGET_FILE", str(tmp_path / "budgets.json"))
        patch.setenv("LOG_LEVEL", "ERROR")
        from common.database.engine import engine, write

        with write(engine()) as connection:
            now = datetime.now(UTC)
            of_other = {"tenant": "other", "principal": "key:other", "model_answered": "gemini-3.5-flash-lite"}
            ledger.add(connection, [entry(now, "1234.5"), entry(now, "0.25", **of_other)])
        capsys.readouterr()  # that more than half of the budget is spent
        yield one


def test_a_report_is_tables_with_amounts_at_the_right(run: Run) -> None:
    code, lines, said = run("report", "--period", "1d")
    assert (code, said) == (0, "")
    models = [line for line in lines if "gemini-" in line]
    first, second = models
    assert first.split()[:3] == ["gemini-3.8-flash", "1,234.5", "100.0"]
    assert second.split()[:2] == ["gemini-3.5-flash-lite", "0.25"]
    assert first.index("1,234.5") + len("1,234.5") == second.index("0.25") + len("0.25")
    assert any(line.split()[:2] == ["Models", "1,234.75"] for line in lines)


def test_a_report_is_of_one_tenant_by_another_side(run: Run) -> None:
    code, lines, _ = run("report", "--tenant", "other", "--group-by", "principal")
    assert code == 0
    assert any(line.split()[:2] == ["key:other", "0.25"] for line in lines)
    assert not any("key:acme" in line for line in lines)


@pytest.mark.parametrize("to_a_file", [False, True])
def test_all_formats_say_the_same(run: Run, tmp_path: Path, to_a_file: bool) -> None:
    def given(name: str) -> str:
        more = ("--out", str(tmp_path / f"report.{name}")) if to_a_file else ()
        code, lines, _ = run("report", "--format", name, *more)
        assert code == 0
        if not to_a_file:
            return "\n".join(lines)
        assert (tmp_path / f"report.{name}").stat().st_mode & 0o777 == 0o600
        return (tmp_path / f"report.{name}").read_text()

    assert json.loads(given("json"))["totals"]["cost_usd"] == "1234.75"
    charges = csv.DictReader(io.StringIO(given("csv")))
    assert sorted(one["BilledCost"] for one in charges) == ["0.25", "1234.5"]
    assert "1,234.75" in given("html")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("report", "--period", "0d"), "The period has no day in it"),
        (("report", "--period", "2026-11-02..2026-11-01"), "The period ends before it begins"),
        (("report", "--group-by", "colour"), "--group-by: must be one of tenant, principal"),
        (("report", "--format", "pdf"), "--format: must be one of table, json, csv, html"),
        (("report", "--tenant", "No One"), "--tenant: is 1 to 64"),
        (("report", "--out", "/nowhere/x"), "/nowhere/x cannot be written"),
        (("reverse", "99"), "There is no entry that could be taken back"),
        (("reverse", "0"), "Invalid value for 'ENTRY'"),
        (("preview", "Hello", "--url", "127.0.0.1:1"), "the address must begin with http"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    code, lines, said = run(*arguments)
    assert (code, lines) == (2, [])
    assert reason in said
    assert said.count("\n") == 1


def test_no_file_is_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    code, _, said = run("report", "--format", "json", "--out", str(tmp_path / "there"))
    assert (code, (tmp_path / "there").read_text()) == (2, "mine")
    assert "name a new file" in said


def test_budgets_are_told_with_what_is_spent(run: Run) -> None:
    code, lines, _ = run("budgets")
    (only,) = [line.split() for line in lines if "desk" in line]
    assert (code, only[:6]) == (0, ["desk", "all", "month", "2,000", "1,234.75", "0"])
    assert only[6:9] == ["61.7", "%", "open"]


def test_without_budgets_it_says_where_they_would_be(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from common.costs.budgets import budget_file
    from common.settings import settings

    monkeypatch.delenv("BUDGET_FILE")
    settings.cache_clear()
    budget_file.cache_clear()
    code, lines, _ = run("budgets")
    assert (code, lines) == (0, ["There are no budgets: BUDGET_FILE names a file with some."])


def test_the_roi_comes_with_its_assumptions(run: Run) -> None:
    code, lines, _ = run("roi", "--period", "1d")
    assert code == 0
    assert [line.split()[0] for line in lines if line.lstrip().startswith(("low ", "base ", "high "))] == [
        "low",
        "base",
        "high",
    ]
    assert any("ROI_MINUTES" in line for line in lines)
    assert any(line.startswith("base: No question was answered") for line in lines)


def test_an_entry_is_taken_back_once_and_it_is_audited(run: Run) -> None:
    code, lines, _ = run("reverse", "1")
    assert (code, lines) == (0, ["Entry 1 is taken back: -1234.5 USD in the ledger, today."])
    assert run("reverse", "1")[0] == 2
    assert run("reverse", "3")[0] == 2  # a reversal
    _, lines, _ = run("report", "--period", "1d", "--format", "json")
    assert json.loads("\n".join(lines))["totals"]["cost_usd"] == "0.25"
    from common.database.engine import engine, read
    from common.security.audit_chain import newest

    with read(engine()) as connection:
        audited = [(one.tenant, one.actor, one.action, one.target) for one in newest(connection, 10)]
    assert ("acme", "cli", "ledger.reversed", "entry:1") in audited
    assert ("default", "cli", "report.read", "all tenants") in audited


def test_what_stands_out_has_tables_of_its_own() -> None:
    report = sample_reports.rich()
    lines = report_in_words(report).splitlines()
    heads = [line.split("  ")[0].strip() for line in lines if line.isupper() or "HIGH" in line]
    for head in ("UNUSUAL DAY", "DEAREST QUESTIONS", "COULD BE SAVED"):
        assert any(one.startswith(head) for one in heads), (head, heads)
    assert any(report.savings.findings[0].title[:20] in line for line in lines)
    assert all(note.split("\n")[0] in lines for note in report.notes)
    assert report.forecast is None or any(report.forecast.method in line for line in lines)


PREVIEW: dict[str, Any] = {
    "agent": "knowledge", "passages": 6, "budget": {"state": "soft", "resets_at": "2026-12-01T00:00:00Z"},
    "lanes": [
        {"lane": "default", "model": "gemini-3.8-flash", "input_tokens": 4711, "output_tokens_at_most": 9216,
         "usd_likely": 0.0049, "usd_at_most": 0.2384},
        {"lane": "cheap", "model": "unheard-of", "input_tokens": 4711, "output_tokens_at_most": 9216,
         "usd_likely": None, "usd_at_most": None},
    ],
}  # fmt: skip


def test_a_preview_is_asked_for_and_told_by_lane(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(url: str, question: str, key: object, *, dry_run: bool) -> dict[str, Any]:
        asked.append((url, question, key, dry_run))
        return PREVIEW

    monkeypatch.setattr(asking, "ask", ask)
    code, lines, _ = run("preview", "What is a lien?", "--url", "http://127.0.0.1:9")
    assert (code, asked) == (0, [("http://127.0.0.1:9", "What is a lien?", None, True)])
    assert "\n".join(lines) + "\n" == preview_in_words(PREVIEW)
    first, second = [line.split() for line in lines if "4,711" in line]
    assert first == ["default", "gemini-3.8-flash", "4,711", "9,216", "0.0049", "0.2384"]
    assert second[-4:] == ["not", "known", "not", "known"]
    assert lines[-1] == "(agent knowledge, 6 passages; budget soft, until 2026-12-01T00:00:00Z)"
