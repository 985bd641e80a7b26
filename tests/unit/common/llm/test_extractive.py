import pytest

from common.llm.chat import ChatRequest, Evidence, Passage, TokenUsage
from common.llm.draft import Draft
from common.llm.extractive import THRESHOLD, ExtractiveModel

NOTICE = (
    "(1) When notice is due. A creditor shall notify an applicant within:\n\n"
    "(i) 30 days after receiving an application;\n\n"
    "(ii) 90 days after a counteroffer."
)


def passage(
    text: str, *quotes: str, number: int = 1, document: str = "rule", heading: str = "", best: float = 0.9
) -> Passage:
    """`quotes` are the evidence, each with half the support of the one before it."""
    evidence = tuple(
        Evidence(start=text.index(quote), end=text.index(quote) + len(quote), support=best / 2**place)
        for place, quote in enumerate(quotes)
    )
    return Passage(
        number=number,
        document_id=document,
        title="A rule",
        source=None,
        heading=heading,
        text=text,
        score=0.9,
        evidence=evidence,
    )


def draft(*passages: Passage, answer_words: int = 150) -> Draft:
    request = ChatRequest(instruction="", question="When?", passages=passages)
    return Draft.model_validate_json(ExtractiveModel(answer_words=answer_words).generate(request).text)


def test_the_best_supported_sentence_is_quoted_word_for_word_and_marked() -> None:
    drafted = draft(passage("One thing. The limit is 65 percent. More.", "The limit is 65 percent."))
    assert drafted.answered
    assert drafted.answer == "The limit is 65 percent. [1]"
    assert [(one.passage, one.quote) for one in drafted.citations] == [(1, "The limit is 65 percent.")]


def test_it_is_the_embedded_model_and_costs_nothing() -> None:
    answer = ExtractiveModel().generate(ChatRequest(instruction="", question="?"))
    assert (answer.model, answer.asked, ExtractiveModel().provider) == ("extractive", "extractive", "embedded")
    assert answer.usage == TokenUsage()


def test_a_stream_brings_the_same_in_one_piece() -> None:
    request = ChatRequest(instruction="", question="?", passages=(passage("A b c d.", "A b c d."),))
    (chunk,) = ExtractiveModel().stream(request)
    assert chunk.answer == ExtractiveModel().generate(request)
    assert chunk.text == chunk.answer.text


@pytest.mark.parametrize(
    "passages",
    [(), (passage("No evidence here."),), (passage("Weak.", "Weak.", best=THRESHOLD - 0.01),)],
    ids=["no passage", "no evidence", "weak evidence"],
)
def test_without_evidence_above_the_threshold_it_does_not_answer(passages: tuple[Passage, ...]) -> None:
    drafted = draft(*passages)
    assert (drafted.answered, drafted.citations) == (False, [])


def test_a_list_item_comes_with_the_words_that_lead_in_to_it() -> None:
    drafted = draft(passage(NOTICE, "(ii) 90 days after a counteroffer."))
    assert drafted.answer == "A creditor shall notify an applicant within: 90 days after a counteroffer. [1]"
    assert drafted.citations[0].quote == "(ii) 90 days after a counteroffer."


def test_the_lead_in_may_stand_in_the_heading_above_the_passage() -> None:
    heading = "(a) Notices > (1) When notice is due. A creditor shall notify an applicant within:"
    drafted = draft(passage("(ii) 90 days after it.", "(ii) 90 days after it.", heading=heading))
    assert drafted.answer == "A creditor shall notify an applicant within: 90 days after it. [1]"


@pytest.mark.parametrize("heading", ["", "(a) Notices", f"(a) {'very ' * 30}long:", "(a) cut … within:"])
def test_what_does_not_lead_in_or_is_too_long_stays_away(heading: str) -> None:
    text = "(ii) 90 days after it."
    assert draft(passage(text, text, heading=heading)).answer == "90 days after it. [1]"


