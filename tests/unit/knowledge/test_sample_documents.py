"""The sample knowledge base is well formed, says each key figure where it belongs, and calculates correctly."""

import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "knowledge"
FILES = sorted(FOLDER.glob("*.md"))
TOPICS = {
    "ltv",
    "income",
    "appraisal",
    "haircuts",
    "receivables",
    "ucc",
    "fair-lending",
    "sba",
    "policy",
    "glossary",
    "construction",
}

_FRONT_MATTER = re.compile(r"\A---\n(?P<head>.*?)\n---\n(?P<body>.*)\Z", re.DOTALL)
_FIELD = re.compile(r'^(?P<key>\w+): (?P<quote>"?)(?P<value>.+?)(?P=quote)$', re.MULTILINE)
_CITATION = re.compile(
    r"\d+ CFR \d+|UCC \d-\d+|\d+ FR \d+|SOP 50 10|Handbook|SR \d\d-\d\d|Bulletin \d{4}-\d+|UCC Article 9"
)
_PERCENT = re.compile(r"(\S*)(\s?)%")
_ARITHMETIC = r"(?:[\d $%()x/+-]|[.,](?=\d))"
_EQUATION = re.compile(rf"(?<![\d,.])[(\d]{_ARITHMETIC}*(?: ?= {_ARITHMETIC}*[\d%])+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDocument:
    """One file of the sample knowledge base; `body` is what stands below the front matter."""

    fields: dict[str, str]
    body: str


def read(path: Path) -> SampleDocument:
    found = _FRONT_MATTER.match(path.read_text(encoding="utf-8"))
    assert found, f"{path.name} has no front matter"
    fields = {field["key"]: field["value"] for field in _FIELD.finditer(found["head"])}
    assert len(fields) == len(found["head"].splitlines()), f"{path.name}: a line that is not `key: value`"
    return SampleDocument(fields=fields, body=found["body"])


def evaluate(side: str) -> float:
    """The value of one side of a worked equation: "(1,000 - 200) x 85%" is 680."""
    plain = re.sub(r"(\d+(?:\.\d+)?)%", r"(\1/100)", side.replace("$", "").replace(",", "").replace(" x ", " * "))
    return float(eval(plain, {"__builtins__": {}}))


def half_a_last_digit(side: str) -> float:
    """How far a stated result may be from the exact one: 36.8% may be 0.05 percentage points off."""
    decimals = len(side.strip().rstrip("%").partition(".")[2])
    return 0.5 * 10.0**-decimals / (100 if "%" in side else 1) + 1e-9


each_document = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def test_there_are_some_twenty_documents() -> None:
    assert 20 <= len(FILES) <= 30


@each_document
def test_file_names_are_kebab_case(path: Path) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*\.md", path.name)


@each_document
def test_front_matter_names_title_source_and_a_known_topic(path: Path) -> None:
    document = read(path)
    assert set(document.fields) == {"title", "source", "topic"}
    assert document.fields["topic"] in TOPICS


@each_document
def test_front_matter_values_with_a_colon_are_quoted_so_that_yaml_reads_them(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("---\n")[1]
    unquoted = [line for line in head.splitlines() if not line.endswith('"')]
    assert all(line.count(": ") == 1 for line in unquoted)


@each_document
def test_the_body_opens_with_its_title_and_has_sections(path: Path) -> None:
    document = read(path)
    assert document.body.splitlines()[0] == f"# {document.fields['title']}"
    assert len(re.findall(r"^## \S", document.body, re.MULTILINE)) >= 3
    assert len(re.findall(r"^# ", document.body, re.MULTILINE)) == 1


@each_document
def test_sources_are_cited_in_the_front_matter_and_in_the_text(path: Path) -> None:
    document = read(path)
    assert _CITATION.search(document.fields["source"])
    assert not re.search(r"^(title|source|topic):", document.body, re.MULTILINE)
    # A definition of debt yield rests on practice alone, so that text has no rule to point to.
    assert _CITATION.search(document.body) or path.stem in {"debt-yield", "receivables-and-borrowing-base"}


@each_document
def test_documents_are_short_enough_to_read_and_long_enough_to_answer(path: Path) -> None:
    assert 150 <= len(read(path).body.split()) <= 900


def test_no_two_documents_share_a_title() -> None:
    titles = [read(path).fields["title"] for path in FILES]
    assert len(set(titles)) == len(titles)


@each_document
def test_every_percentage_is_a_number_directly_before_its_sign(path: Path) -> None:
    for number, space in _PERCENT.findall(read(path).body):
        assert not space, f"write 65%, not 65 %: {number}"
        assert 0 <= Decimal(number.lstrip("(")) <= 100


@each_document
def test_worked_examples_calculate_correctly(path: Path) -> None:
    for equation in _EQUATION.findall(read(path).body):
        sides = equation.split("=")
        for left, right in pairwise(sides):
            assert abs(evaluate(left) - evaluate(right)) <= half_a_last_digit(right), equation


def test_worked_examples_are_found_at_all() -> None:
    assert sum(len(_EQUATION.findall(read(path).body)) for path in FILES) >= 40


@each_document
def test_a_ratio_above_a_limit_is_never_called_forbidden_nor_a_loan_decided(path: Path) -> None:
    text = path.read_text(encoding="utf-8").lower()
    for phrase in (
        "not allowed",
        "not permitted",
        "forbidden",
        "illegal",
        "we approve",
        "is approved",
        "is declined",
    ):
        assert phrase not in text


@pytest.mark.parametrize(
    ("category", "percent"),
    [
        ("Raw land", 65),
        ("Land development", 75),
        ("Construction of commercial, multifamily or other nonresidential property", 80),
        ("Construction of 1-4 family residential property", 85),
        ("Improved property", 85),
    ],
)
def test_the_supervisory_table_stands_in_its_document(category: str, percent: int) -> None:
    body = read(FOLDER / "supervisory-ltv-limits.md").body
    assert f"{category}: the supervisory loan-to-value limit is {percent}%." in body


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "supervisory-ltv-limits",
            "no supervisory loan-to-value limit is set. From a loan-to-value ratio of 90%",
        ),
        ("home-equity-and-owner-occupied", "ratio is 90% or more at origination"),
        ("loans-above-the-supervisory-limits", "should not exceed 100% of the bank's total capital"),
        ("loans-above-the-supervisory-limits", "should not exceed 30% of total capital"),
        ("several-properties-and-phases", "sum over all properties of (value - senior liens) x limit"),
        ("appraisals-and-evaluations", "transaction value is $500,000 or less"),
        ("appraisals-and-evaluations", "transaction value is $400,000 or less"),
        ("appraisals-and-evaluations", "transaction value is $1,000,000 or less"),
        (
            "debt-to-income-and-ability-to-repay",
            "43% debt-to-income limit no longer exists for General QM loans",
        ),
        ("debt-to-income-and-ability-to-repay", "by less than 2.25 percentage points"),
        ("financial-collateral-haircuts", "Main-index equities, and gold: the haircut is 15%"),
        ("financial-collateral-haircuts", "Other publicly traded equities: the haircut is 25%"),
        ("deposit-accounts-and-investment-property", "margin stock is 50% of its current market value"),
        (
            "receivables-and-borrowing-base",
            "more than 90 days from its invoice date, or more than 60 days past",
        ),
        ("inventory-as-collateral", "85% of NOLV is customary"),
        ("ucc-continuation-and-lapse", "effective for five years after the date of filing"),
        ("ucc-continuation-and-lapse", "only within the six months before the five-year period expires"),
        ("ucc-priority-and-purchase-money", "within 20 days after that (UCC 9-324(a))"),
        ("adverse-action-notices", "Within 30 days after a completed application is received"),
        ("sba-7a-collateral", "Loans of $50,000 or less: no collateral is required"),
    ],
)
def test_key_figures_stand_in_the_right_document(name: str, sentence: str) -> None:
    assert sentence in read(FOLDER / f"{name}.md").body


def test_the_illustrative_policy_stays_at_or_below_the_supervisory_limits() -> None:
    body = read(FOLDER / "sample-lending-policy.md").body
    limits = {
        number: max(int(percent) for percent in re.findall(r"(\d+)%", text))
        for number, text in re.findall(r"^1\.([1-5]) (.+)$", body, re.MULTILINE)
    }
    supervisory = {"1": 65, "2": 75, "3": 80, "4": 85, "5": 85}
    assert limits.keys() == supervisory.keys()
    assert all(limits[number] <= supervisory[number] for number in supervisory)


def test_the_illustrative_policy_says_that_it_belongs_to_no_real_lender() -> None:
    document = read(FOLDER / "sample-lending-policy.md")
    assert "illustrative only" in document.fields["title"]
    assert "fictitious lender" in document.body
