"""Ratios of lending, in exact decimal arithmetic. Amounts are US dollars; a percent of 80 means 80 %.

Nothing is rounded here except where a name says so. A ratio that cannot be formed is an error, never a number.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal, localcontext
from http import HTTPStatus

from common.problems import AssistantError

_CENT = Decimal("0.01")
_HUNDRED = Decimal(100)
_DIGITS = 50  # sums of the largest amounts that a message can hold stay exact


class InvalidFigures(AssistantError):
    """A figure with which no ratio can be formed."""

    type = "/problems/invalid-figures"
    title = "A ratio cannot be formed from these figures"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class InvalidCollateral(InvalidFigures):
    """A value of collateral that is zero or less, or a haircut outside 0 to 100 %."""

    type = "/problems/invalid-collateral"
    title = "Collateral needs a value above zero, and a haircut no larger than the value"


class InvalidLoan(InvalidFigures):
    """A loan amount, a lien or a line that is below zero, or a loan of zero where it divides."""

    type = "/problems/invalid-loan"
    title = "The loan amount and the limit must be above zero, and no lien below it"


class InvalidIncome(InvalidFigures):
    """An income, a debt or a debt service that is below zero, or zero where it divides."""

    type = "/problems/invalid-income"
    title = "Income and debt service must be above zero, and no payment below it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pledge:
    """One piece of collateral: its value, the haircut in percent, and the liens on it that go before ours."""

    value_usd: Decimal
    haircut_percent: Decimal = Decimal(0)
    prior_liens_usd: Decimal = Decimal(0)


def loan_to_value(loan_usd: Decimal, value_usd: Decimal) -> Decimal:
    """Loan to value in percent, exact to 50 digits.

    For a purchase the value is the lower of price and appraisal, else the appraisal.

    Raises:
        InvalidCollateral: the value is zero or less.
        InvalidLoan: the loan is zero or less.
    """
    _require(loan_usd > 0, InvalidLoan)
    return combined_loan_to_value((loan_usd,), value_usd)


def combined_loan_to_value(drawn_usd: Iterable[Decimal], value_usd: Decimal) -> Decimal:
    """All that is drawn against the property (every lien, of any rank), to its value, in percent.

    With credit lines at their full limit instead of their drawn part this is HCLTV.

    Raises:
        InvalidCollateral: the value is zero or less.
        InvalidLoan: one of the loans is below zero.
    """
    drawn = tuple(drawn_usd)
    _require(value_usd > 0, InvalidCollateral)
    _require(all(one >= 0 for one in drawn), InvalidLoan)
    return _ratio(sum(drawn, Decimal(0)) * _HUNDRED, value_usd)


def whole_percent(percent: Decimal) -> int:
    """Truncated to two decimals, then rounded up: 94.01 is 95, 80.001 is 80.

    Source: Fannie Mae Selling Guide B2-1.2-01.
    """
    return int(to_cents(percent, ROUND_DOWN).to_integral_value(rounding=ROUND_CEILING))


def debt_to_income(monthly_debt_usd: Decimal, gross_monthly_income_usd: Decimal) -> Decimal:
    """Debt payments to gross income of the same period, in percent.

    Raises:
        InvalidIncome: the income is zero or less, or the debt below zero.
    """
    _require(gross_monthly_income_usd > 0 and monthly_debt_usd >= 0, InvalidIncome)
    return _ratio(monthly_debt_usd * _HUNDRED, gross_monthly_income_usd)


def debt_service_coverage(operating_income_usd: Decimal, debt_service_usd: Decimal) -> Decimal:
    """Net operating income to debt service of the same period, as a multiple: 1.25. A loss gives a negative one.

    Raises:
        InvalidIncome: the debt service is zero or less.
    """
    _require(debt_service_usd > 0, InvalidIncome)
    return _ratio(operating_income_usd, debt_service_usd)


def debt_yield(operating_income_usd: Decimal, loan_usd: Decimal) -> Decimal:
    """Net operating income of a year to the loan, in percent.

    Raises:
        InvalidLoan: the loan is zero or less.
    """
    _require(loan_usd > 0, InvalidLoan)
    return _ratio(operating_income_usd * _HUNDRED, loan_usd)


def lendable_value(pledge: Pledge) -> Decimal:
    """What a piece of collateral counts for: value x (1 - haircut) - prior liens, at least 0.

    Raises:
        InvalidCollateral: the value is zero or less, or the haircut is not within 0 to 100 %.
        InvalidLoan: the prior liens are below zero.
    """
    _require(pledge.value_usd > 0 and 0 <= pledge.haircut_percent <= _HUNDRED, InvalidCollateral)
    _require(pledge.prior_liens_usd >= 0, InvalidLoan)
    after_haircut = pledge.value_usd * (_HUNDRED - pledge.haircut_percent) / _HUNDRED
    return max(after_haircut - pledge.prior_liens_usd, Decimal(0))


def collateral_coverage(pledges: Iterable[Pledge], loan_usd: Decimal) -> Decimal:
    """What all collateral counts for, to the loan, as a multiple: 1.10.

    Raises:
        InvalidCollateral: a value is zero or less, or a haircut is not within 0 to 100 %.
        InvalidLoan: the loan is zero or less, or a prior lien below zero.
    """
    _require(loan_usd > 0, InvalidLoan)
    return _ratio(sum((lendable_value(pledge) for pledge in pledges), Decimal(0)), loan_usd)


def largest_loan(value_usd: Decimal, limit_percent: Decimal, senior_liens_usd: Decimal = Decimal(0)) -> Decimal:
    """The largest loan behind `senior_liens_usd` that meets the limit, rounded down to a cent, at least 0.

    Raises:
        InvalidCollateral: the value is zero or less.
        InvalidLoan: the limit is zero or less, or the liens below zero.
    """
    _require(value_usd > 0, InvalidCollateral)
    _require(limit_percent > 0 and senior_liens_usd >= 0, InvalidLoan)
    room = value_usd * limit_percent / _HUNDRED - senior_liens_usd
    return to_cents(max(room, Decimal(0)), ROUND_FLOOR)


def smallest_value(drawn_usd: Decimal, limit_percent: Decimal) -> Decimal:
    """The smallest value at which `drawn_usd` (senior liens included) meets the limit, rounded up to a cent.

    Raises:
        InvalidLoan: the limit or what is drawn is zero or less.
    """
    _require(limit_percent > 0 and drawn_usd > 0, InvalidLoan)
    return to_cents(_ratio(drawn_usd * _HUNDRED, limit_percent), ROUND_CEILING)


def to_cents(number: Decimal, rounding: str) -> Decimal:
    """Two decimals; `rounding` is one of the decimal module's. Never fails for size, as a plain quantize would."""
    with localcontext() as context:
        context.prec = _DIGITS
        return number.quantize(_CENT, rounding=rounding)


def _ratio(part: Decimal, whole: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec = _DIGITS
        return part / whole


def _require(holds: bool, error: type[InvalidFigures]) -> None:
    if not holds:
        raise error