def test_a_sentence_within_a_paragraph_has_no_lead_in() -> None:
    text = "(a) First of it. The second sentence stands alone."
    assert draft(passage(text, "The second sentence stands alone.")).answer.startswith("The second")


def test_a_heading_that_runs_in_is_set_off_so_that_the_statement_is_one_sentence() -> None:
    text = "(2) Short notice. The notice shall be short."
    assert draft(passage(text, text)).answer == "Short notice: The notice shall be short. [1]"


def test_a_part_of_a_sentence_shows_that_more_stands_around_it() -> None:
    text = "If nothing is owed, the servicer returns the balance, unless the borrower agrees."
    assert draft(passage(text, "the servicer returns the balance,")).answer == "…the servicer returns the balance… [1]"


def test_three_documents_are_quoted_first_and_then_their_next_best_sentences() -> None:
    drafted = draft(
        passage("One a b c. Two a b c.", "One a b c.", "Two a b c.", number=1, document="a", best=0.9),
        passage("Three a b c.", "Three a b c.", number=2, document="b", best=0.8),
        passage("Four a b c.", "Four a b c.", number=3, document="c", best=0.7),
        passage("Five a b c.", "Five a b c.", number=4, document="d", best=0.6),
    )
    assert drafted.answer.replace("\n\n", " ") == "One a b c. [1] Two a b c. [1] Three a b c. [2] Four a b c. [3]"
    assert [one.passage for one in drafted.citations] == [1, 2, 3]


def test_the_answer_has_at_most_the_asked_for_words_marks_included() -> None:
    text = " ".join(f"Sentence number {number} has six words." for number in range(10))
    quotes = [f"Sentence number {number} has six words." for number in range(10)]
    assert len(draft(passage(text, *quotes), answer_words=30).answer.split()) == 28


def test_what_has_less_than_a_twentieth_of_the_best_support_is_left_out() -> None:
    text = " ".join(f"Sentence number {number} has six words." for number in range(10))
    quotes = [f"Sentence number {number} has six words." for number in range(10)]
    assert "number 4" in draft(passage(text, *quotes)).answer  # a sixteenth
    assert "number 5" not in draft(passage(text, *quotes)).answer


def test_the_best_statement_leads_and_the_others_follow_as_in_their_document() -> None:
    text = "Land is old. The limit stands. It is firm."
    answer = draft(passage(text, "The limit stands.", "It is firm.", "Land is old.")).answer
    assert answer == "The limit stands. [1]\n\nLand is old. [1]\n\nIt is firm. [1]"


def test_a_statement_that_points_back_does_not_lead_and_is_not_the_quote() -> None:
    drafted = draft(passage("The limit stands. It is firm.", "It is firm.", "The limit stands."))
    assert drafted.answer == "The limit stands. [1]\n\nIt is firm. [1]"
    assert [citation.quote for citation in drafted.citations] == ["The limit stands."]


def test_a_heading_is_no_statement() -> None:
    drafted = draft(passage("## The limit of land\n\nThe limit stands.", "The limit of land", "The limit stands."))
    assert drafted.answer == "The limit stands. [1]"


def test_a_sentence_too_long_for_the_rest_gives_way_to_a_shorter_one() -> None:
    long = "word " * 40 + "end."
    drafted = draft(passage(f"{long} Short one is here.", long, "Short one is here."), answer_words=30)
    assert drafted.answer == "Short one is here. [1]"


def test_the_same_words_are_said_once() -> None:
    drafted = draft(
        passage("Same a b c.", "Same a b c.", number=1, document="a"),
        passage("Same a b c.", "Same a b c.", number=2, document="b"),
    )
    assert drafted.answer == "Same a b c. [1]"


def test_an_answer_without_room_for_any_sentence_is_none() -> None:
    long = "word " * 40 + "end."
    assert not draft(passage(long, long), answer_words=30).answered
