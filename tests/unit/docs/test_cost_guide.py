"""What docs/cost_guide.md shows can be used as it stands."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from common.costs.budgets import Budget, load_budgets
from common.costs.price_table import load_price_table
from common.costs.prices import Prices
from common.llm.chat import TokenUsage

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


@pytest.mark.parametrize("field", sorted(Budget.model_fields))
def test_every_field_of_a_budget_is_told_of(field: str) -> None:
    rows = GUIDE.partition("| field | what |")[2].partition("\n\n")[0]
    assert f"`{field}`" in rows
