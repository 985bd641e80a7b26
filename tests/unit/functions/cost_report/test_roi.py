"""The ROI: figures worked out by hand, what happens at zero and below, and assumptions that cannot be used."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.settings import InvalidSettings, load_settings
from functions.cost_report.models import Roi, RoiCase
from functions.cost_report.periods import period_of
from functions.cost_report.roi import Assumptions, Range, assumptions_of, roi

NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
COUNTS = st.integers(0, 10**7)
USD = st.decimals(0, 10**6, places=6)


def same(amount: str) -> Range:
    return Range(low=Decimal(amount), base=Decimal(amount), high=Decimal(amount))


def assumed(**changes: Any) -> Assumptions:  # Any: fields of several types
    given: dict[str, Any] = {
        "minutes": {"knowledge": Range(low=Decimal(3), base=Decimal(6), high=Decimal(12)), "other": same("0")},
        "hourly_usd": Range(low=Decimal(40), base=Decimal(50), high=Decimal(60)),
        "platform_usd_per_month": Decimal(90),
        "setup_usd": Decimal(1000),
    }
    return Assumptions(**{**given, **changes})


def of_october(answered: dict[str, int], *, model: str = "8", cloud: str | None = "2", **changes: Any) -> Roi:
    return roi(
        answered,
        model_cost_usd=Decimal(model),
        cloud_cost_usd=None if cloud is None else Decimal(cloud),
        period=period_of("2026-10", NOW),
        now=NOW,
        assumptions=assumed(**changes),
    )


def base(found: Roi) -> RoiCase:
    return found.cases[1]


def test_the_base_case_worked_out_by_hand() -> None:
    found = of_october({"knowledge": 100})
    assert found.answered == 100
    assert found.platform_cost_usd == 90
    assert base(found) == RoiCase(
        case="base",
        minutes_saved=Decimal(600),
        benefit_usd=Decimal(500),  # ten hours at 50 USD
        cost_usd=Decimal(100),  # 8 for models, 2 for the cloud, 90 for the platform
        net_usd=Decimal(400),
        roi_percent=400.0,
        payback_days=77.5,  # 1,000 USD at 400 in 31 days
        in_words="It saved time worth 500.00 USD and cost 100.00 USD. So it gains 400.00 USD; at this rate the set-up "
        "of 1,000.00 USD is paid back in 78 days.",
    )


def test_low_and_high_take_the_low_and_the_high_of_every_assumption() -> None:
    low, _, high = of_october({"knowledge": 100}).cases
    assert [low.benefit_usd, low.net_usd] == [200, 100]  # 5 hours at 40
    assert [high.benefit_usd, high.net_usd] == [1200, 1100]  # 20 hours at 60


def test_each_agents_answers_save_its_own_minutes() -> None:
    minutes = {"knowledge": same("6"), "collateral": same("10"), "other": same("1.5")}
    found = of_october({"knowledge": 10, "collateral": 3, "greeting": 4, "help": 2}, minutes=minutes)
    assert base(found).minutes_saved == 60 + 30 + 6 + 3
    assert found.answered == 19


def test_without_answers_nothing_is_saved_and_nothing_is_paid_back() -> None:
    found = base(of_october({}))
    assert [found.minutes_saved, found.benefit_usd, found.net_usd] == [0, 0, -100]
    assert (found.roi_percent, found.payback_days) == (-100.0, None)
    assert found.in_words == (
        "No question was answered, so nothing was saved, and it cost 100.00 USD. So it costs 100.00 USD more than it "
        "saves, and the set-up of 1,000.00 USD is never paid back."
    )


def test_without_costs_there_is_no_return_in_percent() -> None:
    found = base(of_october({"knowledge": 100}, model="0", cloud="0", platform_usd_per_month=Decimal(0)))
    assert [found.cost_usd, found.net_usd, found.roi_percent, found.payback_days] == [0, 500, None, 62.0]
    assert "cost nothing, so there is no return in percent" in found.in_words


def test_with_neither_answers_nor_costs_it_breaks_even() -> None:
    nothing: dict[str, Any] = {"model": "0", "cloud": "0", "platform_usd_per_month": Decimal(0)}
    found = base(of_october({}, **nothing))
    assert [found.net_usd, found.roi_percent, found.payback_days] == [0, None, None]
    assert found.in_words.endswith("So it neither gains nor loses, and the set-up is never paid back.")
    assert base(of_october({}, **nothing, setup_usd=Decimal(0))).in_words.endswith("So it breaks even.")


def test_a_loss_is_never_paid_back_and_is_said() -> None:
    found = base(of_october({"knowledge": 10}))
    assert [found.net_usd, found.roi_percent, found.payback_days] == [-50, -50.0, None]
    assert "costs 50.00 USD more than it saves" in found.in_words
    without_setup = base(of_october({"knowledge": 10}, setup_usd=Decimal(0)))
    assert without_setup.payback_days is None
    assert without_setup.in_words.endswith("So it costs 50.00 USD more than it saves.")


def test_a_gain_without_set_up_has_nothing_to_pay_back() -> None:
    found = base(of_october({"knowledge": 100}, setup_usd=Decimal(0)))
    assert found.payback_days == 0
    assert "there is no set-up cost to pay back" in found.in_words


def test_answers_that_save_no_time_are_said_so() -> None:
    assert "an answer saves no time" in base(of_october({"greeting": 5})).in_words


def test_costs_that_were_taken_back_leave_no_percentage() -> None:
    found = base(of_october({"knowledge": 1}, model="-200"))
    assert [found.cost_usd, found.roi_percent] == [-108, None]


def test_an_unknown_cloud_cost_is_said_among_the_assumptions() -> None:
    found = of_october({"knowledge": 100}, cloud=None)
    assert [found.cloud_cost_usd, base(found).cost_usd] == [0, 98]
    (said,) = [one for one in found.assumptions if one.setting == "BILLING_EXPORT"]
    assert "counts as 0" in said.why
    assert not [one for one in of_october({}).assumptions if one.setting == "BILLING_EXPORT"]


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("2026-10", "90"),
        ("2026-11", "45"),  # 15 of 30 days have begun
        ("2026-09-01..2026-10-31", "180"),
        ("2026-10-31", "2.903226"),
        ("2026-10-31..2026-11-03", "11.903226"),
        ("2024", "1080"),
        ("1d", "3"),
    ],
)
def test_the_platform_costs_its_price_each_month_and_a_share_by_days_for_a_part(text: str, platform: str) -> None:
    found = roi(
        {}, model_cost_usd=Decimal(0), cloud_cost_usd=None, period=period_of(text, NOW), now=NOW, assumptions=assumed()
    )
    assert found.platform_cost_usd == Decimal(platform)


def test_payback_counts_the_days_that_have_begun() -> None:
    found = roi(
        {"knowledge": 100},
        model_cost_usd=Decimal(5),
        cloud_cost_usd=None,
        period=period_of("2026-11", NOW),
        now=NOW,
        assumptions=assumed(),
    )
    assert base(found).net_usd == 450  # 500 - 5 - 45
    assert base(found).payback_days == 33.3  # 1,000 USD at 450 in 15 days


def test_every_assumption_is_shown_with_its_setting_and_the_reason_of_its_default() -> None:
    found = roi(
        {},
        model_cost_usd=Decimal(0),
        cloud_cost_usd=Decimal(0),
        period=period_of("2026-10", NOW),
        now=NOW,
        assumptions=assumptions_of(load_settings()),
    )
    shown = [(one.setting, one.low, one.base, one.high) for one in found.assumptions]
    assert shown == [
        ("ROI_MINUTES", "3", "6", "10"),
        ("ROI_MINUTES", "5", "10", "15"),
        ("ROI_MINUTES", "0", "0", "0"),
        ("ROI_HOURLY_USD", "35", "50", "65"),
        ("PLATFORM_USD_PER_MONTH", "200", "200", "200"),
        ("ROI_SETUP_USD", "4000", "4000", "4000"),
    ]
    assert all("assumption" in one.why for one in found.assumptions)


def test_an_assumption_of_ones_own_does_not_keep_the_reason_of_the_default() -> None:
    own = load_settings(
        roi_minutes="knowledge=3/6/10,appraisal=1/2/3,other=0/0/0",
        roi_hourly_usd="70/80/90",
        platform_usd_per_month=0,
        roi_setup_usd=1,
    )
    found = roi(
        {},
        model_cost_usd=Decimal(0),
        cloud_cost_usd=Decimal(0),
        period=period_of("2026-10", NOW),
        now=NOW,
        assumptions=assumptions_of(own),
    )
    is_own = [one.why.startswith("Set for this installation") for one in found.assumptions]
    assert is_own == [False, True, False, True, True, True]


def test_settings_are_read_to_the_last_digit() -> None:
    found = assumptions_of(
        load_settings(roi_minutes="a-b_1=0.1/0.25/7, other=0/0/1", roi_hourly_usd="1/1/1", roi_setup_usd="0.1")
    )
    assert found.minutes["a-b_1"] == Range(low=Decimal("0.1"), base=Decimal("0.25"), high=Decimal(7))
    assert found.setup_usd == Decimal("0.1")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"roi_minutes": "knowledge=-1/2/3,other=0/0/0"}, "ROI_MINUTES: knowledge: low must not be negative"),
        (
            {"roi_minutes": "knowledge=3/2/4,other=0/0/0"},
            "ROI_MINUTES: knowledge: low must be at most base, and base at most high",
        ),
        ({"roi_minutes": "knowledge=1/2,other=0/0/0"}, "ROI_MINUTES: knowledge: must be three amounts, LOW/BASE/HIGH"),
        ({"roi_minutes": "other=0/0/0,other=0/0/0"}, "ROI_MINUTES: other: is there twice"),
        (
            {"roi_minutes": "knowledge=1/2/3"},
            "ROI_MINUTES: must say what agents without a name of their own save, as in other=0/0/0",
        ),
        (
            {"roi_minutes": "other=0/0/0,"},
            "ROI_MINUTES: entry 2 must be AGENT=LOW/BASE/HIGH, as in knowledge=3/6/10",
        ),
        ({"roi_minutes": "<b>=1/2/3"}, "ROI_MINUTES: entry 1 must be AGENT=LOW/BASE/HIGH, as in knowledge=3/6/10"),
        ({"roi_hourly_usd": "40"}, "ROI_HOURLY_USD: must be three amounts, LOW/BASE/HIGH"),
        ({"roi_hourly_usd": "40/-60/80"}, "ROI_HOURLY_USD: base must not be negative"),
        ({"roi_hourly_usd": "40/60/50"}, "ROI_HOURLY_USD: low must be at most base, and base at most high"),
        ({"roi_hourly_usd": "40/60/nan"}, "ROI_HOURLY_USD: high must be an amount below 1,000,000, as in 7.5"),
        ({"roi_hourly_usd": "40/60/1e3"}, "ROI_HOURLY_USD: high must be an amount below 1,000,000, as in 7.5"),
        ({"roi_hourly_usd": "40/60/1000000"}, "ROI_HOURLY_USD: high must be an amount below 1,000,000, as in 7.5"),
        ({"roi_hourly_usd": "40/60/٣"}, "ROI_HOURLY_USD: high must be an amount below 1,000,000, as in 7.5"),
    ],
)
def test_an_assumption_that_cannot_be_used_is_named_with_the_reason(given: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        assumptions_of(load_settings(**given))
    assert str(refusal.value) == reason


@pytest.mark.parametrize("name", ["platform_usd_per_month", "roi_setup_usd"])
def test_a_negative_amount_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(InvalidSettings, match=f"{name.upper()}: must be at least 0"):
        load_settings(**{name: -1})


@given(knowledge=COUNTS, other=COUNTS, model=USD, cloud=st.none() | USD, platform=USD, setup=USD)
def test_the_figures_fit_together_whatever_they_are(
    knowledge: int, other: int, model: Decimal, cloud: Decimal | None, platform: Decimal, setup: Decimal
) -> None:
    found = roi(
        {"knowledge": knowledge, "help": other},
        model_cost_usd=model,
        cloud_cost_usd=cloud,
        period=period_of("2026-10", NOW),
        now=NOW,
        assumptions=assumed(platform_usd_per_month=platform, setup_usd=setup),
    )
    assert [one.case for one in found.cases] == ["low", "base", "high"]
    assert found.cases[0].net_usd <= found.cases[1].net_usd <= found.cases[2].net_usd
    for one in found.cases:
        assert one.cost_usd == model + (cloud or 0) + platform
        assert one.net_usd == one.benefit_usd - one.cost_usd
        assert (one.payback_days is None) == (one.net_usd <= 0)
        assert (one.roi_percent is None) == (one.cost_usd == 0)
        assert one.in_words
    assert Roi.model_validate_json(found.model_dump_json()) == found
