"""Days outside their own pattern: one series for each driver, and series in which nothing happened."""

import datetime as dt
import random
from collections.abc import Callable, Iterable
from decimal import Decimal

import pytest

from functions.cost_report.anomalies import MOST_ANOMALIES, Use, anomalies
from functions.cost_report.models import Anomaly

FIRST = dt.date(2026, 9, 7)  # a Monday
DAYS = 60
LAST = FIRST + dt.timedelta(days=DAYS - 1)
STRANGE = FIRST + dt.timedelta(days=45)  # a Thursday
FLASH = Decimal("0.000002")  # USD per token
PRO = Decimal("0.00002")


def use(
    day: dt.date,
    *,
    principal: str = "desk",
    model: str = "gemini-flash",
    calls: int = 1000,
    tokens_per_call: int = 2000,
    usd_per_token: Decimal = FLASH,
) -> Use:
    tokens = calls * tokens_per_call
    return Use(day=day, principal=principal, model=model, calls=calls, tokens=tokens, cost_usd=tokens * usd_per_token)


def days(make: Callable[[dt.date], Iterable[Use]], count: int = DAYS) -> list[Use]:
    return [one for ahead in range(count) for one in make(FIRST + dt.timedelta(days=ahead))]


def found(uses: list[Use]) -> list[Anomaly]:
    return anomalies(uses, first=FIRST, last=LAST)


def the_strange_day(uses: list[Use]) -> Anomaly:
    """Of all together; nothing else but that day is found."""
    listed = found(uses)
    assert {anomaly.day for anomaly in listed} == {STRANGE}
    (everything,) = [anomaly for anomaly in listed if anomaly.subject == "all"]
    return everything


def test_without_any_use_there_is_nothing() -> None:
    assert found([]) == []


@pytest.mark.parametrize("noise_share", [0.0, 0.1, 0.3])
def test_quiet_days_are_none(noise_share: float) -> None:
    noise = random.Random(1)
    assert found(days(lambda day: [use(day, calls=max(int(noise.gauss(1000, 1000 * noise_share)), 0))])) == []


def test_a_weekly_pattern_is_none() -> None:
    noise = random.Random(2)

    def week(day: dt.date) -> list[Use]:
        return [use(day, calls=int((100 if day.weekday() > 4 else 2000) * noise.gauss(1, 0.1)))]

    assert found(days(week)) == []


def test_slow_growth_is_none() -> None:
    assert found(days(lambda day: [use(day, calls=1000 + 30 * (day - FIRST).days)])) == []


def test_pennies_are_none() -> None:
    assert found(days(lambda day: [use(day, calls=200 if day == STRANGE else 1)])) == []  # 0.80 instead of 0.004


def test_a_cheap_day_is_none() -> None:
    assert found(days(lambda day: [] if day == STRANGE else [use(day)])) == []


def test_calls_grew() -> None:
    anomaly = the_strange_day(days(lambda day: [use(day, calls=5000 if day == STRANGE else 1000)]))
    assert anomaly.driver == "calls grew"
    assert (anomaly.cost_usd, anomaly.expected_usd) == (Decimal(20), Decimal(4))
    assert anomaly.evidence == (
        "5,000 calls instead of 1,000; 2,000 tokens per call instead of 2,000; "
        "2.0000 USD per million tokens instead of 2.0000."
    )


def test_tokens_per_call_grew() -> None:
    anomaly = the_strange_day(days(lambda day: [use(day, tokens_per_call=9000 if day == STRANGE else 2000)]))
    assert anomaly.driver == "tokens per call grew"
    assert "9,000 tokens per call instead of 2,000" in anomaly.evidence


def test_the_model_was_switched() -> None:
    def switched(day: dt.date) -> list[Use]:
        if day == STRANGE:
            return [use(day, calls=100), use(day, model="gemini-pro", calls=900, usd_per_token=PRO)]
        return [use(day, calls=950), use(day, model="gemini-pro", calls=50, usd_per_token=PRO)]

    anomaly = the_strange_day(days(switched))
    assert anomaly.driver == "model switched"
    assert anomaly.evidence.startswith("90% of the tokens went to gemini-pro, instead of 5%. ")


def test_a_model_that_is_new_is_a_switch_and_no_change_of_price() -> None:
    def switched(day: dt.date) -> list[Use]:
        return [use(day, model="gemini-pro", usd_per_token=PRO) if day == STRANGE else use(day)]

    anomaly = the_strange_day(days(switched))
    assert anomaly.driver == "model switched"
    assert anomaly.evidence.startswith("100% of the tokens went to gemini-pro, instead of 0%. ")


def test_the_price_changed() -> None:
    anomaly = the_strange_day(days(lambda day: [use(day, usd_per_token=FLASH * (3 if day == STRANGE else 1))]))
    assert anomaly.driver == "price changed"
    assert "6.0000 USD per million tokens instead of 2.0000" in anomaly.evidence


def test_one_principal_and_what_drove_it_there() -> None:
    def three(day: dt.date) -> list[Use]:
        own = [use(day, principal=name, calls=1000) for name in ("branch", "desk")]
        return [*own, use(day, principal="loop", calls=8000 if day == STRANGE else 500)]

    uses = days(three)
    anomaly = the_strange_day(uses)
    assert anomaly.driver == "one principal"
    assert anomaly.evidence.startswith(
        "loop cost 32.00 USD instead of 2.00, 100% of the excess. There, calls grew: 8,000 calls instead of 500;"
    )
    assert [(one.subject, one.driver) for one in found(uses)] == [
        ("all", "one principal"),
        ("principal loop", "calls grew"),
    ]


