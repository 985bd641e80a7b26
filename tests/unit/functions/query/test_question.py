import pytest

from functions.query.question import read_question, stem, terms


@pytest.mark.parametrize(
    ("text", "expects"),
    [
        ("How long do we keep the file?", {"deadline"}),
        ("By when is the notice due?", {"deadline"}),
        ("What is the maximum fee?", {"quantity"}),
        ("May we charge for the copy?", {"ruling"}),
    ],
)
def test_the_wording_tells_what_kind_of_answer_is_expected(text: str, expects: set[str]) -> None:
    assert expects <= read_question(text).parts[0].expects


def test_a_request_without_such_words_expects_nothing() -> None:
    assert read_question("Explain the rule.").parts[0].expects == frozenset()


def test_two_questions_are_two_parts_and_share_what_sets_the_scene() -> None:
    message = "Loan paid in full: when is the escrow balance refunded, and how long is the yearly statement kept?"
    parts = read_question(message).parts
    assert [part.text for part in parts] == [
        "Loan paid in full: when is the escrow balance refunded",
        "Loan paid in full: how long is the yearly statement kept?",
    ]


@pytest.mark.parametrize(
    "text", ["Forms in Spanish, OK? Any condition?", "Who signs and when?", "Terms and what else."]
)
def test_a_part_that_says_too_little_alone_is_not_taken_apart(text: str) -> None:
    assert [part.text for part in read_question(text).parts] == [text]


def test_function_words_say_nothing() -> None:
    assert terms("How long do we keep it for the 1,500 files?") == ("long", "keep", "1,500", "files")


def test_the_thesaurus_adds_what_the_question_does_not_say_itself() -> None:
    (part,) = read_question("Is force placed insurance allowed?").parts
    assert part.formal == "force-placed insurance"
    assert part.formal_terms == ()
    assert "retention" in read_question("How long do we hold on to it?").parts[0].formal_terms


def test_names_and_abbreviations_are_seen_unless_the_thesaurus_knows_them() -> None:
    assert read_question("What does Acme Bank charge for an XQZ in Texas?").names == ("Acme", "Bank", "XQZ", "Texas")
    assert read_question("What is a QWR? Is it OK?").names == ()
    assert read_question("Lenders must do what? Say it.").names == ()


@pytest.mark.parametrize(
    "text", ["What is today's rate?", "Which bank is cheapest at the moment?", "Will rates fall?", "limits for 2031"]
)
def test_the_state_of_a_market_is_no_matter_of_documents(text: str) -> None:
    assert read_question(text).is_live


def test_a_rule_is() -> None:
    assert not read_question("How long must records be kept?").is_live


def test_forms_of_a_word_have_one_stem() -> None:
    assert stem("notices") == stem("notice")
    assert stem("retained") == stem("retain")
    assert stem("fee") == "fee"


def test_no_words_are_a_question_too() -> None:
    assert read_question("?!").parts[0].terms == ()
