"""Savings: each kind of finding on traffic whose saving is worked out by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select

from common.costs.ledger import reverse
from common.database.engine import read, write
from common.database.tables import ledger_entries
from common.settings import load_settings
from functions.cost_report.models import Period
from functions.cost_report.savings import Found, analyse, tenants
from tests.savings_traffic import CHEAP, DEFAULT, EMBEDDINGS, NOVEMBER, NOW, Scene, call

MILLION = 1_000_000


@pytest.fixture
def connection(sqlite_database: Engine) -> Iterator[Connection]:
    with write(sqlite_database) as connection:
        yield connection


@pytest.fixture
def scene(connection: Connection) -> Scene:
    return Scene(connection=connection)


def findings(connection: Connection, kind: str, tenant: str = "acme", period: Period = NOVEMBER) -> list[Found]:
    return [one for one in analyse(connection, period, tenant, NOW) if one.finding.kind == kind]


def test_nothing_is_found_where_there_was_nothing(connection: Connection) -> None:
    assert analyse(connection, NOVEMBER, "acme", NOW) == []
    assert tenants(connection, NOVEMBER) == []


def test_nothing_is_found_on_clean_traffic(scene: Scene) -> None:
    for number in range(60):
        lane, model = ("cheap", CHEAP) if number % 2 else ("default", DEFAULT)
        scene.answer(
            call(model, tokens=1_000, output=200, thinking=50 if number % 4 < 2 else 0),
            lane=lane,
            model=model,
            accepted=not (lane == "cheap" and number % 3 == 0),
            question_mark=f"mark-{number}",
            evidence_tokens=800,
            cited_tokens=500,
            history_tokens=100,
            is_follow_up=True,
        )
    assert analyse(scene.write(), NOVEMBER, None, NOW) == []


# repeated-questions


def test_a_question_that_was_answered_already_costs_all_its_calls_again(scene: Scene) -> None:
    for _ in range(3):
        scene.answer(
            call(tokens=2 * MILLION, output=100_000),  # 1.50 + 0.375 USD
            call(step="critique", tokens=MILLION),  # 0.75
            question_mark="same",
        )
    [found] = findings(scene.write(), "repeated-questions")
    assert found.finding.usd_per_month == Decimal("5.25")  # two of three times 2.625
    assert list(found.entry_ids) == [3, 4, 5, 6]
    assert found.finding.evidence["answers that were there already"] == "2"
    assert found.finding.evidence["most often asked"] == "3 times"


@pytest.mark.parametrize(
    "other",
    [
        {"question_mark": "another"},
        {"question_mark": None},
        {"knowledge_generation": 2},
        {"agent": "collateral"},
        {"accepted": False},
        {"answered": False},
    ],
)
def test_what_differs_is_no_repetition(scene: Scene, other: dict[str, object]) -> None:
    scene.answer(call(tokens=9 * MILLION), question_mark="same")
    scene.answer(call(tokens=9 * MILLION), **{"question_mark": "same", **other})
    assert findings(scene.write(), "repeated-questions") == []


def test_a_saving_is_scaled_to_thirty_days_of_those_that_have_begun(scene: Scene) -> None:
    for _ in range(2):
        scene.answer(call(tokens=4 * MILLION), question_mark="same")  # 3 USD
    ten_days = Period(
        label="2026-11-01..2026-11-10",
        start=NOVEMBER.start,
        end=datetime(2026, 11, 11, tzinfo=UTC),
        days=10,
        is_over=True,
    )
    [found] = findings(scene.write(), "repeated-questions", period=ten_days)
    assert (found.saving_usd, found.finding.usd_per_month) == (Decimal(3), Decimal(9))


def test_what_is_less_than_the_setting_is_not_told(scene: Scene) -> None:
    for _ in range(2):
        scene.answer(call(tokens=1_333_320), question_mark="same")  # 0.99999 USD
    assert findings(scene.write(), "repeated-questions") == []


def test_what_was_taken_back_is_in_no_finding(scene: Scene) -> None:
    for _ in range(3):
        scene.answer(call(tokens=4 * MILLION), question_mark="same")
    reverse(scene.write(), 3, NOW)
    [found] = findings(scene.write(), "repeated-questions")
    assert (list(found.entry_ids), found.finding.usd_per_month) == ([2], Decimal(3))


def test_calls_without_a_price_are_left_out_and_said(scene: Scene) -> None:
    for _ in range(2):
        scene.answer(
            call(tokens=4 * MILLION), call("unheard-of", "critique", tokens=7, priced=False), question_mark="same"
        )
    [found] = findings(scene.write(), "repeated-questions")
    assert (list(found.entry_ids), found.finding.usd_per_month) == ([3], Decimal(3))
    assert found.finding.evidence["calls without a price"] == "1, left out"


def test_answers_of_a_session_under_one_request_id_are_left_out(scene: Scene) -> None:
    for _ in range(3):
        scene.answer(call(tokens=9 * MILLION), question_mark="same", request_id="mine", session_id="one")
    assert findings(scene.write(), "repeated-questions") == []


def test_one_request_id_in_two_sessions_is_two_answers(scene: Scene) -> None:
    for number in range(2):
        scene.answer(call(tokens=4 * MILLION), question_mark="same", request_id="mine", session_id=f"s{number}")
    [found] = findings(scene.write(), "repeated-questions")
    assert list(found.entry_ids) == [2]


# cheaper-lane


def test_the_cheap_lane_saves_the_difference_where_it_is_accepted_as_often(scene: Scene) -> None:
    for number in range(250):
        scene.answer(
            call(tokens=100_000, cached=40_000, output=10_000, thinking=2_000),
            call(EMBEDDINGS, "embed", tokens=1_000),
            accepted=number % 10 > 0,
        )
        scene.answer(
            call(CHEAP, tokens=100_000, output=1_000), lane="cheap", model=f"{CHEAP}-001", accepted=number % 10 > 0
        )
    [found] = findings(scene.write(), "cheaper-lane")
    # as they were: 60,000 x 0.75 + 40,000 x 0.075 + 12,000 x 3.75 = 0.093; by the cheap one: 0.018 + 0.0012 + 0.03
    assert found.finding.usd_per_month == 250 * (Decimal("0.093") - Decimal("0.0492"))
    assert found.finding.how_certain == "computed"
    assert found.finding.can_be_replayed
    assert found.finding.entries == 250
    assert found.finding.evidence["accepted on the cheap lane"] == "225 of 250 (90.0 %)"
    assert found.finding.evidence["the same calls"] == "23.25 USD as they were, 12.30 USD by gemini-3.5-flash-lite"


@pytest.mark.parametrize("accepted", [150, 205])
def test_the_cheap_lane_is_not_advised_where_it_may_be_worse(scene: Scene, accepted: int) -> None:
    for number in range(250):
        scene.answer(call(tokens=100_000), accepted=number < 212)
        scene.answer(call(CHEAP, tokens=100), lane="cheap", model=CHEAP, accepted=number < accepted)
    assert findings(scene.write(), "cheaper-lane") == []


def test_a_lane_that_nobody_scored_is_an_estimate_to_be_measured(scene: Scene) -> None:
    for _ in range(10):
        scene.answer(call(tokens=4 * MILLION))  # 3 USD, by the cheap one 1.20
    [found] = findings(scene.write(), "cheaper-lane")
    assert (found.finding.how_certain, found.finding.usd_per_month) == ("estimated", Decimal(18))
    assert "--replay" in found.finding.advice
    assert found.finding.evidence["accepted on the cheap lane"] == "nothing was asked there"


def test_a_lane_that_nobody_scored_is_not_told_for_small_change(scene: Scene) -> None:
    for _ in range(5):
        scene.answer(call(tokens=4 * MILLION))  # 9 USD could be saved, below ten times the least amount
    assert findings(scene.write(), "cheaper-lane") == []


def test_answers_by_another_cheap_model_say_nothing_of_this_one(scene: Scene) -> None:
    for _ in range(30):
        scene.answer(call(tokens=4 * MILLION))
        scene.answer(call("gemini-2.5-flash", tokens=10), lane="cheap", model="gemini-2.5-flash")
    [found] = findings(scene.write(), "cheaper-lane")
    assert found.finding.how_certain == "estimated"


# uncited-passages


def test_text_beyond_twice_what_answers_cite_is_left_over(scene: Scene) -> None:
    for number in range(100):
        scene.answer(
            call(tokens=50_000, output=10),
            call(step="critique", tokens=50_000),
            evidence_tokens=40_000,
            cited_tokens=5_000 if number < 90 else 15_000,
        )
    [found] = findings(scene.write(), "uncited-passages")
    # 10,000 are enough; who cites 15,000 keeps them; both calls of an answer carry the text: 0.75 USD a million
    tokens = 90 * 2 * 30_000 + 10 * 2 * 25_000
    assert found.finding.usd_per_month == tokens * Decimal("0.75") / MILLION
    assert found.finding.entries == 200
    assert found.finding.how_certain == "estimated"
    assert found.finding.evidence["tokens that could be left out"] == "5,900,000, in drafts and reviews"


def test_no_more_is_left_out_than_was_paid_in_full(scene: Scene) -> None:
    for _ in range(100):
        scene.answer(call(tokens=50_000, cached=30_000), evidence_tokens=40_000, cited_tokens=1_000)
    [found] = findings(scene.write(), "uncited-passages")
    assert found.finding.usd_per_month == 100 * 20_000 * Decimal("0.75") / MILLION


def test_a_few_answers_do_not_tell_what_is_cited(scene: Scene) -> None:
    for _ in range(19):
        scene.answer(call(tokens=MILLION), evidence_tokens=900_000, cited_tokens=10)
    assert findings(scene.write(), "uncited-passages") == []


# long-history


def test_history_of_a_question_that_stands_alone_is_left_over(scene: Scene) -> None:
    for _ in range(10):
        scene.answer(call(tokens=500_000), call(step="critique", tokens=500_000), history_tokens=400_000)
    scene.answer(call(tokens=500_000), history_tokens=400_000, is_follow_up=True)
    [found] = findings(scene.write(), "long-history")
    assert found.finding.usd_per_month == 10 * Decimal("0.3")  # the draft's alone: reviews get no history
    assert found.finding.entries == 10
    assert found.finding.evidence["questions"] == "10 in 10 sessions"


# thinking


def test_thinking_that_gets_no_more_accepted_is_left_over(scene: Scene) -> None:
    for number in range(250):
        scene.answer(call(tokens=100, thinking=4_000), accepted=number % 10 > 0)
        scene.answer(call(tokens=100), accepted=number % 10 > 0)
    [found] = findings(scene.write(), "thinking")
    assert found.finding.usd_per_month == Decimal("3.75")  # a million at 3.75 USD a million
    assert found.finding.entries == 250
    assert found.finding.evidence["accepted without thinking"] == "225 of 250 (90.0 %)"


def test_thinking_that_gets_more_accepted_is_worth_it(scene: Scene) -> None:
    for number in range(250):
        scene.answer(call(tokens=100, thinking=4_000), accepted=number % 10 > 0)
        scene.answer(call(tokens=100), accepted=number % 10 > 1)
    assert findings(scene.write(), "thinking") == []


def test_where_all_think_more_is_compared_with_less(scene: Scene) -> None:
    for number in range(250):
        scene.answer(call(tokens=100, thinking=1_000), accepted=number % 10 > 0)
        scene.answer(call(tokens=100, thinking=9_000), accepted=number % 10 > 0)
    [found] = findings(scene.write(), "thinking")
    assert found.finding.usd_per_month == Decimal("7.5")  # 250 times 8,000 beyond the median
    assert "accepted with up to 1,000 tokens of thinking" in found.finding.evidence


# repeated-embeddings


def test_a_text_is_embedded_once(scene: Scene) -> None:
    for mark in ("a", "a", "b", "a", None, None):
        scene.call(call(EMBEDDINGS, "embed", tokens=10 * MILLION, content_mark=mark))  # 1.50 USD
    scene.call(call("gemini-embedding-2", "embed", tokens=10 * MILLION, content_mark="a"))
    scene.call(call(EMBEDDINGS, "embed", tokens=10 * MILLION, content_mark="b", outcome="ModelTimeout"))
    [found] = findings(scene.write(), "repeated-embeddings")
    assert (list(found.entry_ids), found.finding.usd_per_month) == ([2, 4], Decimal(3))


# price-change


def test_a_price_that_rises_is_told_with_what_the_cheap_lane_avoids(scene: Scene) -> None:
    scene.call(call(tokens=8 * MILLION, output=MILLION))  # 6 + 3.75 = 9.75, from January on 12 + 7.50 = 19.50
    [found] = findings(scene.write(), "price-change")
    assert found.finding.title == "gemini-3.8-flash costs 9.75 USD a month more from 2027-01-01 on"
    # the cheap one: 2.40 + 2.50 = 4.90, which is 14.60 less; but the rise is 9.75
    assert found.finding.usd_per_month == Decimal("9.75")
    assert "9.75 USD until then, 19.50 USD after: 9.75 USD more" in found.finding.evidence["the same usage in 30 days"]
    assert found.finding.evidence["instead"].startswith("gemini-3.5-flash-lite: 4.90 USD in 30 days")


def test_a_rise_that_nothing_avoids_is_a_warning(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    both_alike = load_settings(cheap_chat_model=DEFAULT)
    monkeypatch.setattr("functions.cost_report.savings.price_change.settings", lambda: both_alike)
    scene.call(call(tokens=8 * MILLION))
    [found] = findings(scene.write(), "price-change")
    assert found.finding.usd_per_month == 0
    assert found.finding.advice.startswith("Plan for 6.00 USD a month more from 2027-01-01 on")


# what holds for all kinds


def test_a_tenants_findings_rest_on_its_own_entries_alone(database: Engine) -> None:
    with write(database) as connection:
        for tenant in ("acme", "other"):
            everything(Scene(connection=connection, tenant=tenant))
    with read(database) as connection:
        found = analyse(connection, NOVEMBER, None, NOW)
        owners = {row.id: row.tenant for row in connection.execute(select(ledger_entries))}
    assert {one.tenant for one in found} == {"acme", "other"}
    for one in found:
        assert {owners[entry_id] for entry_id in one.entry_ids} == {one.tenant}
    assert len({one.finding.id for one in found}) == len(found) == 2 * 8  # the cheap lane for two agents


def test_a_finding_saves_no_more_than_its_entries_cost_and_counts_each_once(scene: Scene) -> None:
    everything(scene)
    costs = {row.id: row.cost_usd for row in scene.connection.execute(select(ledger_entries))}
    found = analyse(scene.connection, NOVEMBER, "acme", NOW)
    assert {one.finding.kind for one in found} == {
        "repeated-questions", "cheaper-lane", "uncited-passages", "long-history", "thinking", "repeated-embeddings",
        "price-change",
    }  # fmt: skip
    for one in found:
        ids = list(one.entry_ids)
        assert ids == sorted(set(ids))
        assert sum((costs[entry_id] or Decimal(0) for entry_id in ids), Decimal(0)) >= one.saving_usd > 0
        assert one.finding.entry_ids == ids[:20]
        assert one.finding.entries == len(ids)


def test_what_lies_outside_of_the_period_is_not_looked_at(scene: Scene) -> None:
    everything(scene)
    december = Period(
        label="2026-12",
        start=NOVEMBER.end,
        end=NOVEMBER.end + timedelta(days=31),
        days=31,
        is_over=False,
    )
    assert analyse(scene.connection, december, None, NOW) == []


def everything(scene: Scene) -> None:
    """Stores traffic with something of each kind."""
    for number in range(120):
        scene.answer(
            call(tokens=200_000, output=5_000, thinking=30_000 if number % 2 else 0),
            call(step="critique", tokens=150_000, output=500),
            call(EMBEDDINGS, "embed", tokens=MILLION, content_mark=f"text-{number % 3}"),
            question_mark=f"question-{number % 20}",
            evidence_tokens=100_000,
            cited_tokens=10_000,
            history_tokens=80_000,
        )
        scene.answer(
            call(tokens=200_000, output=5_000), agent="collateral", intent=None, history_tokens=3, is_follow_up=True
        )
    scene.write()


ANSWERS = st.lists(
    st.fixed_dictionaries(
        {
            "is_cheap": st.booleans(),
            "tokens": st.integers(0, 300_000),
            "cached": st.integers(0, 300_000),
            "thinking": st.sampled_from((0, 0, 900, 20_000)),
            "is_priced": st.sampled_from((True, True, True, False)),
            "accepted": st.booleans(),
            "question_mark": st.sampled_from((None, "a", "b", "c")),
            "evidence_tokens": st.integers(0, 200_000),
            "cited_tokens": st.integers(0, 10_000),
            "history_tokens": st.integers(0, 400_000),
            "is_follow_up": st.booleans(),
        }
    ),
    min_size=40,
    max_size=80,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=ANSWERS)
def test_whatever_happened_no_finding_saves_more_than_its_entries_cost(
    sqlite_database: Engine, answers: list[dict[str, Any]]
) -> None:
    tell_all = load_settings(savings_min_usd=0)
    with pytest.MonkeyPatch.context() as patch, sqlite_database.connect() as connection, connection.begin() as nothing:
        patch.setattr("functions.cost_report.savings.settings", lambda: tell_all)
        scene = Scene(connection=connection)
        for one in answers:
            facts = dict(one)
            model, lane = (CHEAP, "cheap") if facts.pop("is_cheap") else (DEFAULT, "default")
            kinds = {name: facts.pop(name) for name in ("tokens", "cached", "thinking")}
            scene.answer(
                call(model, output=500, priced=facts.pop("is_priced"), **kinds),
                call(EMBEDDINGS, "embed", tokens=kinds["tokens"], content_mark=facts["question_mark"]),
                lane=lane,
                model=model,
                **facts,
            )
        scene.write()
        costs = {row.id: row.cost_usd for row in connection.execute(select(ledger_entries))}
        for found in analyse(connection, NOVEMBER, "acme", NOW):
            ids = list(found.entry_ids)
            assert ids == sorted(set(ids))
            assert sum((costs[entry_id] for entry_id in ids), Decimal(0)) >= found.saving_usd >= 0
        nothing.rollback()