def test_a_new_principal_is_told_though_it_has_no_pattern_of_its_own() -> None:
    def joined(day: dt.date) -> list[Use]:
        return [use(day), *[use(day, principal="new", calls=9000)] * (day == STRANGE)]

    anomaly = the_strange_day(days(joined))
    assert anomaly.driver == "one principal"
    assert "new cost 36.00 USD instead of 0.00" in anomaly.evidence
    assert "9,000 calls, and none as a rule." in anomaly.evidence


def test_a_large_principal_that_grew_with_all_others_is_not_the_driver() -> None:
    def all_grew(day: dt.date) -> list[Use]:
        factor = 4 if day == STRANGE else 1
        return [use(day, principal="large", calls=4000 * factor), use(day, principal="small", calls=1000 * factor)]

    assert the_strange_day(days(all_grew)).driver == "calls grew"


def test_a_principal_is_seen_where_the_total_hides_it() -> None:
    def small_and_large(day: dt.date) -> list[Use]:
        return [
            use(day, principal="large", calls=100_000),
            use(day, principal="small", calls=3000 if day == STRANGE else 100),
        ]

    assert [(one.subject, one.day) for one in found(days(small_and_large))] == [("principal small", STRANGE)]


def test_several_things_at_once_are_unclear() -> None:
    def both(day: dt.date) -> list[Use]:
        return [use(day, calls=2000, tokens_per_call=4000) if day == STRANGE else use(day)]

    anomaly = the_strange_day(days(both))
    assert anomaly.driver == "unclear"
    assert anomaly.evidence.startswith("Several things grew at once. 2,000 calls instead of 1,000;")


@pytest.mark.parametrize("strange", [True, False])
def test_what_is_paid_by_the_call_has_no_tokens_to_compare(strange: bool) -> None:
    def searches(day: dt.date) -> list[Use]:
        cost = Decimal(30 if day == STRANGE and strange else 3)
        return [Use(day=day, principal="desk", model="search", calls=100, tokens=0, cost_usd=cost)]

    assert [one.driver for one in found(days(searches))] == ["unclear"] * 2 * strange


def test_what_was_unpriced_before_is_unclear() -> None:
    def priced(day: dt.date) -> list[Use]:
        return [use(day, usd_per_token=FLASH if day == STRANGE else Decimal(0))]

    assert the_strange_day(days(priced)).driver == "unclear"


def test_a_dear_weekend_day_is_held_against_weekends() -> None:
    saturday = STRANGE + dt.timedelta(days=2)

    def week(day: dt.date) -> list[Use]:
        weekend = 1500 if day == saturday else 100
        return [use(day, calls=weekend if day.weekday() > 4 else 2000)]

    listed = found(days(week))
    assert {(one.day, one.expected_usd) for one in listed} == {(saturday, Decimal("0.4"))}


def test_before_there_are_weeks_all_days_count() -> None:
    strange = FIRST + dt.timedelta(days=10)
    uses = days(lambda day: [use(day, calls=6000 if day == strange else 1000)], 12)
    assert {one.day for one in found(uses)} == {strange}


def test_a_day_without_a_week_before_it_is_not_judged() -> None:
    strange = FIRST + dt.timedelta(days=5)
    assert found(days(lambda day: [use(day, calls=6000 if day == strange else 1000)])) == []


def test_only_the_days_asked_for_are_judged_by_all_days_before_them() -> None:
    uses = days(lambda day: [use(day, calls=5000 if day == STRANGE else 1000)])
    after = STRANGE + dt.timedelta(days=1)
    assert {one.day for one in anomalies(uses, first=STRANGE, last=STRANGE)} == {STRANGE}
    assert anomalies(uses, first=after, last=LAST) == []


def test_a_level_that_stays_is_an_anomaly_in_its_first_days_only() -> None:
    listed = found(days(lambda day: [use(day, calls=3000 if day >= FIRST + dt.timedelta(days=30) else 1000)]))
    told = sorted({(one.day - FIRST).days for one in listed})
    assert told == [30, 31, 32]


def test_an_earlier_anomaly_does_not_hide_a_later_one() -> None:
    again = STRANGE + dt.timedelta(days=7)
    uses = days(lambda day: [use(day, calls={STRANGE: 5000, again: 9000}.get(day, 1000))])
    later = next(one for one in found(uses) if one.day == again)
    assert (later.driver, later.expected_usd) == ("calls grew", Decimal(4))
    assert "9,000 calls instead of 1,000;" in later.evidence


def test_what_happens_now_and_then_is_a_pattern_too() -> None:
    assert found(days(lambda day: [use(day, calls=3000)] if (day - FIRST).days % 3 == 0 else [])) == []


def test_the_dearest_excess_comes_first_and_no_more_than_some() -> None:
    def many(day: dt.date) -> list[Use]:
        factors = {STRANGE: 5, STRANGE + dt.timedelta(days=1): 9}
        return [use(day, principal=f"key-{key}", calls=(1000 + key) * factors.get(day, 1)) for key in range(15)]

    listed = found(days(many))
    excess = [one.cost_usd - one.expected_usd for one in listed]
    assert excess == sorted(excess, reverse=True)
    assert len(listed) == MOST_ANOMALIES
    assert listed[0].subject == "all"


def test_noise_of_any_amount_seldom_alarms() -> None:
    noise = random.Random(3)
    uses = days(lambda day: [use(day, principal=f"key-{key}", calls=int(noise.gauss(1000, 250))) for key in range(40)])
    judged = 41 * (DAYS - 7)
    assert len(found(uses)) <= judged // 1000
