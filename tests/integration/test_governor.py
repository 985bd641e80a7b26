"""What is held of budgets before calls are made, and counted after them, on both databases."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, insert, select

from common.costs import budgets, governor
from common.costs.budget_notices import tell_of_budgets
from common.costs.budgets import Budget, BudgetFile, Spender, budgets_of
from common.costs.days import LOST, added_up, kept_days
from common.costs.governor import BudgetSpent, CallToMake, Stance, lapse, open_call, stance, uses
from common.costs.ledger import LedgerEntry, add, reverse
from common.database.engine import read, write
from common.database.tables import budget_holds, cloud_budgets, ledger_entries, notices, open_calls
from tests import servers
from tests.budget_files import budget, call_to_make
from tests.instance import instance

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LAPSES = NOW + timedelta(minutes=2)
ACME = Spender(tenant="acme", principal="key-acme", agent="knowledge", model="gemini-3.8-flash")

Allow = Callable[..., None]


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Allow:
    """Says which budgets there are."""

    def say(*given: dict[str, object], **also: object) -> None:
        file = BudgetFile.model_validate({"budgets": given, **also})
        monkeypatch.setattr(budgets, "budget_file", lambda: file)
        monkeypatch.setattr(governor, "budget_file", lambda: file)

    monkeypatch.setattr(governor, "_lapsed_at", float("inf"))  # nothing lapses by itself here
    return say


def entry_of(call: CallToMake, cost_usd: str | None, *, at: datetime = NOW, outcome: str = "ok") -> LedgerEntry:
    return LedgerEntry(
        created_at=at, request_id=call.request_id, trace_id=call.trace_id, tenant=call.tenant,
        principal=call.principal, agent=call.agent, step=call.step, route=call.route, lane=call.lane,
        provider=call.provider, model_asked=call.model_asked, model_answered=call.model_asked, input_tokens=10,
        cost_usd=None if cost_usd is None else Decimal(cost_usd), bound_usd=call.bound_usd, duration_ms=1.0,
        outcome=outcome, open_call=call.id,
    )  # fmt: skip


def spent(database: Engine, spender: Spender = ACME, at: datetime = NOW) -> list[tuple[str, Decimal, Decimal]]:
    """Budget, what is spent, what is held."""
    with read(database) as connection:
        return [(use.budget.id, use.spent_usd, use.held_usd) for use in uses(connection, budgets_of(spender), at)]


def close(database: Engine, call: CallToMake, cost_usd: str | None, **also: str) -> None:
    with write(database) as connection:
        add(connection, [entry_of(call, cost_usd, **also)])  # type: ignore[arg-type]  # outcome alone


def test_of_64_calls_at_once_those_that_fit_are_made_and_nothing_is_overspent(database: Engine, allow: Allow) -> None:
    allow(budget(amount_usd="1"))
    together = threading.Barrier(64)

    def one(_number: int) -> str:
        call = call_to_make("0.1")
        together.wait(timeout=60)
        try:
            open_call(database, call, NOW, LAPSES)
        except BudgetSpent:
            return "refused"
        close(database, call, "0.1")
        return "made"

    with ThreadPoolExecutor(64) as threads:
        outcomes = list(threads.map(one, range(64)))
    assert outcomes.count("made") == 10
    assert spent(database) == [("all", Decimal(1), Decimal(0))]
    with read(database) as connection:
        assert connection.scalar(select(func.count()).select_from(open_calls)) == 0


def test_what_a_call_did_not_use_is_there_for_the_next(database: Engine, allow: Allow) -> None:
    allow(budget(amount_usd="1"))
    first, second, third = call_to_make("0.7"), call_to_make("0.7"), call_to_make("0.7")
    open_call(database, first, NOW, LAPSES)
    with pytest.raises(BudgetSpent) as refused:
        open_call(database, second, NOW, LAPSES)
    assert refused.value.resets_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert refused.value.members == {"resets_at": "2026-12-01T00:00:00Z"}
    close(database, first, "0.2")
    open_call(database, third, NOW, LAPSES)
    assert spent(database) == [("all", Decimal("0.2"), Decimal("0.7"))]


@pytest.mark.parametrize("ends_after", [20, 40])
def test_a_call_under_way_at_a_periods_end_is_held_of_both(database: Engine, allow: Allow, ends_after: int) -> None:
    allow(budget(amount_usd="1", period="day"))
    begun = datetime(2026, 11, 23, 23, 59, 30, tzinfo=UTC)
    ended, midnight = begun + timedelta(seconds=ends_after), begun + timedelta(seconds=30)
    first, second = call_to_make("0.7"), call_to_make("0.7")
    open_call(database, first, begun, begun + timedelta(minutes=2))
    assert [spent(database, at=at) for at in (begun, midnight)] == 2 * [[("all", Decimal(0), Decimal("0.7"))]]
    with pytest.raises(BudgetSpent) as refused:
        open_call(database, second, midnight, midnight + timedelta(minutes=2))
    assert refused.value.resets_at == datetime(2026, 11, 25, tzinfo=UTC)
    with write(database) as connection:
        add(connection, [entry_of(first, "0.7", at=ended)])
    of_days = [[("all", Decimal(usd), Decimal(0))] for usd in (("0.7", "0") if ended < midnight else ("0", "0.7"))]
    assert [spent(database, at=at) for at in (begun, midnight)] == of_days


def test_a_call_counts_against_each_budget_that_is_its_and_no_other(database: Engine, allow: Allow) -> None:
    allow(
        budget(),
        budget(id="acme", scope="tenant", of="acme"),
        budget(id="other", scope="tenant", of="other"),
        budget(id="each-key", scope="principal", of="*", period="day"),
        budget(id="collateral", scope="agent", of="collateral"),
        budget(id="flash", scope="model", of="gemini-3.8-flash", amount_usd="0.15"),
    )
    call = call_to_make("0.1")
    open_call(database, call, NOW, LAPSES)
    close(database, call, "0.1")
    assert {name: usd for name, usd, _ in spent(database)} == dict.fromkeys(
        ("all", "acme", "each-key", "flash"), Decimal("0.1")
    )
    other_key = Spender(tenant="acme", principal="key-2", agent=None, model="another")
    assert {name: usd for name, usd, _ in spent(database, other_key)} == {
        "all": Decimal("0.1"), "acme": Decimal("0.1"), "each-key": Decimal(0),
    }  # fmt: skip
    with pytest.raises(BudgetSpent) as refused:
        open_call(database, call_to_make("0.1"), NOW, LAPSES)
    assert refused.value.budget == "flash"
    with read(database) as connection:  # nothing of it is held anywhere
        assert connection.scalar(select(func.count()).select_from(budget_holds)) == 0


def test_a_crashed_call_gives_back_what_it_held_and_is_lost_at_what_it_can_have_cost(
    database: Engine, allow: Allow
) -> None:
    allow(budget(amount_usd="1"))
    crashed = call_to_make("0.7")
    open_call(database, crashed, NOW, LAPSES)
    assert lapse(database, NOW) == 0
    later = LAPSES + timedelta(seconds=1)
    assert spent(database, at=later) == [("all", Decimal(0), Decimal(0))]
    assert lapse(database, later) == 1
    assert lapse(database, later) == 0
    assert spent(database, at=later) == [("all", Decimal("0.7"), Decimal(0))]
    with read(database) as connection:
        row = connection.execute(select(ledger_entries)).mappings().one()
    assert (row["outcome"], row["cost_usd"], row["bound_usd"]) == (LOST, None, Decimal("0.7"))


def test_an_entry_that_comes_after_its_call_lapsed_takes_the_lost_one_back(database: Engine, allow: Allow) -> None:
    allow(budget(amount_usd="1"))
    late = call_to_make("0.7")
    open_call(database, late, NOW, LAPSES)
    lapse(database, LAPSES)
    close(database, late, "0.2")
    assert spent(database) == [("all", Decimal("0.2"), Decimal(0))]
    with read(database) as connection:
        sums, *others = kept_days(connection).values()
    assert not others
    assert (sums.calls, sums.lost_calls, sums.lost_usd, sums.cost_usd) == (1, 0, Decimal(0), Decimal("0.2"))


def test_of_two_that_look_for_lapsed_calls_one_finds_each(database: Engine, allow: Allow) -> None:
    allow()
    for _ in range(8):
        open_call(database, call_to_make(), NOW, LAPSES)
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda _: lapse(database, LAPSES), range(4))) == 8


def test_a_cost_that_nobody_knows_counts_at_what_it_can_have_been(database: Engine, allow: Allow) -> None:
    allow(budget(amount_usd="1"))
    call = call_to_make("0.4")
    open_call(database, call, NOW, LAPSES)
    close(database, call, None, outcome="ModelTimeout")
    assert spent(database) == [("all", Decimal("0.4"), Decimal(0))]


def test_a_call_without_a_price_is_not_made_under_a_budget_that_must_hold(database: Engine, allow: Allow) -> None:
    allow(budget(hard_at=None))
    open_call(database, call_to_make(None), NOW, LAPSES)
    allow(budget())
    with pytest.raises(BudgetSpent):
        open_call(database, call_to_make(None), NOW, LAPSES)


def test_a_budget_that_is_new_in_mid_period_begins_with_what_the_ledger_holds(database: Engine, allow: Allow) -> None:
    allow()
    for at, usd in ((NOW, "0.25"), (NOW - timedelta(days=1), "0.5"), (NOW - timedelta(days=30), "8")):
        with write(database) as connection:
            add(connection, [entry_of(call_to_make(), usd, at=at)])
    allow(budget(), budget(id="acme", scope="tenant", of="acme"), budget(id="other", scope="tenant", of="other"))
    assert spent(database) == [("all", Decimal("0.75"), Decimal(0)), ("acme", Decimal("0.75"), Decimal(0))]
    with write(database) as connection:
        add(connection, [entry_of(call_to_make(), "0.1")])
    assert spent(database) == [("all", Decimal("0.85"), Decimal(0)), ("acme", Decimal("0.85"), Decimal(0))]


def test_a_counter_that_many_make_at_once_counts_each_once(database: Engine, allow: Allow) -> None:
    allow(budget(amount_usd="1000"))
    together = threading.Barrier(16)

    def one(_number: int) -> None:
        call = call_to_make("0.1")
        together.wait(timeout=60)
        with write(database) as connection:
            add(connection, [entry_of(call, "0.1")])

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(one, range(16)))
    assert spent(database) == [("all", Decimal("1.6"), Decimal(0))]
    with read(database) as connection:
        assert kept_days(connection) == added_up(connection)


def test_the_next_period_begins_with_nothing_spent(database: Engine, allow: Allow) -> None:
    allow(budget(period="day", time_zone="America/New_York"))
    with write(database) as connection:
        add(connection, [entry_of(call_to_make(), "1")])
    still, over = datetime(2026, 11, 24, 4, 59, tzinfo=UTC), datetime(2026, 11, 24, 5, tzinfo=UTC)
    with pytest.raises(BudgetSpent):
        open_call(database, call_to_make(), still, still + timedelta(minutes=2))
    open_call(database, call_to_make(), over, over + timedelta(minutes=2))


def test_what_is_taken_back_can_be_spent_again(database: Engine, allow: Allow) -> None:
    allow(budget())
    with write(database) as connection:
        add(connection, [entry_of(call_to_make(), "1")])
    with write(database) as connection:
        reverse(connection, 1, NOW)
    assert spent(database) == [("all", Decimal(0), Decimal(0))]


@pytest.mark.parametrize(
    ("usd", "changed", "state"),
    [
        ("0.79", {}, "open"),
        ("0.8", {}, "soft"),
        ("0.999", {}, "soft"),
        ("1", {}, "hard"),
        ("1", {"over": "refuse"}, "refused"),
        ("3", {"hard_at": None}, "soft"),
        ("3", {"hard_at": None, "soft_at": None}, "open"),
    ],
)
def test_how_far_a_budget_is_spent_says_what_is_done(
    sqlite_database: Engine, allow: Allow, usd: str, changed: dict[str, object], state: str
) -> None:
    allow(budget(**changed))
    with write(sqlite_database) as connection:
        add(connection, [entry_of(call_to_make(), usd)])
    with read(sqlite_database) as connection:
        found = stance(connection, ACME, NOW)
    assert (found.state, found.lane) == (state, "default" if state == "open" else "cheap")


def test_the_worst_of_several_budgets_counts(sqlite_database: Engine, allow: Allow) -> None:
    allow(budget(amount_usd="100"), budget(id="acme", scope="tenant", of="acme", period="day", over="refuse"))
    with write(sqlite_database) as connection:
        add(connection, [entry_of(call_to_make(), "1")])
    with read(sqlite_database) as connection:
        assert stance(connection, ACME, NOW) == Stance(
            state="refused", budget="acme", resets_at=datetime(2026, 11, 24, tzinfo=UTC)
        )


def test_a_cloud_budget_sets_the_same_states(database: Engine, allow: Allow) -> None:
    allow(cloud_budget={"soft_at": "0.5", "hard_at": "1", "over": "refuse"})

    def told(cost: str, start: datetime) -> Stance:
        row = {
            "budget_id": "b", "interval_start": start, "billing_account_id": "a", "display_name": "cloud",
            "cost_amount": Decimal(cost), "budget_amount": Decimal(100), "currency": "EUR", "updated_at": NOW,
        }  # fmt: skip
        with write(database) as connection:
            connection.execute(insert(cloud_budgets).values(row))
        with read(database) as connection:
            return stance(connection, ACME, NOW)

    assert told("60", datetime(2026, 10, 25, 7, tzinfo=UTC)).state == "soft"
    assert told("100.01", datetime(2026, 11, 1, 7, tzinfo=UTC)).state == "refused"
    with pytest.raises(BudgetSpent) as refused:
        open_call(database, call_to_make(), NOW, LAPSES)
    assert (refused.value.budget, refused.value.resets_at) == ("cloud", datetime(2026, 12, 1, 8, tzinfo=UTC))
    assert told("1", datetime(2026, 11, 22, 7, tzinfo=UTC)).state == "open"


def test_without_budgets_a_call_is_noted_all_the_same(database: Engine, allow: Allow) -> None:
    allow()
    call = call_to_make(None)
    open_call(database, call, NOW, LAPSES)
    with read(database) as connection:
        assert connection.execute(select(open_calls.c.id, open_calls.c.lapses_at)).one() == (call.id, LAPSES)
    close(database, call, "0.1")
    with read(database) as connection:
        assert connection.scalar(select(func.count()).select_from(open_calls)) == 0


def test_two_budgets_of_one_scope_and_period_count_once(database: Engine, allow: Allow) -> None:
    allow(budget(hard_at=None), budget(id="hard", amount_usd="2"))
    call = call_to_make("0.1")
    open_call(database, call, NOW, LAPSES)
    assert spent(database) == [("all", Decimal(0), Decimal("0.1")), ("hard", Decimal(0), Decimal("0.1"))]
    close(database, call, "0.1")
    assert spent(database) == [("all", Decimal("0.1"), Decimal(0)), ("hard", Decimal("0.1"), Decimal(0))]


def test_a_budget_knows_its_own_calls_only() -> None:
    one = Budget.model_validate(budget(scope="agent", of="*"))
    assert one.counter(Spender(tenant="t", principal="p", agent=None, model="m")) is None


def test_each_part_of_a_budget_that_is_reached_is_told_once(database: Engine, allow: Allow) -> None:
    allow(budget(notices_at=["0.5", "0.8", "1"]))
    for usd in ("0.3", "0.55", "0.05", "0.2"):
        with write(database) as connection:
            add(connection, [entry_of(call_to_make(), usd)])
    with read(database) as connection:
        put = [
            json.loads(text) for text in connection.scalars(select(notices.c.payload).order_by(notices.c.created_at))
        ]
    assert [one["subject"] for one in put] == ["Budget all: 80 % is spent", "Budget all: 100 % is spent"]
    assert "The cheap lane answers now." in put[0]["lines"][1]
    assert "Answers come from the documents alone now." in put[1]["lines"][1]


def test_a_part_of_a_budget_that_was_raised_is_told_anew(database: Engine, allow: Allow) -> None:
    for amount in ("1", "2"):
        allow(budget(notices_at=["0.5"], amount_usd=amount))
        with write(database) as connection:
            add(connection, [entry_of(call_to_make(), "0.6")])
    with read(database) as connection:
        assert len(connection.scalars(select(notices.c.key)).all()) == 2


def test_what_is_told_is_delivered_after_the_transaction(database: Engine, allow: Allow, tmp_path: Path) -> None:
    allow(budget(notices_at=["0.5"]))
    with instance(tmp_path, DATABASE_URL=database.url.render_as_string(hide_password=False)):
        with write(database) as connection:
            add(connection, [entry_of(call_to_make(), "0.6")])
        tell_of_budgets()

        def sent() -> object:
            with read(database) as connection:
                return connection.scalar(select(notices.c.sent_at))

        assert servers.wait_for(sent, "the notice to be sent")
