from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.query.entities import Entities, extract_entities
from functions.query.lending_terms import Collateral, Loan, Role
from tests.processor_time import is_within


def roles(message: str) -> list[tuple[int, Role | None]]:
    return [(int(amount.usd), amount.role) for amount in extract_entities(message).amounts]


def shares(message: str) -> list[tuple[Decimal | int, Role | None]]:
    return [(one.percent, one.role) for one in extract_entities(message).percentages]


@pytest.mark.parametrize(
    ("written", "usd"),
    [
        ("$500,000", "500000"),
        ("$ 500,000.50", "500000.50"),
        ("400k", "400000"),
        ("400 K", "400000"),
        ("1.2 million", "1200000"),
        ("350 thousand", "350000"),
        ("1.5mm", "1500000"),
        ("$2.1m", "2100000"),
        ("USD 20,000", "20000"),
        ("20,000 dollars", "20000"),
        ("1bn", "1000000000"),
        ("350000", "350000"),
        ("us$ 7", "7"),
    ],
)
def test_amounts_are_read_as_they_are_written(written: str, usd: str) -> None:
    message = f"a loan of {written}, please"
    (amount,) = extract_entities(message).amounts
    assert amount.usd == Decimal(usd)
    assert message[amount.start : amount.end] == written


@pytest.mark.parametrize(
    "message",
    [
        "What does 12 CFR 34 say?",
        "the 1st lien and the 2nd",
        "a 1-4 family house",
        "the 2024 rule, in 2024 a loan",
        "section 1002.9",
        "a DSCR of 1.25x",
        "30 years and 90 days",
        "call me at 9:30",
        "version 3.10.2",
        "Reg B form 1003",
        "ROUTE66",
    ],
)
def test_numbers_that_are_no_amounts_are_left_alone(message: str) -> None:
    assert extract_entities(message).amounts == ()


@pytest.mark.parametrize(
    ("message", "low", "high"),
    [
        ("a loan of 300k to 350k", 300_000, 350_000),
        ("between $300,000 and $350,000", 300_000, 350_000),
        ("300-350k loan", 300_000, 350_000),
        ("$300,000 - $350,000 loan", 300_000, 350_000),
    ],
)
def test_a_range_is_one_amount_with_two_ends(message: str, low: int, high: int) -> None:
    (amount,) = extract_entities(message).amounts
    assert amount.usd == low
    assert amount.upper_usd == high


def test_two_amounts_joined_by_and_are_no_range() -> None:
    assert [amount.upper_usd for amount in extract_entities("300k and 350k").amounts] == [None, None]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "house worth 400k, loan 350k, second lien 20k",
            [(400_000, Role.VALUE), (350_000, Role.LOAN), (20_000, Role.JUNIOR_LIEN)],
        ),
        (
            "400k house, 350k loan, 20k second lien",
            [(400_000, Role.VALUE), (350_000, Role.LOAN), (20_000, Role.JUNIOR_LIEN)],
        ),
        ("350k loan 400k house", [(350_000, Role.LOAN), (400_000, Role.VALUE)]),
        ("loan 350k house 400k", [(350_000, Role.LOAN), (400_000, Role.VALUE)]),
        ("borrowing 350 against a 400k house", [(350_000, Role.LOAN), (400_000, Role.VALUE)]),
        ("mortgage on the house is 350k, house is worth 400k", [(350_000, Role.LOAN), (400_000, Role.VALUE)]),
        (
            "appraised at $410,000, the purchase price is $400,000",
            [(410_000, Role.APPRAISED_VALUE), (400_000, Role.PURCHASE_PRICE)],
        ),
        ("buying a house for 500k with 100k down", [(500_000, Role.PURCHASE_PRICE), (100_000, Role.DOWN_PAYMENT)]),
        ("monthly debt 2,100, gross monthly income 6,000", [(2_100, Role.DEBT), (6_000, Role.INCOME)]),
        (
            "I make 6k per month and pay 1,800 for the mortgage and 350 car payment",
            [(6_000, Role.INCOME), (1_800, Role.DEBT), (350, Role.DEBT)],
        ),
        ("NOI 120k, debt service 95k", [(120_000, Role.OPERATING_INCOME), (95_000, Role.DEBT_SERVICE)]),
        ("existing first mortgage of 100k", [(100_000, Role.SENIOR_LIEN)]),
        ("the client owes 150k and wants another 60k", [(150_000, Role.SENIOR_LIEN), (60_000, Role.LOAN)]),
        ("undrawn HELOC line of 50k", [(50_000, Role.LINE_UNDRAWN)]),
        ("HELOC limit 80k, 30k drawn", [(80_000, Role.LINE_LIMIT), (30_000, Role.LINE_DRAWN)]),
        ("Is $500,000 & 80% enough; or not?", [(500_000, None)]),
    ],
)
def test_the_words_around_an_amount_tell_its_role(message: str, expected: list[tuple[int, Role | None]]) -> None:
    assert roles(message) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("80%", [(80, None)]),
        ("80 percent", [(80, None)]),
        ("12.5 per cent", [(Decimal("12.5"), None)]),
        ("an LTV limit of 80%", [(80, Role.LIMIT)]),
        ("LTV limit of 0.8", [(80, Role.LIMIT)]),
        ("a haircut of 0.25", [(25, Role.HAIRCUT)]),
        ("equipment with a 50% haircut", [(50, Role.HAIRCUT)]),
        ("at 80% advance rate", [(80, Role.ADVANCE_RATE)]),
        ("20% down", [(20, Role.DOWN_PAYMENT)]),
        ("version 0.8 of the file", []),
        ("1.25 LTV", []),
    ],
)
def test_percentages_and_ratios(message: str, expected: list[tuple[Decimal | int, Role | None]]) -> None:
    assert shares(message) == expected


