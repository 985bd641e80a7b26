"""A case's ratios, worked out line by line: every figure that an answer states stands in one of these lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from functions.query.amounts_text import equals, percent_text, short, usd
from functions.query.collateral_case import Case, Pledged
from functions.query.lending import (
    collateral_coverage,
    combined_loan_to_value,
    debt_service_coverage,
    debt_to_income,
    debt_yield,
    largest_loan,
    lendable_value,
    loan_to_value,
    smallest_value,
    to_cents,
    whole_percent,
)

FALLS_PERCENT = (10, 20, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """A ratio: its name, its result in words, and the steps to it."""

    name: str
    result: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """LTV as the limits count it, senior liens included, and CLTV with every lien; both in percent, exact."""

    worked: Worked
    percent: Decimal
    combined_percent: Decimal


def _sum_text(amounts: Sequence[Decimal]) -> str:
    return usd(amounts[0]) if len(amounts) == 1 else f"({' + '.join(usd(one) for one in amounts)})"


def worked_ratios(case: Case) -> tuple[Worked, ...]:
    """Every ratio that the case's figures allow.

    Raises:
        InvalidFigures: a figure is zero or less where that makes no sense.
    """
    return (*_loan_to_value(case), *_coverage(case), *_debt_to_income(case), *_debt_service(case), *_debt_yield(case))


def supervised_ltv(case: Case) -> Measured | None:
    """The loan with the liens before it to the value; None without these figures, or for other than real estate."""
    if case.loan is None or case.value is None or not case.is_real_estate:
        return None
    name = "LTV with senior liens" if case.senior_liens else "LTV"
    amounts = (case.loan, *case.senior_liens)
    return Measured(
        worked=_percent_of(name, amounts, case.value),
        percent=combined_loan_to_value(amounts, case.value),
        combined_percent=combined_loan_to_value(_drawn(case, case.loan), case.value),
    )


def _drawn(case: Case, loan: Decimal) -> tuple[Decimal, ...]:
    lines = (case.line_drawn,) if case.line_drawn else ()
    return (loan, *case.senior_liens, *case.junior_liens, *lines)


def _percent_of(name: str, amounts: Sequence[Decimal], value: Decimal, remark: str = "") -> Worked:
    exact = combined_loan_to_value(amounts, value)
    text = telling_percent(exact)
    sign = "≈" if text == percent_text(exact) and equals(exact) != "=" else "="
    step = f"{name} = {_sum_text(amounts)} / {usd(value)} {sign} {text}{remark}"
    return Worked(name=name, result=f"{name} is {text}", steps=(step,))


def telling_percent(exact: Decimal) -> str:
    """At most two decimals, unless these make it a whole or half percent that it is not, as a limit is: 65.001 %."""
    rounded = to_cents(exact, ROUND_HALF_UP)
    if exact == rounded or rounded * 2 % 1:
        return percent_text(exact)
    digits = 2 - (exact - rounded).adjusted() - 3  # up to the first decimal that differs
    return f"{exact.quantize(Decimal(1).scaleb(-max(digits + 1, 3)), ROUND_HALF_UP).normalize():f} %"


def _loan_to_value(case: Case) -> Iterator[Worked]:
    """LTV; CLTV with all that is drawn; HCLTV with the credit line in full."""
    if case.loan is None or case.value is None or not (case.is_real_estate or case.asked & {"LTV", "CLTV"}):
        return
    whole = whole_percent(loan_to_value(case.loan, case.value))
    exact = loan_to_value(case.loan, case.value)
    yield _percent_of(
        "LTV", (case.loan,), case.value, "" if exact == whole else f", in whole percent rounded up: {whole} %"
    )
    drawn = _drawn(case, case.loan)
    if len(drawn) > 1:
        yield _percent_of("CLTV", drawn, case.value)
    if case.line_limit is not None:
        yield _percent_of("HCLTV", (case.loan, *case.senior_liens, *case.junior_liens, case.line_limit), case.value)


def shows_coverage(case: Case) -> bool:
    """Coverage is formed where it is asked for, and for more, or other, collateral than one piece of real estate."""
    wanted = "coverage" in case.asked or len(case.pledged) > 1 or not case.is_real_estate
    return wanted and case.loan is not None and bool(case.pledged)


def _coverage(case: Case) -> Iterator[Worked]:
    if case.loan is None or not shows_coverage(case):
        return
    steps = [_pledge_step(piece) for piece in case.pledged]
    exact = collateral_coverage((piece.pledge for piece in case.pledged), case.loan)
    parts = [lendable_value(piece.pledge) for piece in case.pledged]
    result = f"{short(exact)} times the loan"
    steps.append(f"Coverage = {_sum_text(parts)} / {usd(case.loan)} {equals(exact)} {short(exact)}")
    counted = sum(parts, Decimal(0))
    if counted < case.loan:
        steps.append(f"Not covered = {usd(case.loan)} - {usd(counted)} = {usd(case.loan - counted)}")
    yield Worked(name="coverage", result=f"coverage is {result}", steps=tuple(steps))


def _pledge_step(piece: Pledged) -> str:
    pledge = piece.pledge
    name = str(piece.kind or "collateral").capitalize()
    liens = f" - {usd(pledge.prior_liens_usd)}" if pledge.prior_liens_usd else ""
    counted = lendable_value(pledge)
    haircut = percent_text(pledge.haircut_percent)
    remark = "" if piece.has_haircut else " (no haircut named)"
    if piece.standard_haircut:
        remark = " (standard supervisory haircut)"
    below = " (the prior liens exceed it)" if counted == 0 and pledge.prior_liens_usd else ""
    return f"{name}: {usd(pledge.value_usd)} x (1 - {haircut}){liens} = {usd(counted)}{below}{remark}"


def _debt_to_income(case: Case) -> Iterator[Worked]:
    """A period that is not named is taken from the other side, or as a month."""
    if not case.debts or case.income is None:
        return
    named = case.income.period_months or next((one.period_months for one in case.debts if one.period_months), 1)
    debts = [one.monthly(named or 1) for one in case.debts]
    income = case.income.monthly(named or 1)
    exact = debt_to_income(sum(debts, Decimal(0)), income)
    steps = []
    if income != case.income.usd:
        steps.append(f"Gross monthly income = {usd(case.income.usd)} / 12 = {usd(income)}")
    steps.append(f"DTI = {_sum_text(debts)} / {usd(income)} {equals(exact)} {percent_text(exact)}")
    yield Worked(name="DTI", result=f"DTI is {percent_text(exact)}", steps=tuple(steps))


def _debt_service(case: Case) -> Iterator[Worked]:
    if case.operating_income is None or case.debt_service is None:
        return
    named = case.operating_income.period_months or case.debt_service.period_months or 12
    income = case.operating_income.monthly(named) * 12
    service = case.debt_service.monthly(named) * 12
    exact = debt_service_coverage(income, service)
    step = f"DSCR = {usd(income)} / {usd(service)} {equals(exact)} {short(exact)} (figures of a year)"
    yield Worked(name="DSCR", result=f"DSCR is {short(exact)}", steps=(step,))


def _debt_yield(case: Case) -> Iterator[Worked]:
    if case.operating_income is None or case.loan is None:
        return
    income = case.operating_income.monthly(12) * 12
    exact = debt_yield(income, case.loan)
    step = f"Debt yield = {usd(income)} / {usd(case.loan)} {equals(exact)} {percent_text(exact)}"
    yield Worked(name="debt yield", result=f"debt yield is {percent_text(exact)}", steps=(step,))


def what_if(case: Case, limit_percent: Decimal) -> tuple[str, ...]:
    """The largest loan and the smallest value that meet the limit, and how far the case is from them."""
    lines: list[str] = []
    senior = sum(case.senior_liens, Decimal(0))
    limit = percent_text(limit_percent)
    if case.value is not None:
        behind = f" - {usd(senior)}" if senior else ""
        most = largest_loan(case.value, limit_percent, senior)
        lines.append(f"Largest loan at {limit} = {usd(case.value)} x {limit}{behind} = {usd(most)}")
        if case.loan is not None and case.loan > most:
            lines.append(f"Smaller loan: {usd(case.loan)} - {usd(most)} = {usd(case.loan - most)} less")
        elif case.loan is not None:
            lines.append(f"Room for a larger loan: {usd(most)} - {usd(case.loan)} = {usd(most - case.loan)}")
    if case.loan is not None:
        drawn = (case.loan, *case.senior_liens)
        least = smallest_value(sum(drawn, Decimal(0)), limit_percent)
        lines.append(f"Value needed at {limit} = {_sum_text(drawn)} / {limit} = {usd(least)}")
        if case.value is not None and case.value < least:
            lines.append(f"More collateral: {usd(least)} - {usd(case.value)} = {usd(least - case.value)} more")
    return tuple(lines)


def sensitivity(case: Case) -> tuple[str, ...]:
    """LTV (senior liens included) and coverage, where they are formed, when values fall by 10, 20 and 30 %."""
    loan = case.loan
    if loan is None:
        return ()
    return tuple(line for fall in FALLS_PERCENT for line in _fallen(case, loan, fall))


def _fallen(case: Case, loan: Decimal, fall: int) -> Iterator[str]:
    if case.value is not None and case.is_real_estate:
        amounts = (loan, *case.senior_liens)
        value = _less(case.value, fall)
        exact = combined_loan_to_value(amounts, value)
        yield f"Value -{fall} %: LTV = {_sum_text(amounts)} / {usd(value)} {equals(exact)} {percent_text(exact)}"
    if shows_coverage(case):
        pledges = [replace(one.pledge, value_usd=_less(one.pledge.value_usd, fall)) for one in case.pledged]
        exact = collateral_coverage(pledges, loan)
        parts = [lendable_value(pledge) for pledge in pledges]
        yield f"Value -{fall} %: coverage = {_sum_text(parts)} / {usd(loan)} {equals(exact)} {short(exact)}"


def _less(value: Decimal, fall_percent: int) -> Decimal:
    return value * (100 - fall_percent) / 100
