import pytest

from common.llm.shield_addresses import addresses


def found(text: str) -> list[str]:
    return [text[start:end] for start, end in addresses(text)]


@pytest.mark.parametrize(
    "address",
    [
        "12 Oak Street",
        "12 Oak Street, Springfield, IL 62704",
        "12 Oak Street, Apt 4B, Springfield, IL 62704-1234",
        "12 Oak St. #4, Springfield, Illinois",
        "1700 G Street NW., Washington, DC 20552",
        "350 Fifth Avenue",
        "123 W. 42nd St.",
        "99 Highway 61 South",
        "14 County Road 12",
        "1 Broadway, New York, NY 10004",
        "12-34 Martin Luther King Blvd, Queens, NY",
        "221B Baker Street",
        "12 Oak Street\nSpringfield, IL 62704",
        "5 St. Mary's Lane, Suite 200",
        "2024 Elm Way",
        "30 Day Court, Reno, NV 89501",
        "8 Loan Oak Drive 89501",
        "P.O. Box 1200, Minneapolis, MN 55480",
        "PO Box 12",
        "post office box 12",
    ],
)
def test_an_address_is_found_with_all_that_belongs_to_it(address: str) -> None:
    assert found(f"The house ({address}) is pledged.") == [address]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("my address is 12 oak street and", "12 oak street"),
        ("i live at 12 oak street, springfield, il 62704 now", "12 oak street, springfield, il 62704"),
        ("the property at 7 elm ave is mine", "7 elm ave"),
    ],
)
def test_words_that_announce_an_address_make_one_of_lower_case(text: str, address: str) -> None:
    assert found(text) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "In 2024 Wall Street banks lent more; since 1999 Main Street did not.",
        "Section 8 Housing Way, § 5 Fair Street, 12 CFR 34 Court Drive",
        "30 Day Court, 5 Federal Circuit Court, 12 Month Way",
        "$1,200 Main Street Lending, 4.5 Main Street, 250,000 Main Street Bank, 65% Main Street",
        "5 percent on Main Street",
        "the house at 3 of the best street",
        "12 oak street",
        "2 loans a street, 1-4 family homes, 12 way",
        "80 % of 250,000 or $1,000,000; 12 CFR 1002.9(a)(1); 84 FR 53579",
        "Box 12 of the form",
        "12 Oak Streetwise",
    ],
)
def test_counts_sections_years_and_amounts_are_no_addresses(text: str) -> None:
    assert found(text) == []


PIECES = (
    "1 ", "1", "1 A ", "1 Aa ", "12 Oak ", "12 Oak Oak Oak Oak ", "PO Box 1 A A A A ", "lives at 1 a a a ",
    "12 Oak Street A", "12 Oak Street, Aa Bb Cc Dd ", "box 1 ", "Aa", "12 Oak Street, 1 ",
)  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_any_text_takes_linear_time(piece: str) -> None:
    found(piece * (200_000 // len(piece)))  # one that grew with the square would not end
