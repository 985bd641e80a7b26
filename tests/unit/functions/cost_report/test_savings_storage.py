"""Findings as they are kept: by tenant, with all entry ids, and with what a replay measured."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from common.database.engine import read, write
from functions.cost_report.savings import Found, analyse, refresh, store, stored
from functions.cost_report.savings.replayed import Replay, Side
from functions.cost_report.savings.storage import entry_ids_of, keep_replay, pack, stored_finding, unpack
from tests.savings_traffic import CHEAP, DEFAULT, NOVEMBER, NOW, Scene, call

MILLION = 1_000_000
LATER = NOW + timedelta(days=1)


def replayed(*, accepted: int = 9, cheap_usd: str = "0.4") -> Replay:
    return Replay(
        at=NOW,
        questions=10,
        default=Side(model=DEFAULT, accepted=9, score=0.9, cost_usd=Decimal(1)),
        cheap=Side(model=CHEAP, accepted=accepted, score=0.88, cost_usd=Decimal(cheap_usd)),
    )


def lane_of(database: Engine, tenant: str = "acme") -> Found:
    """Of ten answers for 3 USD each, asked on the default lane alone."""
    with write(database) as connection:
        scene = Scene(connection=connection, tenant=tenant)
        for _ in range(10):
            scene.answer(call(tokens=4 * MILLION))
        scene.write()
        [found] = [one for one in analyse(connection, NOVEMBER, tenant, NOW) if one.finding.kind == "cheaper-lane"]
    return found


def test_what_is_stored_comes_back_dearest_first(database: Engine) -> None:
    lane = lane_of(database)
    cheaper = replace(lane, finding=lane.finding.model_copy(update={"id": "other", "usd_per_month": Decimal("0.5")}))
    with write(database) as connection:
        store(connection, "acme", [cheaper, lane], NOVEMBER, NOW)
    with read(database) as connection:
        kept = stored(connection, "acme")
        assert kept.found_at == NOW
        assert kept.findings == [lane.finding, cheaper.finding]
        assert list(entry_ids_of(connection, lane.finding.id)) == list(lane.entry_ids)


def test_an_analysis_that_found_nothing_is_told_from_none(database: Engine) -> None:
    with write(database) as connection:
        assert stored(connection, "acme").found_at is None
        store(connection, "acme", [], NOVEMBER, NOW)
        assert stored(connection, "acme").found_at == NOW
        assert stored(connection, "acme").findings == []


def test_new_findings_take_the_place_of_the_tenants_old_ones_alone(database: Engine) -> None:
    mine, others = lane_of(database), lane_of(database, "other")
    with write(database) as connection:
        store(connection, "acme", [mine], NOVEMBER, NOW)
        store(connection, "other", [others], NOVEMBER, NOW)
        store(connection, "acme", [], NOVEMBER, LATER)
        assert stored(connection, "acme").findings == []
        assert stored(connection, None).findings == [others.finding]
        assert stored(connection, None).found_at == NOW  # the oldest
        assert stored_finding(connection, others.finding.id, "acme") is None


def test_of_two_analyses_that_store_at_once_one_stands_whole(database: Engine) -> None:
    lane = lane_of(database)
    second = replace(lane, finding=lane.finding.model_copy(update={"id": "second"}))
    is_waiting = Event()

    def later() -> None:
        is_waiting.set()
        with write(database) as connection:
            store(connection, "acme", [second], NOVEMBER, LATER)

    with ThreadPoolExecutor() as pool:
        with write(database) as connection:
            store(connection, "acme", [lane], NOVEMBER, NOW)
            done = pool.submit(later)
            assert is_waiting.wait(10)
            with pytest.raises(TimeoutError):
                done.result(0.3)
        done.result(30)
    with read(database) as connection:
        kept = stored(connection, "acme")
    assert (kept.found_at, [one.id for one in kept.findings]) == (LATER, ["second"])


def test_a_finding_of_another_tenant_is_not_stored(database: Engine) -> None:
    with write(database) as connection, pytest.raises(ValueError, match="another tenant"):
        store(connection, "other", [lane_of_nobody()], NOVEMBER, NOW)


def lane_of_nobody() -> Found:
    from array import array

    from functions.cost_report.models import Finding

    finding = Finding(
        id="cheaper-lane-1", kind="cheaper-lane", title="", advice="", usd_per_month=Decimal(1),
        how_certain="estimated", evidence={}, entries=0, entry_ids=[], can_be_replayed=True,
    )  # fmt: skip
    return Found(
        tenant="acme", finding=finding, entry_ids=array("q"), saving_usd=Decimal(1), cost_usd_per_month=Decimal(2)
    )


def test_a_replay_turns_the_estimate_into_what_was_measured(database: Engine) -> None:
    lane = lane_of(database)
    with write(database) as connection:
        store(connection, "acme", [lane], NOVEMBER, NOW)
        assert keep_replay(connection, lane.finding.id, replayed())
        [kept] = stored(connection, "acme").findings
        # 60 % of the sample's cost was saved, and all the calls cost 30 USD
        assert (kept.how_certain, kept.usd_per_month) == ("measured", Decimal(18))
        assert kept.evidence["cheap lane in the sample"] == (
            "gemini-3.5-flash-lite: 9 of 10 (90.0 %) accepted, mean score 0.88, 0.40 USD"
        )
        store(connection, "acme", [lane], NOVEMBER, LATER)
        assert stored(connection, "acme").findings == [kept]


def test_a_replay_whose_answers_were_worse_saves_nothing(database: Engine) -> None:
    lane = lane_of(database)
    with write(database) as connection:
        store(connection, "acme", [lane], NOVEMBER, NOW)
        keep_replay(connection, lane.finding.id, replayed(accepted=8))
        [kept] = stored(connection, "acme").findings
    assert (kept.how_certain, kept.usd_per_month) == ("measured", Decimal(0))
    assert kept.advice.startswith("Stay on the default lane")


def test_a_lane_that_cost_more_saves_nothing(database: Engine) -> None:
    lane = lane_of(database)
    with write(database) as connection:
        store(connection, "acme", [lane], NOVEMBER, NOW)
        keep_replay(connection, lane.finding.id, replayed(cheap_usd="1.5"))
        [kept] = stored(connection, "acme").findings
    assert kept.usd_per_month == 0


def test_a_replay_of_what_is_no_longer_there_is_not_kept(database: Engine) -> None:
    with write(database) as connection:
        assert not keep_replay(connection, "cheaper-lane-0123456789ab", replayed())


def test_refreshing_looks_through_each_tenant_and_clears_what_is_gone(database: Engine) -> None:
    lane_of(database), lane_of(database, "other")
    with write(database) as connection:
        store(connection, "gone", [], NOVEMBER, NOW)
    refresh(database, NOVEMBER, None, LATER)
    with read(database) as connection:
        for tenant in ("acme", "other"):
            kinds = {one.kind for one in stored(connection, tenant).findings}
            assert kinds == {"cheaper-lane", "price-change"}
        assert stored(connection, "gone").found_at == LATER


def test_a_finding_has_the_same_id_in_each_run_and_another_for_each_tenant(database: Engine) -> None:
    mine, others = lane_of(database), lane_of(database, "other")
    with read(database) as connection:
        again = [one.finding.id for one in analyse(connection, NOVEMBER, None, NOW)]
    assert mine.finding.id in again
    assert mine.finding.id != others.finding.id


@given(st.sets(st.integers(min_value=1, max_value=2**62)))
def test_ids_come_out_of_their_packing_as_they_went_in(ids: set[int]) -> None:
    assert list(unpack(pack(sorted(ids)))) == sorted(ids)


def test_a_million_ids_take_little_room() -> None:
    assert len(pack(range(1, 1_000_001))) < 2_000
