"""Which model, agent, key or tenant made a period dearer: what people are told first."""

from datetime import date
from decimal import Decimal
from typing import Any

from functions.cost_report.costs import LedgerDay
from functions.cost_report.drivers import drivers


def row(cost_usd: str, **more: Any) -> LedgerDay:
    usual: dict[str, Any] = {
        "day": date(2026, 11, 28), "tenant": "acme", "principal": "key:a", "agent": "knowledge", "step": "draft",
        "route": "POST /api/query", "lane": "default", "provider": "gemini", "model": "flash", "calls": 1,
        "unpriced_calls": 0, "lost_calls": 0, "lost_usd": Decimal(0), "input_tokens": 1, "cached_input_tokens": 0,
        "output_tokens": 0, "thinking_tokens": 0, "tool_tokens": 0,
    }  # fmt: skip
    return LedgerDay(**usual | more, cost_usd=Decimal(cost_usd))


def told(rows: list[LedgerDay], before: list[LedgerDay]) -> list[str]:
    return [str(one) for one in drivers(rows, before)]


def test_the_largest_growth_comes_first_and_decline_after_all_growth() -> None:
    before = [row("9", model="old"), row("1", principal="key:b")]
    rows = [row("1", model="old"), row("2", principal="key:b"), row("3", model="new", agent="")]
    assert told(rows, before) == [
        "model new: 3.00 USD more, 3.00 USD after 0.00 USD",
        "no agent: 3.00 USD more, 3.00 USD after 0.00 USD",
        "model flash: 1.00 USD more, 2.00 USD after 1.00 USD",
    ]
    assert told([row("1", model="old"), row("1", principal="key:b")], before)[0].startswith("model old: 8.00 USD less")


def test_a_side_from_which_all_is_one_says_nothing_but_the_model() -> None:
    assert told([row("3")], [row("1")]) == ["model flash: 2.00 USD more, 3.00 USD after 1.00 USD"]


def test_where_nothing_changed_nothing_is_told() -> None:
    assert told([row("3")], [row("1"), row("2")]) == []
    assert told([], []) == []
