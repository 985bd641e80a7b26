"""docs/cost_guide.md holds the tables that the script makes, and the script reckons as the price lists say."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from common.llm.chat import CHARACTERS_A_TOKEN, ChatRequest, Passage, TokenUsage
from common.llm.prompt import prompt, sections
from common.settings import Settings
from functions.query import critique, planner
from functions.query.instructions import DRAFT as DRAFT_INSTRUCTION
from functions.query.instructions import REVIEW as REVIEW_INSTRUCTION
from infra.costs import cloud_prices
from infra.costs.scenarios import GUIDE, SIZES, written_into
from infra.costs.workload import (
    DRAFT,
    FROM,
    LANES,
    LINES,
    REVIEW,
    SCENARIOS,
    UNTIL,
    Scenario,
    cloud_usd,
    question_usage,
    question_usd,
    total_usd,
)

ROOT = Path(__file__).parents[4]
IDLE, THOUSAND, HUNDRED_THOUSAND, TEN_MILLION = SCENARIOS


def line_usd(part: str, scenario: Scenario) -> Decimal:
    (line,) = [one for one in LINES if one.part.startswith(part)]
    return line.usd(scenario).quantize(Decimal("0.01"))


def test_the_guide_holds_the_tables_as_the_script_writes_them() -> None:
    guide = GUIDE.read_text()
    assert written_into(guide) == guide, "python -m infra.costs.scenarios writes them"


def test_a_question_costs_its_tokens() -> None:
    assert question_usage() == TokenUsage(input_tokens=8_125, output_tokens=650, thinking_tokens=750)
    # 8,125 at 0.75 and 1,400 at 3.75; then twice that; on the cheap lane 0.30 and 2.50
    assert question_usd("default", UNTIL) == Decimal("0.01134375")
    assert question_usd("default", FROM) == 2 * question_usd("default", UNTIL)
    assert question_usd("cheap", UNTIL) == question_usd("cheap", FROM) == Decimal("0.0059375")


def test_functions_cost_nothing_within_the_free_share_and_their_seconds_beyond() -> None:
    assert [line_usd("Cloud Run functions, vCPU", one) for one in (IDLE, THOUSAND)] == [0, 0]
    # 650,000 seconds, 180,000 of them free, at 0.000024; and 360,000 free at 0.0000025
    assert line_usd("Cloud Run functions, vCPU", HUNDRED_THOUSAND) == Decimal("11.28")
    assert line_usd("Cloud Run functions, memory", HUNDRED_THOUSAND) == Decimal("0.72")
    assert line_usd("Cloud Run functions, requests", TEN_MILLION) == Decimal("3.20")  # 8 million at 0.40


def test_servers_cost_their_hours() -> None:
    # 730 hours at 0.0105, 10 GiB at 0.17 and 0.08
    assert line_usd("Cloud SQL", IDLE) == Decimal("10.16")  # 10.165, rounded half to even
    # 730 hours of 2 x (4 x 0.0413 + 16 x 0.007) = 404.71; 457.76 GiB at 0.34 + 0.08 = 192.26
    assert line_usd("Cloud SQL", TEN_MILLION) == Decimal("596.97")
    assert line_usd("Memorystore", IDLE) == Decimal("35.77")  # 730 at 0.049


def test_a_months_total_is_its_lines_and_the_model() -> None:
    for scenario in SCENARIOS:
        everything = sum(line.usd(scenario) for line in LINES)
        assert cloud_usd(scenario, SIZES["all parts"]) == everything
        for lane in LANES:
            assert total_usd(scenario, SIZES["all parts"], lane, UNTIL) == (
                everything + scenario.questions * question_usd(lane, UNTIL)
            )


def test_what_is_switched_off_is_not_paid() -> None:
    assert cloud_usd(IDLE, ()) == Decimal("0.31")  # images and a key
    assert cloud_usd(IDLE, ("redis",)) - cloud_usd(IDLE, ()) == Decimal("35.77")


def passages(characters: int) -> tuple[Passage, ...]:
    each = characters // 6
    return tuple(
        Passage(
            number=number,
            document_id="supervisory-ltv-limits",
            title="Supervisory loan-to-value limits",
            source="12 CFR 34 subpart D appendix A; 12 CFR 365 subpart A appendix A",
            heading="Limits by category > Exceptions",
            text="x" * each,
            score=0.9,
        )
        for number in range(1, 7)
    )


@pytest.mark.parametrize(
    ("request_", "assumed"),
    [
        (
            ChatRequest(
                instruction=DRAFT_INSTRUCTION,
                question="What is the supervisory limit for raw land, and where does it stand?",
                history=(("user", "x" * Settings({}).history_tokens * CHARACTERS_A_TOKEN),),
                json_schema=planner.SCHEMA,
            ),
            DRAFT,
        ),
        (
            ChatRequest(
                instruction=REVIEW_INSTRUCTION,
                question=sections(question="What is the supervisory limit for raw land?", draft="x" * 900),
                json_schema=critique.SCHEMA,
            ),
            REVIEW,
        ),
    ],
    ids=["draft", "review"],
)
def test_the_assumed_input_is_that_of_our_prompts_with_full_passages_and_history(
    request_: ChatRequest, assumed: TokenUsage
) -> None:
    evidence = Settings({}).evidence_tokens * CHARACTERS_A_TOKEN
    written = prompt(replace(request_, passages=passages(evidence)))
    characters = (
        len(written.system) + sum(len(text) for _, text in written.turns) + len(json.dumps(request_.json_schema))
    )
    assert characters / CHARACTERS_A_TOKEN == pytest.approx(assumed.input_tokens, rel=0.1)


def test_instances_are_as_large_as_the_largest_function() -> None:
    functions = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
    assert max(one["memory_mb"] for one in functions) == 1024


def test_every_price_tells_where_and_when_it_was_read() -> None:
    for price in cloud_prices.ALL:
        assert price.source.startswith("https://"), price.what
        assert date.fromisoformat(price.read.partition(",")[0]) <= date(2026, 11, 29), price.what
    assert len({price.what for price in cloud_prices.ALL}) == len(cloud_prices.ALL)
