from pathlib import Path

import pytest

from common.llm.shield_names import Names, names_in

KNOWLEDGE = sorted((Path(__file__).parents[4] / "knowledge").glob("*.md"))


# Titles, clauses and places that stand where a name might.
LOOKALIKES = (
    "Borrower Certification Form",
    "Guarantor Agreement",
    "Owner Occupied",
    "Applicant Income Worksheet",
    "CUSTOMER DUE DILIGENCE",
    "Small Business Borrower Relief",
    "Borrower Education Course",
    "Employee Retention Bonus",
    "Officer Training Manual",
    "Customer Acquisition Cost",
    "Client Onboarding Checklist",
    "Tenant Estoppel Certificate",
    "Insured Depository Institution",
    "Broker Price Opinion",
    "Appraiser Independence Requirements",
    "Beneficial Owner Certification",
    "Spouse Social Security Number",
    "BORROWER SHALL INDEMNIFY LENDER",
    "GUARANTOR UNCONDITIONALLY GUARANTEES PAYMENT",
    "BORROWER WILL RECONVEY TITLE",
    "Borrower May Prepay",
    "Borrower Should Xerox Everything",
    "Borrower Zzyzx Downloading Zzyzx",
    "Personal Financial Statement (guarantor)",
    "Global Cash Flow (guarantor)",
    "Home Equity Conversion Mortgage (borrower)",
    "First National Bank, the trustee",
    "Acme Holdings LLC, as guarantor",
    "Fannie Mae is the buyer",
    "Under Regulation Z, the consumer",
    "Under Dodd Frank, the borrower",
    "In Los Angeles, the borrower",
    "San Diego, the applicant",
    "In Tampa Florida, the borrower",
    "in Tampa Florida (owner)",
    "jane (borrower)",
    "Will Price (borrower)",
    "mr. cooper group",
    "Mr. Cooper Group",
    "mr. and mrs.",
    "mrs. said so, mr. working, mr. t",
    "a latency of 200 ms median",
    "jackson, ms 39201",
    "miss payments, miss roe",
    "i miss closing dates",
    "12 oak dr springfield, 12 oak dr. springfield",
    "dr 500, cr 500, a dr column",
    "ms word",
)


