"""Budget files for tests, and calls that count against them."""

import itertools
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from common.costs.governor import CallToMake

_numbers = itertools.count(1)


def budget(**changed: object) -> dict[str, object]:
    """A monthly budget of 1 USD for everybody, but for what is changed."""
    return {"id": "all", "scope": "all", "period": "month", "amount_usd": "1"} | changed


def budget_file(folder: Path, *budgets: Mapping[str, object], **also: object) -> Path:
    path = folder / "budgets.json"
    path.write_text(json.dumps({"budgets": budgets, **also}), encoding="utf-8")
    return path


def call_to_make(bound_usd: str | None = "0.1", **changed: object) -> CallToMake:
    """A draft of acme's; each has an id of its own."""
    number = f"{next(_numbers):032x}"
    values: dict[str, object] = {
        "id": number, "request_id": f"r{int(number, 16)}", "trace_id": "0" * 32, "tenant": "acme",
        "principal": "key-acme", "session_id": None, "agent": "knowledge", "step": "draft", "route": "POST /api/query",
        "lane": "default", "provider": "gcp.gemini", "model_asked": "gemini-3.8-flash",
        "bound_usd": None if bound_usd is None else Decimal(bound_usd),
    }  # fmt: skip
    return CallToMake(**(values | changed))  # type: ignore[arg-type]  # values of several types
