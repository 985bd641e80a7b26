"""Writes the tables of docs/cost_guide.md: what so many questions a month cost on Google Cloud.

    python -m infra.costs.scenarios             # from the repository's root; a test holds the guide to it

The same code and prices give the same tables.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from common.llm.chat import TokenUsage
from infra.costs import cloud_prices as cloud
from infra.costs.workload import (
    ASSUMPTIONS,
    DRAFT,
    EMBEDDING_MODEL,
    LANES,
    LINES,
    PERIODS,
    REVIEW,
    ROUNDS,
    SCENARIOS,
    Switch,
    gemini_rates,
    question_usage,
    question_usd,
    total_usd,
)

GUIDE = Path(__file__).parents[2] / "docs" / "cost_guide.md"
BEGIN = "<!-- written by python -m infra.costs.scenarios: begin -->"
END = "<!-- written by python -m infra.costs.scenarios: end -->"

SIZES: dict[str, tuple[Switch, ...]] = {
    "no servers": (),
    "with a database": ("database",),
    "all parts": ("database", "redis", "chroma", "gemini embeddings"),
}
GEMINI_PRICES = "https://ai.google.dev/gemini-api/docs/pricing"
READ = "2026-09-20"


def totals() -> str:
    """One row a volume and size; for each lane what it costs until the price changes, and from then on."""
    columns = [(lane, at) for lane in LANES for at in PERIODS.values()]
    rows = [
        [one.name, size, *(_usd(total_usd(one, switches, lane, at)) for lane, at in columns)]
        for one in SCENARIOS
        for size, switches in SIZES.items()
    ]
    head = [f"{lane} lane, {period}" for lane in LANES for period in PERIODS]
    return _table(["questions a month", "parts", *head], rows)


def a_question() -> str:
    usage = question_usage()
    rows = [
        [lane, model, *(_exact(question_usd(lane, at) * 1_000) for at in PERIODS.values())]
        for lane, model in LANES.items()
    ]
    head = ["lane", "model", *(f"1,000 questions, {period}" for period in PERIODS)]
    counted = (
        f"A question is {usage.input_tokens:,} tokens of input, {usage.output_tokens:,} of output and "
        f"{usage.thinking_tokens:,} of thinking: {ROUNDS} rounds of a draft ({_tokens(DRAFT)}) and its review "
        f"({_tokens(REVIEW)})."
    )
    return f"{counted}\n\n{_table(head, rows)}"


def bill() -> str:
    models = [
        [
            f"Gemini, {lane} lane, {period}",
            f"questions x {_exact(question_usd(lane, at))} USD",
            *(_usd(one.questions * question_usd(lane, at)) for one in SCENARIOS),
        ]
        for lane in LANES
        for period, at in PERIODS.items()
    ]
    parts = [
        [f"{line.part}{' (switched on)' if line.switch else ''}", line.how, *(_usd(line.usd(one)) for one in SCENARIOS)]
        for line in LINES
    ]
    return _table(["part", "reckoned as", *(one.name for one in SCENARIOS)], [*models, *parts])


def prices() -> str:
    models = [row for model in (*LANES.values(), EMBEDDING_MODEL) for row in _gemini_rows(model)]
    parts = [
        [
            f"{price.what}{' *' if price.is_assumed else ''}",
            f"{_exact(price.usd)} / {price.unit}",
            f"{price.free:,}" if price.free else "",
            price.source,
            price.read,
        ]
        for price in cloud.ALL
    ]
    return _table(["price", "USD", "free a month", "source", "read"], [*models, *parts])


def _gemini_rows(model: str) -> list[list[str]]:
    """One row, or one a period where the price changes."""
    rates = {period: gemini_rates(model, at) for period, at in PERIODS.items()}
    first, *others = rates.values()
    told = {"": first} if all(one == first for one in others) else {f", {period}": one for period, one in rates.items()}
    return [
        [f"{model}{period}: {', '.join(one)}", f"{_million(one.values())} / million tokens", "", GEMINI_PRICES, READ]
        for period, one in told.items()
    ]


def _million(amounts: Iterable[Decimal]) -> str:
    return ", ".join(_exact(amount) for amount in amounts)


def assumptions() -> str:
    return _table(["assumption", "value", "why"], [[one.what, one.value, one.why] for one in ASSUMPTIONS])


def document() -> str:
    """The tables, as they stand in the guide."""
    parts = {
        "In total": totals(),
        "What the model costs": a_question(),
        "The bill, line by line": bill(),
        "Assumptions": assumptions(),
        "Prices": prices(),
    }
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items())


def written_into(guide: str) -> str:
    """`guide` with the tables between its two marks."""
    before, rest = guide.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{document()}\n\n{END}{after}"


def _tokens(usage: TokenUsage) -> str:
    return f"{usage.input_tokens:,} in, {usage.output_tokens:,} out, {usage.thinking_tokens:,} thinking"


def _usd(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _exact(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    GUIDE.write_text(written_into(GUIDE.read_text()))
