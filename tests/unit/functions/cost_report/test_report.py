"""The report adds up: to the ledger's entries, in all of its parts and formats; and says what it leaves out."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select

from common.costs import answers, days, ledger
from common.costs.ledger import LedgerEntry
from common.database.engine import read, write
from common.database.tables import ledger_entries, sessions, turns
from common.personal_data import delete_turns
from common.security.encryption import TURN_CONTENT, Sealer, row_of
from functions.cost_report.cloud_bill import CloudBill
from functions.cost_report.costs import focus_rows, ledger_rows
from functions.cost_report.focus import Account, focus_csv
from functions.cost_report.models import DIMENSIONS, Report, Tokens
from functions.cost_report.page import render
from functions.cost_report.periods import period_of
from functions.cost_report.report import WITHOUT_WORDS, Wanted, build
from tests.key_rings import ring_over
from tests.ledgers import NOW, answer, entry

Building = Callable[..., Report]

LATER = datetime(2026, 12, 5, tzinfo=UTC)  # November is over: there is nothing to foresee


@pytest.fixture
def building(database: Engine) -> Building:
    ring = ring_over(database)

    def make(period: str = "30d", *, tenant: str | None = None, now: datetime = NOW, **bill: object) -> Report:
        wanted = Wanted(period=period_of(period, now), tenant=tenant)
        with read(database) as connection:
            return build(connection, wanted, ring=ring, bill=CloudBill(**bill), now=now)  # type: ignore[arg-type]

    return make


def add(database: Engine, *entries: LedgerEntry) -> None:
    with write(database) as connection:
        ledger.add(connection, entries)


def add_answers(database: Engine, *facts: answers.AnswerFacts) -> None:
    with write(database) as connection:
        for one in facts:
            answers.add_answer(connection, one)


amounts = st.none() | st.decimals(0, 100, places=9)
entries = st.builds(
    entry,
    at=st.integers(0, 50_000).map(lambda minutes: NOW - timedelta(minutes=minutes)),
    cost_usd=amounts.map(lambda one: None if one is None else f"{one:f}"),
    tenant=st.sampled_from(["acme", "other"]),
    principal=st.sampled_from(["key:a", "key:b"]),
    agent=st.sampled_from(["knowledge", None]),
    step=st.sampled_from(["draft", "embed"]),
    model_answered=st.sampled_from(["gemini-3.8-flash", "gemini-3.5-flash-lite", None]),
    outcome=st.sampled_from(["ok", "ModelTimeout"]),
    input_tokens=st.integers(0, 5_000),
    output_tokens=st.integers(0, 500),
    thinking_tokens=st.integers(0, 50),
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(entries, max_size=25), st.lists(st.integers(0, 24), max_size=6, unique=True))
@example([], [])
def test_the_days_the_report_and_the_entries_add_up_to_the_same(
    sqlite_database: Engine, added: list[LedgerEntry], taken_back: list[int]
) -> None:
    with write(sqlite_database) as connection:
        ledger.add(connection, added)
        known = set(connection.scalars(select(ledger_entries.c.reverses)))
        ids = connection.scalars(select(ledger_entries.c.id).where(ledger_entries.c.kind == "call")).all()
        for place in taken_back:
            if place < len(ids) and ids[place] not in known:
                ledger.reverse(connection, ids[place], NOW)
    with read(sqlite_database) as connection:
        assert days.kept_days(connection) == days.added_up(connection)
        period = period_of("2026-11", LATER)
        bill, ring = CloudBill(), ring_over(sqlite_database)
        report = build(connection, Wanted(period=period, tenant=None), ring=ring, bill=bill, now=LATER)
        within = (ledger_entries.c.created_at >= period.start) & (ledger_entries.c.created_at < period.end)
        rows = connection.execute(select(ledger_entries).where(within)).all()
    assert report.totals.cost_usd == sum((row.cost_usd or 0 for row in rows), Decimal(0))
    assert report.totals.calls == sum(-1 if row.kind == "reversal" else 1 for row in rows)
    assert report.totals.tokens.input == sum(row.input_tokens for row in rows)
    assert sum((day.cost_usd for day in report.days), Decimal(0)) == report.totals.cost_usd
    for dimension in DIMENSIONS:
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            key = row.model_answered or row.model_asked if dimension == "model" else getattr(row, dimension)
            sums[key or ""] += row.cost_usd or 0
        assert {group.key: group.cost_usd for group in report.by[dimension]} == sums


def test_all_formats_tell_the_same(database: Engine, building: Building) -> None:
    add(database, entry(cost_usd="1.000000001"), entry(cost_usd="0.25", model_answered="gemini-3.5-flash-lite"))
    add(database, entry(cost_usd=None, model_answered="unheard-of"))
    report = building()
    with read(database) as connection:
        rows = ledger_rows(connection, report.period.start, report.period.end, None)
    told = json.loads(report.model_dump_json())
    charges = list(csv.DictReader(io.StringIO(focus_csv(focus_rows(rows), Account(id="a")).decode())))
    page = render(report, nonce="n").decode()
    assert told["totals"]["cost_usd"] == "1.250000001"
    assert sum(Decimal(one["BilledCost"]) for one in charges) == Decimal("1.250000001")
    assert "1.250000001" in page
    assert sum(int(one["x_Calls"]) for one in charges) == told["totals"]["calls"] == 3
    assert sum(int(one["x_UnpricedCalls"]) for one in charges) == told["totals"]["unpriced_calls"] == 1
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_an_empty_ledger_makes_a_friendly_report(building: Building) -> None:
    report = building()
    totals = report.totals
    assert (totals.calls, totals.answers) == (0, 0)
    assert totals.cost_usd == 0
    assert (totals.usd_per_answer, totals.usd_per_1000_answers, totals.cached_share_percent) == (None, None, None)
    assert (len(report.days), report.groups, report.anomalies, report.top_questions) == (30, [], [], [])
    assert report.forecast is not None
    assert report.forecast.total_usd == 0
    assert report.roi.answered == 0
    assert report.notes[0].startswith("Nothing was called")
    assert b"Nothing was called" in render(report, nonce="n")


def test_costs_are_told_by_answer(database: Engine, building: Building) -> None:
    add(database, entry(cost_usd="3"))
    add_answers(database, answer(), answer(request_id="r2", answered=False), answer(NOW - timedelta(days=40)))
    totals = building().totals
    assert (totals.answers, totals.answered) == (2, 1)
    assert (totals.usd_per_answer, totals.usd_per_1000_answers) == (Decimal("1.5"), Decimal(1500))


def test_groups_come_dearest_first_with_their_share(database: Engine, building: Building) -> None:
    add(database, entry(cost_usd="1", agent=None), entry(cost_usd="3", cached_input_tokens=50))
    report = building()
    assert [(one.key, one.share_percent) for one in report.by["agent"]] == [("knowledge", 75.0), ("", 25.0)]
    assert report.groups == report.by["model"]
    assert report.groups[0].tokens == Tokens(input=200, cached_input=50, output=20)
    assert report.totals.cached_share_percent == 25.0


def test_a_tenants_report_holds_nothing_of_others(database: Engine, building: Building) -> None:
    add(database, entry(cost_usd="1"), entry(cost_usd="5", tenant="other", principal="key:other", route="POST /other"))
    add_answers(database, answer(), answer(tenant="other", principal="key:other"))
    report = building(tenant="acme")
    assert report.totals.cost_usd == 1
    assert (report.totals.answers, report.roi.answered) == (1, 1)
    assert "other" not in report.model_dump_json(exclude={"roi", "notes"})
    assert any("tenant acme alone" in note for note in report.notes)
    assert building(tenant="nobody").totals.calls == 0


def test_what_is_not_known_is_said_and_in_no_sum(database: Engine, building: Building) -> None:
    add(database, entry(cost_usd=None, outcome=days.LOST, bound_usd=Decimal("0.5")), entry(cost_usd=None))
    report = building(note="Cloud costs are left out. BILLING_EXPORT: is not there.")
    assert (report.totals.unpriced_calls, report.totals.lost_calls, report.totals.lost_usd_at_most) == (
        2,
        1,
        Decimal("0.5"),
    )
    assert report.totals.cost_usd == 0
    assert report.totals.cloud_cost_usd is None
    said = " ".join(report.notes)
    assert "without a known price: 1." in said
    assert "up to 0.5 USD" in said
    assert "BILLING_EXPORT: is not there" in said


def test_the_cloud_stands_beside_the_models_by_day(database: Engine, building: Building) -> None:
    add(database, entry(cost_usd="1"))
    day = NOW.date()
    report = building("2026-11-28..2026-11-29", by_day={day: Decimal("2.5")})
    assert (report.totals.cost_usd, report.totals.cloud_cost_usd) == (Decimal(1), Decimal("2.5"))
    assert [one.cloud_cost_usd for one in report.days] == [None, Decimal("2.5")]
    assert report.roi.cloud_cost_usd == Decimal("2.5")


@pytest.mark.parametrize(
    ("period", "days_told", "has_forecast"),
    [("2026-10", 31, False), ("2026-11", 29, True), ("2026-03-08", 1, False), ("2026-10-31..2026-11-02", 3, False)],
)  # the clocks of New York change on 8 March and 1 November
def test_days_are_utc_whatever_clocks_do(building: Building, period: str, days_told: int, has_forecast: bool) -> None:
    report = building(period)
    assert len(report.days) == days_told
    assert all(
        later.day - earlier.day == timedelta(days=1)
        for earlier, later in zip(report.days, report.days[1:], strict=False)
    )
    assert (report.forecast is not None) is has_forecast


def test_what_was_spent_before_the_period_makes_the_forecast_and_no_sum(database: Engine, building: Building) -> None:
    add(database, *(entry(NOW - timedelta(days=number), cost_usd="2") for number in range(1, 100)))
    report = building("2026-11-28..2026-12-05")
    assert report.totals.cost_usd == 2
    assert report.forecast is not None
    assert report.forecast.history_days == 99
    assert report.forecast.total_usd > 10


def test_a_day_outside_its_pattern_is_told_by_its_driver(database: Engine, building: Building) -> None:
    add(database, *(entry(NOW - timedelta(days=number), cost_usd="1") for number in range(2, 60)))
    add(database, *(entry(NOW - timedelta(days=1), cost_usd="1") for _ in range(40)))
    unusual = building("2026-11-22..2026-11-28").anomalies
    assert {one.day for one in unusual} == {(NOW - timedelta(days=1)).date()}
    assert "calls grew" in {one.driver for one in unusual} or "one principal" in {one.driver for one in unusual}


class Asked:
    """Questions with their turns, sealed as the query function seals them."""

    def __init__(self, database: Engine) -> None:
        self.database = database
        self.ring = ring_over(database)
        self.number = 0

    def __call__(self, message: str, cost_usd: str, *, tenant: str = "acme", request_id: str | None = None) -> str:
        self.number += 1
        session, request = f"s{self.number}", request_id or f"q{self.number}"
        mark = answers.mark_of_question(self.ring, tenant, message)
        content = Sealer(self.ring).seal(
            json.dumps({"message": message, "answer": "", "citations": []}).encode(),
            TURN_CONTENT,
            row_of(tenant, session),
        )
        with write(self.database) as connection:
            common = {"tenant": tenant, "created_at": NOW}
            connection.execute(sessions.insert().values(id=session, principal="key:a", updated_at=NOW, **common))
            connection.execute(turns.insert().values(
                uid=session, session_id=session, request_id=request, trace_id="0" * 32, content=content, answered=True,
                agent="knowledge", intent=None, confidence=0.5, critique_score=None, critique_rounds=0, degraded=[],
                signals=[], **common,
            ))  # fmt: skip
            answers.add_answer(
                connection, answer(tenant=tenant, request_id=request, session_id=session, question_mark=mark)
            )
            ledger.add(connection, [entry(cost_usd=cost_usd, tenant=tenant, request_id=request, session_id=session)])
        return session


@pytest.fixture
def asked(database: Engine) -> Asked:
    return Asked(database)


def test_the_dearest_questions_are_told_once_each_masked_and_cut(asked: Asked, building: Building) -> None:
    asked("What is a lien?", "1")
    asked("what is  a LIEN", "1.5")
    asked("Is 078-05-1120 the number of jane.roe@example.com? " + "Please! " * 30, "2")  # a number that SSA withdrew
    asked("Free of charge?", "0")
    asked("What does my client Jane Roe owe?", "0.5")
    first, second, third = building().top_questions
    assert third.question == "What does my client [NAME] [NAME] owe?"
    assert (first.question, first.asked, first.cost_usd) == ("what is a LIEN", 2, Decimal("2.5"))
    assert second.question is not None
    assert second.question.startswith("Is [SSN] the number of [EMAIL]? Please!")
    assert len(second.question) == 120
    assert second.question.endswith("…")


def test_a_deleted_question_costs_what_it_cost_and_says_nothing(
    database: Engine, asked: Asked, building: Building
) -> None:
    session = asked("What is a lien?", "1")
    with write(database) as connection:
        connection.execute(delete(sessions).where(sessions.c.id == session))
    (only,) = building().top_questions
    assert (only.question, only.asked, only.cost_usd) == (None, 1, Decimal(1))


def test_a_question_whose_key_is_gone_says_nothing(database: Engine, asked: Asked, building: Building) -> None:
    session = asked("What is a lien?", "1")
    with write(database) as connection:
        connection.execute(turns.update().where(turns.c.uid == session).values(content=b"\x01" + b"0" * 60))
    assert [one.question for one in building().top_questions] == [None]


def test_a_deleted_question_takes_no_other_with_it_that_came_under_the_same_id(
    database: Engine, asked: Asked, building: Building
) -> None:
    session = asked("What is a lien?", "1", request_id="always-the-same")
    asked("What is a deed?", "2", tenant="other", request_id="always-the-same")
    with write(database) as connection:
        delete_turns(connection, "acme", [session])
    assert [one.question for one in building().top_questions] == ["What is a deed?"]


def test_another_turn_of_the_session_under_the_same_id_is_not_taken_for_the_question(
    database: Engine, asked: Asked, building: Building
) -> None:
    session = asked("What is a lien?", "1")
    with write(database) as connection:
        first = connection.execute(select(turns).where(turns.c.uid == session)).mappings().one()
        sealed = Sealer(asked.ring).seal(b'{"message": "And a deed?"}', TURN_CONTENT, row_of("acme", "later"))
        later = {"uid": "later", "content": sealed, "created_at": LATER}
        connection.execute(turns.insert().values({name: first[name] for name in first if name != "id"} | later))
    assert [one.question for one in building().top_questions] == ["What is a lien?"]


def test_a_report_for_an_archive_has_no_words_of_questions(database: Engine, asked: Asked) -> None:
    asked("What does Jane Roe owe?", "1")
    with read(database) as connection:
        wanted = Wanted(period=period_of("2026-11", LATER), tenant=None)
        report = build(connection, wanted, ring=None, bill=CloudBill(), now=LATER)
    assert [(one.question, one.cost_usd) for one in report.top_questions] == [(None, Decimal(1))]
    assert WITHOUT_WORDS in report.notes


def test_a_request_id_that_comes_again_and_again_counts_each_cost_once(asked: Asked, building: Building) -> None:
    for tenant in ("acme", "acme", "other"):
        asked("What is a lien?", "1", tenant=tenant, request_id="always-the-same")
    found = building().top_questions
    assert sorted((one.asked, one.cost_usd) for one in found) == [(1, Decimal(1)), (2, Decimal(2))]
    assert [(one.asked, one.cost_usd) for one in building(tenant="acme").top_questions] == [(2, Decimal(2))]
    assert building("2026-10").top_questions == []
