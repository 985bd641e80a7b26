"""Shares compared: the interval is the library's, and the verdict follows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.cost_report.savings.proportions import Share, difference_at_least, is_not_lower, wilson


@given(st.integers(1, 2_000), st.data())
def test_wilsons_interval_is_that_of_statsmodels(answers: int, data: st.DataObject) -> None:
    from statsmodels.stats.proportion import (  # type: ignore[import-untyped]  # it ships no types
        proportion_confint,
    )

    accepted = data.draw(st.integers(0, answers))
    low, high = proportion_confint(accepted, answers, alpha=0.1, method="wilson")
    assert wilson(Share(accepted=accepted, answers=answers)) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(
    ("first", "second"), [((56, 70), (48, 80)), ((9, 10), (3, 10)), ((10, 10), (0, 20)), ((225, 250), (225, 250))]
)
def test_the_difference_is_newcombes(first: tuple[int, int], second: tuple[int, int]) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, _ = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff", alpha=0.1)
    one, other = (Share(accepted=accepted, answers=answers) for accepted, answers in (first, second))
    assert difference_at_least(one, other) == pytest.approx(low, abs=1e-9)


@pytest.mark.parametrize(
    ("share", "than", "verdict"),
    [
        ((225, 250), (225, 250), True),
        ((18, 20), (225, 250), False),  # as good as it looks, but too few to tell
        ((20, 20), (170, 200), True),
        ((205, 250), (225, 250), False),
        ((860, 1_000), (880, 1_000), True),  # two points lower, and surely no more than five
    ],
)
def test_a_share_that_may_be_lower_by_more_than_the_margin_is_lower(
    share: tuple[int, int], than: tuple[int, int], verdict: bool
) -> None:
    one, other = (Share(accepted=accepted, answers=answers) for accepted, answers in (share, than))
    assert is_not_lower(one, than=other) is verdict
