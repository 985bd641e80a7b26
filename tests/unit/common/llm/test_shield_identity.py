from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.llm.shield_identity import birth_dates, id_numbers

KNOWLEDGE = sorted((Path(__file__).parents[4] / "knowledge").glob("*.md"))


def found(find: Callable[[str], Iterator[tuple[int, int]]], text: str) -> list[str]:
    return [text[start:end] for start, end in find(text)]


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("born 03/14/1975", ["03/14/1975"]),
        ("DOB: 1975-03-14", ["1975-03-14"]),
        ("date of birth March 14, 1975", ["March 14, 1975"]),
        ("Date of Birth (MM/DD/YYYY): 03/14/1975", ["03/14/1975"]),
        ("D.O.B. 3-14-75", ["3-14-75"]),
        ("my birthday is March 14", ["March 14"]),
        ("She was born on the 14th of March, 1975.", ["14th of March, 1975"]),
        ("**Date of birth:** 14 Mar. 1975", ["14 Mar. 1975"]),
        ("Date of birth:\n03/14/1975", ["03/14/1975"]),
        ("| DOB | 14.03.1975 |", ["14.03.1975"]),
        ("<dob>1975-03-14</dob>", ["1975-03-14"]),
        ('{"dateOfBirth": "1975-03-14T00:00:00Z"}', ["1975-03-14"]),
        ("borrower_dob=19750314 borrowerDob: 03141975", ["19750314", "03141975"]),
        ("born March 14 1975 and April 2, 1980", ["March 14 1975", "April 2, 1980"]),
        ("DOB 03/14/1975, 04/02/1980", ["03/14/1975", "04/02/1980"]),
    ],
)
def test_a_date_of_birth_is_told_by_its_label(text: str, dates: list[str]) -> None:
    assert found(birth_dates, text) == dates


@pytest.mark.parametrize(
    "text",
    [
        "closed on 03/14/2025, due March 14, 2030",
        "born in 1975",
        "born to lend 250,000, at 12.5 percent",
        "the date of birth is required by 12 CFR 1002.5 since March",
        "airborn 03/14/1975, dobs 03/14/1975",
        "DOB 03/14/19755",
    ],
)
def test_other_dates_and_numbers_stay(text: str) -> None:
    assert found(birth_dates, text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("passport no. 123456789", "123456789"),
        ("my passport is C01234567.", "C01234567"),
        ('"passportNumber": "C01234567"', "C01234567"),
        ("driver's license D1234567", "D1234567"),
        ("Driver’s Licence Number: S514-172-80-844-0", "S514-172-80-844-0"),
        ("driver license # 123 456 789", "123 456 789"),
        ("NJ drivers' license S1234 56789 01234", "S1234 56789 01234"),
        ("drivers license (WA): WDL0AB1C23D4", "WDL0AB1C23D4"),
        ('"driver_license": "D1234567"', "D1234567"),
        ("DL# D1234567", "D1234567"),
        ("state ID 98765432", "98765432"),
        ("military id 1234567890", "1234567890"),
        ("green card number A123456789", "A123456789"),
        ("alien registration number A-123456789", "A-123456789"),
        ("EIN 12-3456789", "12-3456789"),
        ("my EIN's 12-3456789", "12-3456789"),
        ("FEIN: 123456789", "123456789"),
        ("Employer Identification Number (EIN): 12-3456789", "12-3456789"),
        ("the employer's identification number (EIN) is 12-3456789", "12-3456789"),
        ("tax_id=12-3456789", "12-3456789"),
        ("taxpayer identification number 912-78-1234", "912-78-1234"),
        ("ITIN 912 78 1234", "912 78 1234"),
    ],
)
def test_the_number_of_a_paper_is_told_by_its_label(text: str, number: str) -> None:
    assert found(id_numbers, text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "12-3456789, D1234567 and loan number 123456789",
        "the passport expired 2024, a passport valid 10 years",
        "a driver's license for loans above 250,000 in 94110",
        "the EIN of 2024 returns, ein 12-34567890",
        "a handle 123456789 in being 12-3456789, existing 12-3456789",
        "tax id: 12 CFR 1002.13, alien: 12 CFR 1002.13, photo ID 30 days of 12345",
        "passport ab1cd2ef3gh",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert found(id_numbers, text) == []


def test_every_number_among_many_is_found_once_and_whole() -> None:
    numbers = [f"S{514 + n}-172-80-844-0" for n in range(40)]
    text = " ".join(f"12345, driver's license {number}; EIN 12-34567{10 + n}." for n, number in enumerate(numbers))
    assert sorted(found(id_numbers, text)) == sorted([*numbers, *(f"12-34567{10 + n}" for n in range(40))])


@pytest.mark.parametrize("path", KNOWLEDGE, ids=lambda path: path.stem)
def test_documents_on_lending_hold_none(path: Path) -> None:
    text = path.read_text()
    assert found(birth_dates, text) == found(id_numbers, text) == []


PIECES = (
    "born ", "born 1/1/75, ", "dob", "DOB (", "date of birth is ", "born May 1, ", "1/1/75, ", "passport ", "1",
    "passport no. ", "12345 ", "1-", "12-34", "A1", "passport 12345678", "passport 1 12 12 12 12 12 ", "123456789 ",
    "passport    \n", "EIN ", "EIN 12-345678 ", "tax id id id ", "employer's identification ", "d.l. no ",
    "passport abcdefg1",
)  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_any_text_takes_linear_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))  # one that grew with the square would not end
    for find in (birth_dates, id_numbers):
        list(find(text))
