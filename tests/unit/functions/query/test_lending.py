from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.query.lending import (
    InvalidCollateral,
    InvalidFigures,
    InvalidIncome,
    InvalidLoan,
    Pledge,
    collateral_coverage,
    combined_loan_to_value,
    debt_service_coverage,
    debt_to_income,
    debt_yield,
    largest_loan,
    lendable_value,
    loan_to_value,
    smallest_value,
    whole_percent,
)

D = Decimal
AMOUNTS = st.decimals(min_value="0.01", max_value="999999999999", places=2)
LIMITS = st.decimals(min_value="1", max_value="150", places=2)


@pytest.mark.parametrize(("percent", "whole"), [("94.01", 95), ("80.001", 80), ("80", 80), ("87.5", 88), ("80.01", 81)])
def test_whole_percent_rounds_as_the_selling_guide_shows(percent: str, whole: int) -> None:
    assert whole_percent(D(percent)) == whole


def test_loan_to_value_is_in_percent_and_exact() -> None:
    assert loan_to_value(D(350_000), D(400_000)) == D("87.5")


def test_combined_loan_to_value_counts_every_lien() -> None:
    assert combined_loan_to_value((D(350_000), D(20_000)), D(400_000)) == D("92.5")


def test_a_full_credit_line_gives_the_high_ratio() -> None:
    assert combined_loan_to_value((D(310_000), D(60_000)), D(400_000)) == D("92.5")  # knowledge base: home equity


def test_debt_to_income_follows_the_worked_example() -> None:
    assert debt_to_income(D(2_300), D(6_250)) == D("36.8")  # knowledge base: debt-to-income


def test_debt_service_coverage_is_a_multiple() -> None:
    assert debt_service_coverage(D(125_000), D(100_000)) == D("1.25")


def test_a_loss_gives_a_negative_coverage_of_debt_service() -> None:
    assert debt_service_coverage(D(-50_000), D(100_000)) == D("-0.5")


def test_debt_yield_is_income_of_a_year_to_the_loan_in_percent() -> None:
    assert debt_yield(D(90_000), D(1_000_000)) == 9


def test_coverage_takes_haircuts_and_prior_liens_off_first() -> None:
    machine = Pledge(value_usd=D(400_000), haircut_percent=D(50), prior_liens_usd=D(50_000))
    receivables = Pledge(value_usd=D(300_000), haircut_percent=D(20))
    assert collateral_coverage((machine, receivables), D(500_000)) == D("0.78")


def test_collateral_that_its_prior_liens_exceed_counts_for_nothing_and_not_for_less() -> None:
    sunk = Pledge(value_usd=D(100_000), haircut_percent=D(50), prior_liens_usd=D(80_000))
    assert lendable_value(sunk) == 0
    assert collateral_coverage((sunk, Pledge(value_usd=D(100_000))), D(100_000)) == 1


def test_the_largest_loan_stands_behind_the_senior_liens() -> None:
    assert largest_loan(D(400_000), D(65), D(30_000)) == D(230_000)


def test_there_is_no_negative_largest_loan() -> None:
    assert largest_loan(D(100_000), D(65), D(90_000)) == 0


def test_the_smallest_value_is_rounded_up_to_a_cent() -> None:
    assert smallest_value(D(350_000), D(65)) == D("538461.54")


@given(value=AMOUNTS, limit=LIMITS)
def test_the_largest_loan_never_exceeds_the_limit(value: Decimal, limit: Decimal) -> None:
    assert combined_loan_to_value((largest_loan(value, limit),), value) <= limit


@given(loan=AMOUNTS, limit=LIMITS)
def test_the_smallest_value_always_meets_the_limit(loan: Decimal, limit: Decimal) -> None:
    assert loan_to_value(loan, smallest_value(loan, limit)) <= limit


@given(loan=AMOUNTS, value=AMOUNTS)
def test_the_whole_percent_is_never_a_full_point_off(loan: Decimal, value: Decimal) -> None:
    exact = loan_to_value(loan, value)
    assert D("-0.01") < whole_percent(exact) - exact < 1


@pytest.mark.parametrize("value", ["0", "-1"])
def test_collateral_without_value_forms_no_ratio(value: str) -> None:
    with pytest.raises(InvalidCollateral):
        loan_to_value(D(1), D(value))
    with pytest.raises(InvalidCollateral):
        lendable_value(Pledge(value_usd=D(value)))
    with pytest.raises(InvalidCollateral):
        largest_loan(D(value), D(80))


@pytest.mark.parametrize("haircut", ["-1", "100.01"])
def test_a_haircut_lies_within_0_and_100_percent(haircut: str) -> None:
    with pytest.raises(InvalidCollateral):
        lendable_value(Pledge(value_usd=D(1), haircut_percent=D(haircut)))


def test_loans_and_liens_below_zero_form_no_ratio() -> None:
    with pytest.raises(InvalidLoan):
        combined_loan_to_value((D(10), D(-1)), D(100))
    with pytest.raises(InvalidLoan):
        lendable_value(Pledge(value_usd=D(1), prior_liens_usd=D(-1)))
    with pytest.raises(InvalidLoan):
        largest_loan(D(1), D(80), D(-1))
    with pytest.raises(InvalidLoan):
        smallest_value(D(-1), D(80))


def test_what_divides_by_the_loan_needs_a_loan() -> None:
    with pytest.raises(InvalidLoan):
        collateral_coverage((), D(0))
    with pytest.raises(InvalidLoan):
        debt_yield(D(1), D(0))


def test_a_limit_of_zero_is_no_limit() -> None:
    with pytest.raises(InvalidLoan):
        largest_loan(D(1), D(0))
    with pytest.raises(InvalidLoan):
        smallest_value(D(1), D(0))


def test_income_and_debt_service_must_be_above_zero() -> None:
    with pytest.raises(InvalidIncome):
        debt_to_income(D(1), D(0))
    with pytest.raises(InvalidIncome):
        debt_to_income(D(-1), D(1))
    with pytest.raises(InvalidIncome):
        debt_service_coverage(D(1), D(0))


def test_every_such_error_is_a_422_that_says_nothing_about_the_figures() -> None:
    for error in (InvalidCollateral, InvalidLoan, InvalidIncome):
        assert issubclass(error, InvalidFigures)
        assert error.status == 422
        assert str(error()) == error.title