def hidden(text: str, *more: str) -> list[str]:
    """The words of `text` that are taken for names, with what `more` texts tell."""
    return [text[start:end] for start, end in names_in([*more, text]).places(text)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        # introductions
        ("My name is Jane Roe and I want a loan.", "Jane Roe"),
        ("My full name's Jane Roe.", "Jane Roe"),
        ("My last name is Price.", "Price"),
        ("my name is jane roe, hello", "jane roe"),
        ("my name is jane and i want a loan", "jane"),
        ("I am Jane Roe-Smith from Acme", "Jane Roe Smith"),
        ("I'm Jane.", "Jane"),
        ("I’m Jane, the owner", "Jane"),
        ("I AM JANE ROE", "JANE ROE"),
        ("I am Will Price.", "Will Price"),
        ("I am Ahmed Khan", "Ahmed Khan"),
        ("I am Sterling Archer.", "Sterling Archer"),
        ("This is Jane Roe.", "Jane Roe"),
        ("This is Jane calling about a loan", "Jane"),
        ("Hello, this is Jane and I have a question", "Jane"),
        ("I spoke with Jane Roe yesterday", "Jane Roe"),
        ("Call me Ishmael.", "Ishmael"),
        ("My name is José Núñez-García.", "José Núñez García"),
        # labels
        ("Borrower: Jane Roe Loan Amount: $250,000", "Jane Roe"),
        ("Borrower Name: ROE, JANE", "ROE JANE"),
        ("Co-Borrower: John Q. Public, Jr.", "John Q Public"),
        ("Borrowers: Jane Roe and John Doe", "Jane Roe John Doe"),
        ("Borrower(s): Jane Roe & John Doe", "Jane Roe John Doe"),
        ("Applicant's Full Name: Jane Roe", "Jane Roe"),
        ("Applicant is Jane Roe", "Jane Roe"),
        ("the borrower Jane Roe pledges", "Jane Roe"),
        ("Borrower Jane Roe pledges", "Jane Roe"),
        ("The guarantor, Jane Roe, signs.", "Jane Roe"),
        ("Guarantor: Mary van der Berg", "Mary van der Berg"),
        ("Guarantor: Mary Roe de facto", "Mary Roe"),
        ("**Borrower:** Jane Roe", "Jane Roe"),
        ("| Customer | Jane Roe |", "Jane Roe"),
        ("first_name: Jane\nlast_name: Roe", "Jane Roe"),
        ('{"borrowerName": "Jane Roe", "amount": 250000}', "Jane Roe"),
        ('{"name": "Jane Roe"}', "Jane Roe"),
        ("Name: Jane Roe", "Jane Roe"),
        ("Loan Officer: Jane Roe", "Jane Roe"),
        ("Signed by Jane Roe", "Jane Roe"),
        # roles beside the name
        ("Applicant Jane Roe lives at 12 Oak Street", "Jane Roe"),
        ("Applicant John Smith lives here", "John Smith"),
        ("BORROWER JANE ROE, A WIDOW", "JANE ROE"),
        ("borrower JANE ROE", "JANE ROE"),
        ("APPLICANT JANE ROE IS A VETERAN", "JANE ROE"),
        ("APPLICANT MARIA DA SILVA SIGNS", "MARIA DA SILVA"),
        ("Co-Borrower Florence Manning signs", "Florence Manning"),
        ("Borrowers Jane Roe and John Doe sign", "Jane Roe John Doe"),
        ("Contact Jane Roe at the branch", "Jane Roe"),
        ("the borrower (Jane Roe) pledges", "Jane Roe"),
        ("an applicant named Jane Roe", "Jane Roe"),
        ("Guarantor \u2013 Jane Roe", "Jane Roe"),
        ("JANE ROE (borrower)", "JANE ROE"),
        ("(JANE ROE, guarantor)", "JANE ROE"),
        ("Élodie Núñez-García (guarantor)", "Élodie Núñez García"),
        ("Jane Roe, the applicant, asks", "Jane Roe"),
        ("John Q. Public, the co-borrower", "John Q Public"),
        ("signed by Jane Roe, as sole owner", "Jane Roe"),
        ("Jane Roe as guarantor", "Jane Roe"),
        ("Ms. Jane Roe is the borrower", "Jane Roe"),
        ("Will Roe, the applicant", "Will Roe"),
        ("Jane Roe - Loan Officer", "Jane Roe"),
        ("Jane Roe and John Doe, borrowers", "Jane Roe John Doe"),
        (
            "A Bb, C Dd, Jane Roe and Ann Poe & Jim Foe and Tom Noe and Kim Loe, owners",
            "Ann Poe Jim Foe Tom Noe Kim Loe",
        ),
        # what is said of persons
        ("Does Jane Roe qualify?", "Jane Roe"),
        ("Is Jane Roe eligible?", "Jane Roe"),
        ("why did Jane Roe apply?", "Jane Roe"),
        ("What is Jane Roe's loan-to-value ratio?", "Jane Roe"),
        ("Is Jane Roe’s house worth $250,000?", "Jane Roe"),
        # forms of address, mailboxes, signatures
        ("mrs. jane roe asks", "jane roe"),
        ("MRS. jane roe", "jane roe"),
        ("does mr roe qualify?", "roe"),
        ("mr. smith wants a loan", "smith"),
        ("mr. j. roe asks", "j roe"),
        ("mr o'brien, mrs. van der berg", "o brien van der berg"),
        ("mr. jane roe jane", "jane roe jane"),
        ("dr. roe and ms jones ask", "roe jones"),
        ("miss jane roe, dr john doe", "jane roe john doe"),
        ("Ms. Roe asks.", "Roe"),
        ("Mr O'Brien asks.", "O Brien"),
        ("Mr. J. Roe asks.", "J Roe"),
        ("Mr. Price asks.", "Price"),
        ("MRS. ROE, THE OWNER", "ROE"),
        ("This is Dr. Jane Roe", "Jane Roe"),
        ("From: Jane Roe <jane@roe.example>", "Jane Roe"),
        ('"Roe, Jane" <jane@roe.example>', "Roe Jane"),
        ("Kind regards,\n\nJane Roe\nVice President", "Jane Roe"),
    ],
)
def test_a_name_is_told_by_what_stands_around_it(text: str, name: str) -> None:
    assert hidden(text) == name.split()


@pytest.mark.parametrize(
    "text",
    [
        "I am Looking for a loan",
        "I am Looking For A Loan",
        "I am Interested In Refinancing",
        "I am American.",
        "I'm Christian.",
        "I am Broke.",
        "I am Self Employed",
        "I'm A First Time Buyer",
        "I am in West Virginia",
        "This is Fannie Mae",
        "This is Regulation B",
        "This is West Virginia",
        "This is Black Friday",
        "This is Urgent.",
        "This is Truth in Lending",
        "It is March",
        "It's Monday Morning",
        "Here is Appendix A",
        "My name is misspelled on the report",
        "my name is wrong",
        "my name is on the deed.",
        "my name is",
        "call me back",
        "Call me Tomorrow",
        "Freddie Mac and Fannie Mae buy loans from a lender such as Wells Fargo.",
        "Customer: Wells Fargo Bank",
        "Client: Bank of America",
        "Guarantor: Acme Holdings LLC",
        "Lender: First National Bank",
        "Borrower: Individual Taxpayer",
        "Customer Identification Program",
        "Customer Due Diligence",
        "Borrower Rights and Duties",
        "The borrower Credit Union",
        "Owner-Occupied Property",
        "Contact: jane",
        "Contact Us At",
        "Client: Will May",
        "member FDIC",
        "Dear Mr. Chairman",
        "Does Fannie Mae buy it? Does Regulation B apply? Is Raw Land eligible? Does Private Placement count?",
        "Does Dodd Frank apply? Can Will Price pay? Does Metro Bank lend? Does Roe pay? Has Jane ROE!",
        "Fannie Mae's rules, the Federal Reserve's, Wells Fargo's, Will Price's, Urban Development's, The Lender's",
        "the rate is Prime Plus two, the lender is Acme Funding for now",
        "Ms. I asked",
        "12 Oak Dr Springfield is for sale, 5th Dr Reno too",
        "Help Desk <help@lender.example>",
        "<help@lender.example>",
        "Best,\nThe Lending Team",
        "Name: the debtor's exact name",
        *LOOKALIKES,
        "Section 5 of the Federal Trade Commission Act; 12 CFR 1002.9(a)(1); the Equal Credit Opportunity Act in May.",
    ],
)
def test_what_only_looks_like_a_name_stays(text: str) -> None:
    assert hidden(text) == []


