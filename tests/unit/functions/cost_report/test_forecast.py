"""What a period will have cost: on series whose end is known."""

import datetime as dt
import random
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal

import pytest

from functions.cost_report.forecast import DayCost, forecast
from functions.cost_report.models import Forecast, Period

TODAY = dt.date(2026, 11, 16)  # a Monday
MIDNIGHT = dt.datetime(2026, 11, 16, tzinfo=dt.UTC)
NOON = MIDNIGHT + dt.timedelta(hours=12)
ZERO = Decimal(0)


def period(start: dt.datetime, days: int) -> Period:
    return Period(label="a period", start=start, end=start + dt.timedelta(days=days), days=days, is_over=False)


def before_today(costs: Sequence[float | str | Decimal]) -> list[DayCost]:
    first = TODAY - dt.timedelta(days=len(costs))
    return [
        DayCost(day=first + dt.timedelta(days=index), cost_usd=Decimal(str(cost))) for index, cost in enumerate(costs)
    ]


def ahead(costs: Sequence[float | str | Decimal], days: int, *, now: dt.datetime = MIDNIGHT) -> Forecast:
    """The forecast of `days` from today's midnight on, from what the days before today cost."""
    made = forecast(before_today(costs), now=now, period=period(MIDNIGHT, days))
    assert made is not None
    assert_is_sound(made)
    return made


def assert_is_sound(made: Forecast) -> None:
    assert ZERO <= made.low_usd <= made.total_usd <= made.high_usd
    for day in made.days:
        assert ZERO <= day.low_usd <= day.expected_usd <= day.high_usd
        assert day.high_usd == day.high_usd.quantize(Decimal("0.000001"))


def weeks(pattern: Sequence[float], count: int) -> list[float]:
    """Whole weeks that end on the Sunday before today; `pattern` is from Monday on."""
    return list(pattern) * count


@pytest.mark.parametrize("days", [3, 7, 13, 30, 400])
def test_what_never_changed_goes_on_without_doubt(days: int) -> None:
    made = ahead(["12.34"] * days, 10)
    assert made.total_usd == Decimal("123.4")
    assert made.method == "run rate"
    if days >= 7:
        assert made.low_usd == made.high_usd == made.total_usd


def test_the_first_days_of_a_week_leave_the_others_open() -> None:
    made = ahead([10] * 5, 7)
    assert made.low_usd < 50 < 70 < made.high_usd  # it may have been working days, and an idle weekend comes


def test_today_is_counted_once_what_it_cost_so_far_and_its_rest() -> None:
    history = [*before_today([10] * 30), DayCost(day=TODAY, cost_usd=Decimal("6.123456789"))]
    made = forecast(history, now=NOON, period=period(MIDNIGHT, 3))
    assert made is not None
    assert [(day.day, day.expected_usd) for day in made.days] == [
        (TODAY, Decimal(5)),  # half of the day is left
        (TODAY + dt.timedelta(days=1), Decimal(10)),
        (TODAY + dt.timedelta(days=2), Decimal(10)),
    ]
    assert made.total_usd == Decimal("31.123456789")  # the past is exact
    assert made.low_usd < made.total_usd < made.high_usd  # how a day spreads over its hours is not known


def test_total_is_what_the_period_cost_so_far_and_the_days_to_come() -> None:
    made = forecast(before_today([10] * 30), now=MIDNIGHT, period=period(MIDNIGHT - dt.timedelta(days=15), 30))
    assert made is not None
    assert made.total_usd == 300
    assert len(made.days) == 15
    assert made.history_days == 30  # older days tell too


def test_a_period_that_is_over_has_no_forecast() -> None:
    history = before_today([10] * 30)
    assert forecast(history, now=MIDNIGHT, period=period(MIDNIGHT - dt.timedelta(days=7), 7)) is None


def test_a_period_to_come_is_foreseen_without_the_days_before_it() -> None:
    history = [*before_today(weeks([1, 2, 3, 4, 5, 6, 7], 5)), DayCost(day=TODAY, cost_usd=Decimal(99))]
    made = forecast(history, now=NOON, period=period(MIDNIGHT + dt.timedelta(days=8), 2))
    assert made is not None
    assert [int(day.expected_usd) for day in made.days] == [2, 3]  # Tuesday and Wednesday
    assert made.total_usd == 5


def test_a_weekly_pattern_without_noise_is_repeated() -> None:
    made = ahead(weeks([10, 12, 11, 13, 10, 3, 2], 4), 9)
    assert made.method == "weekly pattern, repeated"
    assert [int(day.expected_usd) for day in made.days] == [10, 12, 11, 13, 10, 3, 2, 10, 12]
    assert made.low_usd == made.total_usd == made.high_usd == 83


def test_a_weekly_pattern_with_noise_is_found_by_exponential_smoothing() -> None:
    noise = random.Random(5)
    pattern = [10, 12, 11, 13, 10, 3, 2]
    made = ahead([cost + noise.gauss(0, 0.5) for cost in weeks(pattern, 6)], 7)
    assert made.method == "exponential smoothing, weekly pattern"
    assert "least AICc" in made.why
    assert [float(day.expected_usd) for day in made.days] == pytest.approx(pattern, abs=1)
    assert float(made.total_usd) == pytest.approx(61, rel=0.03)