@pytest.mark.parametrize(
    ("message", "months"),
    [
        ("income of 72k a year", 12),
        ("annual income 72,000", 12),
        ("income 6,000/month", 1),
        ("monthly income 6,000", 1),
        ("earns 6,000 per month", 1),
        ("income 6,000", None),
    ],
)
def test_the_period_of_an_income_is_read_from_its_words(message: str, months: int | None) -> None:
    (amount,) = extract_entities(message).amounts
    assert (amount.role, amount.period_months) == (Role.INCOME, months)


def test_a_loan_of_so_much_a_month_is_a_payment() -> None:
    assert roles("car loan 350 a month") == [(350, Role.DEBT)]


def test_durations_keep_their_unit() -> None:
    found = extract_entities("over 30 years, after 90 days, a 6-month term").durations
    assert [(int(one.count), one.unit) for one in found] == [(30, "year"), (90, "day"), (6, "month")]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("raw land", Collateral.RAW_LAND),
        ("a vacant lot", Collateral.RAW_LAND),
        ("land development", Collateral.LAND_DEVELOPMENT),
        ("multifamily construction", Collateral.CONSTRUCTION_COMMERCIAL),
        ("construction of an office building", Collateral.CONSTRUCTION_COMMERCIAL),
        ("1-4 family construction", Collateral.CONSTRUCTION_RESIDENTIAL),
        ("a construction loan for a house", Collateral.CONSTRUCTION_RESIDENTIAL),
        ("an office building", Collateral.IMPROVED_PROPERTY),
        ("a construction loan for an office building", Collateral.CONSTRUCTION_COMMERCIAL),
        ("a rental house", Collateral.IMPROVED_PROPERTY),
        ("a house for rental", Collateral.IMPROVED_PROPERTY),
        ("our owner-occupied home", Collateral.HOME),
        ("the house", Collateral.HOME),
        ("a truck", Collateral.VEHICLE),
        ("used machinery", Collateral.EQUIPMENT),
        ("accounts receivable", Collateral.RECEIVABLES),
        ("inventory", Collateral.INVENTORY),
        ("a deposit account", Collateral.CASH),
        ("treasury bonds", Collateral.GOVERNMENT_SECURITIES),
        ("corporate bonds", Collateral.BONDS),
        ("listed shares", Collateral.SHARES),
        ("mutual funds", Collateral.FUNDS),
        ("gold", Collateral.GOLD),
    ],
)
def test_kinds_of_collateral(message: str, kind: Collateral) -> None:
    assert extract_entities(message).collateral[:1] == (kind,)


def test_kinds_of_loan() -> None:
    found = extract_entities("refinance into an SBA loan or a home equity line, or a bridge loan").loans
    assert found == (Loan.REFINANCE, Loan.SBA, Loan.HOME_EQUITY, Loan.BRIDGE)


def test_each_value_knows_its_collateral() -> None:
    found = extract_entities("equipment worth 400k and receivables of 300k").amounts
    assert [amount.collateral for amount in found] == [Collateral.EQUIPMENT, Collateral.RECEIVABLES]


def test_a_message_without_entities_names_nothing() -> None:
    assert extract_entities("") == Entities()
    assert extract_entities("hello there") == Entities()


PATHOLOGICAL = [
    "loan 1 ", "$", "1", "1,", "loan ", "land ", "1,000,000 ", " ", " a", "undrawn portion ", "existing ", "monthly ",
    "1-", "house", "construction of the ", "to build a new ", "1 family ", "$ ", "between 1 and ", "-", "haircut 0.",
    "existing first ", "ltv ltv ", "gross net total ", "\n", "é", "1.",
]  # fmt: skip


@pytest.mark.parametrize("piece", PATHOLOGICAL)
def test_a_line_of_100_kilobytes_takes_time_in_proportion_to_its_length(piece: str) -> None:
    long = (piece * (100_000 // len(piece) + 1))[:100_000]
    # Linear is 10 times; quadratic would be 100.
    assert is_within(
        lambda small: 40 * small + 0.5, lambda: extract_entities(long[:10_000]), lambda: extract_entities(long)
    )


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error_and_offsets_lie_within_it(message: str) -> None:
    found = extract_entities(message)
    places = [(one.start, one.end) for one in found.amounts]
    places += [(one.start, one.end) for one in found.percentages]
    places += [(one.start, one.end) for one in found.durations]
    assert all(0 <= start < end <= len(message) for start, end in places)