@pytest.mark.parametrize("path", KNOWLEDGE, ids=lambda path: path.stem)
def test_documents_on_lending_name_nobody(path: Path) -> None:
    assert not names_in([path.read_text()])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Jane Roe pledges a house.", "Jane Roe"),
        ("JANE ROE and jane roe", "JANE ROE jane roe"),
        ("Roe, Jane", "Roe Jane"),
        ("Jane\nRoe", "Jane Roe"),
        ("Jane Q. Roe", "Jane Roe"),
        ("Roe's loan, the Roes, Janet", "Roe"),
        ("files/jane_roe.pdf", "jane roe"),
        ("Jane said that Roe pays.", "Jane Roe"),
        ("the roe deer", ""),
    ],
)
def test_a_known_name_is_found_everywhere(text: str, words: str) -> None:
    assert hidden(text, "Borrower: Jane Roe") == words.split()


@pytest.mark.parametrize("given", ["Jane", "JANE", "Mary-Jane"])
def test_the_given_name_of_a_known_surname_is_found(given: str) -> None:
    assert hidden(f"{given} Roe and Jane R. Roe pledge.", "Ms. Roe asks.")[-3:] == ["Roe", "Jane", "Roe"]
    assert hidden(f"Ms. Roe asks. {given} pays.", f"{given} Roe")[-1] == given.rpartition("-")[2]


@pytest.mark.parametrize("before", ["Did", "the", "President", "Will", "Bank", "Jane said.", "Jane,"])
def test_other_words_before_a_known_surname_are_no_given_name(before: str) -> None:
    words = hidden(f"{before} Roe pays", "Ms. Roe asks.")
    assert words == ["Roe"]


def test_a_name_that_was_typed_in_lower_case_is_found_so_too() -> None:
    assert hidden("does roe qualify? ROE? Jane Roe?", "my name is jane roe") == ["roe", "ROE", "Jane", "Roe"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Will the price rise? Will it? The Price is high.", ""),
        ("Will Price pays.", "Will Price"),
        ("WILL PRICE pays the price", "WILL PRICE"),
        ("Price, Will", "Price Will"),
        ("the market will price it", ""),
        ("Mr. Price pays the price. Will he?", "Price"),
        ("The loan of Price. Will he pay?", ""),
    ],
)
def test_a_name_of_ordinary_words_is_hidden_only_where_it_is_a_name(text: str, words: str) -> None:
    assert hidden(text, "My name is Will Price.") == words.split()


def test_a_short_surname_is_found_as_it_is_spelled_alone() -> None:
    assert hidden("Ng pays. NG stands for natural gas.", "Ms. Ng asks.") == ["Ng"]


def test_words_of_two_persons_side_by_side_are_no_name() -> None:
    assert hidden("Price Grant", "My name is Will Price", "My name is Hope Grant") == []


def test_a_word_twice_is_no_name() -> None:
    assert hidden("Will Will come?", "My name is Will Price") == []


def test_nobody_known_is_nobody_found() -> None:
    assert Names([]).places("Jane Roe") == []
    assert not Names([])


PIECES = (
    "I am ", "Mr. ", "A ", "Jane ", "<", "my name is ", "Borrower: ", "Name: ", "a", "A", "1", " ", "\n", "Roe, ",
    "Jane <", "Jane Jane Jane Jane <a@", "Borrower A and B and ", "Borrower: Jane Roe and ", "Mr. Aa Bb. ", "A.",
    "regards\n", "Mr. Jane Roe Jane ", "A-", "A'", "call me a a ", "Aa Bb Cc's ", "Does Aa Bb a ", "Aa ",
    "Applicant Aa ", "Applicant Aa Bb ", "Aa Bb, owner ", "Aa Bb and ", "Aa Bb and Cc Dd, owners ", "(owner",
    "borrower (", "as the ", "the loan co ", "mr. ", "mr. a.", "mrs. van der ", "mr. aa bb ", "1 a b c miss ", "ms ",
    "dr aa bb ", "AA BB ",
)  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_any_text_takes_linear_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))  # one that grew with the square would not end
    names_in([text]).places(text)
