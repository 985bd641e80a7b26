import pytest

from common.pii import PiiKind
from common.recognizers.ssn import is_assignable
from tests.unit.common.recognizers.finding import found


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("078-05-1120", "078-05-1120"),
        ("It is 078 05 1120, she said", "078 05 1120"),
        ("078.05.1120", "078.05.1120"),
        ("SSN 078051120", "078051120"),
        ('{"ssn": "078051120"}', "078051120"),
        ("social security number 078051120", "078051120"),
        ("taxpayer id 912701234", "912701234"),
        ("ITIN 912-70-1234", "912-70-1234"),
        ("name,ssn\nJane,078051120", "078051120"),
        ("078–05–1120", "078–05–1120"),
        ("TIN: 912-93-1234", "912-93-1234"),
        ("078051120 is my social security number", "078051120"),
        ("user.ssn: 078051120", "078051120"),
        ("AHV 756.1234.5678.97", "756.1234.5678.97"),
    ],
)
def test_a_number_is_found_grouped_anywhere_and_bare_where_words_say_so(text: str, number: str) -> None:
    assert found(text, PiiKind.SSN) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "ssn_parser.c:078051120",
        "078051120",
        "SSN 000051120",
        "000-12-3456",
        "order 078 05 1120",
        "1-078-05-1120",
        "078-05-1120-4",
        "078-05 1120",
        "756.1234.5678.97.1",
        "ssn_parser version 12",
    ],
)
def test_other_digits_are_left(text: str) -> None:
    assert found(text, PiiKind.SSN) == []


@pytest.mark.parametrize(
    ("number", "yes"),
    [
        ("078-05-1120", True), ("899-01-0001", True), ("000-05-1120", False), ("666-05-1120", False),
        ("078-00-1120", False), ("078-05-0000", False), ("900-49-1234", False), ("900-50-1234", True),
        ("900-65-1234", True), ("900-66-1234", False), ("900-70-1234", True), ("900-88-1234", True),
        ("900-89-1234", False), ("900-90-1234", True), ("900-92-1234", True), ("900-93-1234", False),
        ("900-94-1234", True), ("999-99-1234", True),
    ],
)  # fmt: skip
def test_numbers_that_were_never_assigned_are_told_apart(number: str, yes: bool) -> None:
    assert is_assignable(number) is yes
