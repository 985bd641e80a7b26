"""What docs/cost_guide.md shows can be used as it stands."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import get_args

from common.costs.budgets import Budget, load_budgets
from common.costs.price_table import load_price_table
from common.costs.prices import Prices
from common.llm.chat import TokenUsage
from common.settings import SETTINGS
from functions.cost_report.asked import ReportQuery
from functions.cost_report.models import DIMENSIONS, Finding
from local import costing, loancheck

GUIDE = (Path(__file__).parents[3] / "docs" / "cost_guide.md").read_text()
BLOCKS = re.findall(r"^```json\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def written(tmp_path: Path, of: str) -> Path:
    """The block that holds `of`, as a file."""
    (block,) = [one for one in BLOCKS if f'"{of}"' in one]
    path = tmp_path / "shown.json"
    path.write_text(block)
    return path


def test_the_price_file_prices_calls_and_searches(tmp_path: Path) -> None:
    prices = Prices([load_price_table(written(tmp_path, "usd_per_million_tokens"))])
    at = datetime(2026, 12, 24, tzinfo=UTC)
    usage = TokenUsage(input_tokens=1_000_000)
    assert prices.cost_usd(provider="gcp.gemini", model="gemini-3.8-flash", usage=usage, at=at) == Decimal("0.68")
    assert prices.search_cost_usd(provider="serper", at=at, searches=1_000) == 1


def test_the_budget_file_can_be_read(tmp_path: Path) -> None:
    budgets = load_budgets(written(tmp_path, "budgets")).budgets
    assert [one.id for one in budgets] == ["desk", "each-key", "pro-model"]


def first_cells(head: str) -> set[str]:
    """The names in the first column of the table with that first row."""
    rows = GUIDE.partition(head)[2].partition("\n\n")[0].splitlines()
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


def test_every_field_of_a_budget_is_told_of() -> None:
    assert first_cells("| field | what |") == Budget.model_fields.keys()


def test_every_parameter_of_the_report_is_told_of() -> None:
    assert first_cells("| parameter | what |") == ReportQuery.model_fields.keys()
    for dimension in DIMENSIONS:
        assert f"`{dimension}`" in GUIDE


def test_every_kind_of_finding_is_told_of() -> None:
    kinds = get_args(Finding.model_fields["kind"].annotation)
    assert first_cells("| kind | what was found | how the amount is known |") == set(kinds)


def test_every_setting_that_is_told_of_exists() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)`", GUIDE))
    assert {name.lower() for name in named} <= SETTINGS.keys()
    assert len(named) > 10


def test_the_commands_are_those_that_there_are() -> None:
    named = re.findall(r"^\| `loancheck cost (\w+)", GUIDE, re.MULTILINE)
    assert any(group.typer_instance is costing.app for group in loancheck.app.registered_groups)  # which adds the last
    assert set(named) == {command.name for command in costing.app.registered_commands}