def test_nothing_is_foreseen_for_weekdays_that_never_cost_anything() -> None:
    noise = random.Random(6)
    costs = [noise.gauss(10, 1) if index % 7 < 5 else 0 for index in range(42)]
    made = ahead(costs, 14)
    assert [day.high_usd for day in made.days if day.day.weekday() > 4] == [0] * 4
    assert float(made.total_usd) == pytest.approx(100, rel=0.06)
    assert "Saturday or a Sunday" in made.why


def test_one_weekday_alone_goes_on_weekly() -> None:
    noise = random.Random(7)
    made = ahead([noise.gauss(10, 1) if index % 7 == 2 else 0 for index in range(28)], 14)
    assert [day.day.weekday() for day in made.days if day.expected_usd] == [2, 2]
    assert made.method == "run rate"
    assert float(made.total_usd) == pytest.approx(20, rel=0.15)
    assert "Only 4 days" in made.why


@pytest.mark.parametrize("busy", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("days", [21, 24])
def test_any_number_of_busy_weekdays_is_foreseen(busy: int, days: int) -> None:
    noise = random.Random(busy)
    made = ahead([noise.gauss(10, 1) if index % 7 < busy else 0 for index in range(days)], 7)
    assert float(made.total_usd) == pytest.approx(10 * busy, rel=0.15)


def test_a_period_that_ends_with_days_that_never_cost_anything_costs_what_it_has_cost() -> None:
    saturday = MIDNIGHT - dt.timedelta(days=2)
    history = [entry for entry in before_today(weeks([9, 9, 9, 9, 9, 0, 0], 5)) if entry.day < saturday.date()]
    made = forecast(history, now=saturday, period=period(saturday - dt.timedelta(days=5), 7))
    assert made is not None
    assert made.low_usd == made.total_usd == made.high_usd == 45


@pytest.mark.parametrize("ratio", [2, 0.5, 10])
@pytest.mark.parametrize("days_ago", [4, 5, 12])
def test_after_a_step_the_forecast_is_at_the_new_level(ratio: float, days_ago: int) -> None:
    noise = random.Random(days_ago)
    pattern = [10, 12, 11, 13, 10, 3, 2]
    costs = [cost * noise.gauss(1, 0.08) for cost in weeks(pattern, 6)]
    costs[-days_ago:] = [cost * ratio for cost in costs[-days_ago:]]
    made = ahead(costs, 14)
    assert float(made.total_usd) == pytest.approx(122 * ratio, rel=0.12)
    assert f"Since {TODAY - dt.timedelta(days=days_ago)}" in made.why


def test_a_step_is_found_in_a_history_too_short_for_a_pattern() -> None:
    made = ahead([10, 11, 9, 10, 10.5, 9.5, 10, 11, 10, 20, 21, 19, 20, 20.5], 10)
    assert made.method == "run rate"
    assert float(made.total_usd) == pytest.approx(200, rel=0.06)


def test_of_two_steps_the_last_counts() -> None:
    noise = random.Random(14)
    levels = [5] * 20 + [20] * 15 + [10] * 7
    made = ahead([level * noise.gauss(1, 0.08) for level in levels], 10)
    assert float(made.total_usd) == pytest.approx(100, rel=0.1)
    assert f"Since {TODAY - dt.timedelta(days=7)} a day costs 0.5" in made.why


def test_a_step_without_noise_is_exact() -> None:
    assert ahead([10] * 30 + [20] * 5, 10).total_usd == 200


def test_a_stop_is_the_last_level_too() -> None:
    made = ahead([10] * 30 + [0] * 8, 10)
    assert made.total_usd == made.high_usd == 0


def test_one_day_far_out_is_no_new_level() -> None:
    noise = random.Random(8)
    costs = [noise.gauss(10, 1) for _ in range(40)]
    costs[-2] = 100
    made = ahead(costs, 10)
    assert "Since" not in made.why
    assert 80 < made.total_usd < 160


def test_steady_growth_goes_on() -> None:
    noise = random.Random(9)
    made = ahead([10 + 0.2 * day + noise.gauss(0, 1) for day in range(60)], 20)
    true = sum(10 + 0.2 * day for day in range(60, 80))
    assert "trend" in made.method
    assert float(made.total_usd) == pytest.approx(true, rel=0.05)
    assert float(made.low_usd) < true < float(made.high_usd)


@pytest.mark.parametrize("history", [[], [0], [0] * 40])
def test_where_nothing_was_ever_spent_nothing_is_foreseen_and_that_is_said(history: list[int]) -> None:
    made = ahead(history, 30)
    assert made.total_usd == made.high_usd == 0
    assert (made.method, len(made.days)) == ("run rate", 30)
    assert made.why.startswith("Nothing is being spent")


def test_one_day_is_a_guess_with_a_wide_interval() -> None:
    made = ahead([10], 10)
    assert made.total_usd == 100
    assert made.low_usd == 0
    assert made.high_usd > 300


def test_the_very_first_day_goes_on_at_its_rate() -> None:
    made = forecast([DayCost(day=TODAY, cost_usd=Decimal(5))], now=NOON, period=period(MIDNIGHT, 2))
    assert made is not None
    assert made.total_usd == 20  # 5 so far, 5 in the rest of the day, 10 tomorrow
    assert made.low_usd == 5
    assert "today's rate" in made.why


@pytest.mark.parametrize("scale", [Decimal("1e-9"), Decimal("1e-3"), Decimal("1e15")])
@pytest.mark.parametrize("days", [1, 12, 35])
def test_amounts_of_any_size_are_foreseen(scale: Decimal, days: int) -> None:
    noise = random.Random(10)
    costs = [scale * Decimal(str(noise.uniform(0.5, 1.5))) for _ in range(days)]
    made = ahead(costs, 10)
    mean = float(sum(costs) / days)
    assert float(made.total_usd) == pytest.approx(10 * mean, rel=0.25, abs=1e-5)


def test_a_correction_that_makes_a_day_negative_is_taken_as_nothing() -> None:
    made = ahead([10] * 20 + [-5] + [10] * 10, 10)
    assert 80 < made.total_usd < 120


def test_days_in_any_order_twice_or_after_today_make_no_difference() -> None:
    history = before_today([10, 11, 12, 13, 10, 9, 8, 12, 11])
    halves = [DayCost(day=entry.day, cost_usd=entry.cost_usd / 2) for entry in history] * 2
    random.Random(1).shuffle(halves)
    strange = DayCost(day=TODAY + dt.timedelta(days=1), cost_usd=Decimal(1000))
    asked = period(MIDNIGHT, 7)
    assert forecast([strange, *halves], now=NOON, period=asked) == forecast(history, now=NOON, period=asked)


def test_the_interval_of_a_sum_is_narrower_than_the_sum_of_intervals() -> None:
    noise = random.Random(11)
    made = ahead([noise.gauss(10, 2) for _ in range(60)], 20)
    days_width = sum((day.high_usd - day.low_usd for day in made.days), ZERO)
    assert made.high_usd - made.low_usd < days_width / 2
    assert made.high_usd - made.low_usd > days_width / Decimal(20**0.5)  # the level is not quite known either


def coverage(series: int, days: int, coming: int, *, weekend: float, noise_usd: float) -> float:
    """In which share of random series the true total lay in the interval that was given before it was known."""
    hits = 0
    for seed in range(series):
        noise = random.Random(f"{seed} {days}")
        first = (TODAY - dt.timedelta(days=days)).weekday()
        factors = [weekend if (first + day) % 7 > 4 else 1.0 for day in range(days + coming)]
        costs = [10 * factor + noise.gauss(0, noise_usd) for factor in factors]
        made = ahead(costs[:days], coming)
        hits += made.low_usd <= Decimal(sum(costs[days:])) <= made.high_usd
    return hits / series


def test_a_run_rate_is_right_about_as_often_as_it_says() -> None:
    assert coverage(400, 14, 10, weekend=1.0, noise_usd=2.0) == pytest.approx(0.8, abs=0.05)


def test_exponential_smoothing_is_right_about_as_often_as_it_says() -> None:
    assert coverage(25, 42, 14, weekend=0.3, noise_usd=1.0) == pytest.approx(0.8, abs=0.16)  # two standard errors


def test_without_a_model_that_converges_the_run_rate_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from statsmodels.tsa.exponential_smoothing import ets  # type: ignore[import-untyped]  # it ships no types

    fit = ets.ETSModel.fit
    monkeypatch.setattr(ets.ETSModel, "fit", lambda self, **options: fit(self, **options, maxiter=1))
    noise = random.Random(12)
    made = ahead([noise.gauss(10, 2) for _ in range(35)], 10)
    assert made.method == "run rate"
    assert "converged" in made.why


def test_the_same_history_gives_the_same_forecast() -> None:
    noise = random.Random(13)
    costs = [noise.gauss(10, 2) for _ in range(35)]
    assert ahead(costs, 10) == ahead(costs, 10)


def test_a_short_history_loads_no_statsmodels() -> None:
    asked = (
        "import sys, datetime as dt; from decimal import Decimal\n"
        "from functions.cost_report.forecast import DayCost, forecast\n"
        "from functions.cost_report.models import Period\n"
        "assert 'numpy' not in sys.modules\n"
        "now = dt.datetime(2026, 11, 16, tzinfo=dt.UTC); end = now + dt.timedelta(days=7)\n"
        "period = Period(label='x', start=now, end=end, days=7, is_over=False)\n"
        "history = [DayCost(day=dt.date(2026, 11, day), cost_usd=Decimal(day)) for day in range(1, 16)]\n"
        "assert forecast(history, now=now, period=period) and 'statsmodels' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", asked], check=True)
