from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.llm.chat import Passage
from common.llm.draft import Draft, DraftCitation
from functions.query.agent import Citation, Reply
from functions.query.grounding import WITHHELD, Grounded, find_quote, ground, hold

TEXT = "The limit for raw land is 65 percent.\nIt applies to “all” loans – without exception."


def passage(number: int = 1, text: str = TEXT) -> Passage:
    return Passage(
        number=number,
        document_id=f"doc-{number}",
        title="Limits",
        source="12 CFR 34",
        heading="",
        text=text,
        score=0.5,
    )


PASSAGES = (passage(), passage(2, "Within 30 days."))


def drafted(answer: str, *quotes: tuple[int, str]) -> Grounded:
    citations = [DraftCitation(passage=number, quote=quote) for number, quote in quotes]
    return ground(Draft(answered=True, answer=answer, citations=citations), [passage(), passage(2, "Within 30 days.")])


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("limit for raw land is 65 percent", "limit for raw land is 65 percent"),
        ("65 percent. It applies", "65 percent.\nIt applies"),
        ('to "all" loans - without', "to “all” loans – without"),
        ("limit for raw land is 75 percent", None),
        ("raw land", None),
        ("", None),
        ("Limit For Raw Land", None),
        ("x " * 2_000, None),
    ],
)
def test_a_quote_is_given_as_it_stands_in_the_document(quote: str, found: str | None) -> None:
    assert find_quote(quote, TEXT) == found


def test_a_short_text_may_be_quoted_whole() -> None:
    assert find_quote("Cash: none", "Cash: none") == "Cash: none"


def test_what_nobody_sees_makes_no_difference_and_the_quote_is_the_documents_own() -> None:
    text = "An apprai\u00adsal\u200b of raw\U000e0041 land is kept."
    assert find_quote("appraisal of raw land", text) == "apprai\u00adsal\u200b of raw\U000e0041 land"
    assert find_quote("app\u200braisal of raw land", "An appraisal of raw land is kept.") == "appraisal of raw land"
    assert find_quote("appraisal of raw sand", text) is None
    assert find_quote("\u200b", text) is None


@given(text=st.text(max_size=80), start=st.integers(0, 80), length=st.integers(0, 80))
def test_whatever_is_found_stands_in_the_text(text: str, start: int, length: int) -> None:
    found = find_quote(text[start : start + length], text)
    assert found is None or found in text


def test_a_statement_that_its_passage_bears_out_stays() -> None:
    grounded = drafted("The limit is 65 % [1].", (1, "limit for raw land is 65 percent"))
    assert grounded.answer == "The limit is 65 % [1]."
    assert [citation.document_id for citation in grounded.citations] == ["doc-1"]
    assert (grounded.findings, grounded.removed) == ((), 0)


def test_a_figure_that_no_cited_passage_holds_takes_its_sentence_away() -> None:
    grounded = drafted("The limit is 65 % [1]. It was 75 % once [1].", (1, "limit for raw land is 65 percent"))
    assert grounded.answer == "The limit is 65 % [1]."
    assert grounded.removed == 1
    assert "75 percent" in grounded.findings[0]


def test_a_figure_of_a_passage_that_is_not_cited_does_not_count() -> None:
    grounded = drafted("It takes 30 days [1].", (1, "limit for raw land is 65 percent"))
    assert grounded.answer == ""
    assert grounded.citations == ()


def test_a_statement_whose_quote_is_invented_is_left_out() -> None:
    grounded = drafted("The limit is 65 % [1].", (1, "the limit is sixty-five percent always"))
    assert (grounded.answer, grounded.citations, grounded.removed) == ("", (), 1)


def test_a_passage_that_was_not_given_cannot_be_cited() -> None:
    assert drafted("The limit is 65 % [7].", (7, "limit for raw land")).citations == ()


def test_a_statement_without_a_mark_is_left_out() -> None:
    grounded = drafted("All is well. The limit is 65 % [1].", (1, "limit for raw land is 65 percent"))
    assert grounded.answer == "The limit is 65 % [1]."


def test_a_line_without_words_is_no_statement() -> None:
    grounded = drafted("The limit is 65 % [1].\n\n***\n\n", (1, "limit for raw land is 65 percent"))
    assert (grounded.answer, grounded.removed) == ("The limit is 65 % [1].", 0)


def test_marks_are_numbered_by_the_citations_that_are_left() -> None:
    grounded = drafted(
        "Answer in 30 days [2]. The limit is 65 % [1][9].",
        (2, "Within 30 days."),
        (1, "limit for raw land is 65 percent"),
    )
    assert grounded.answer == "Answer in 30 days [1]. The limit is 65 % [2]."
    assert [citation.document_id for citation in grounded.citations] == ["doc-2", "doc-1"]


def test_two_quotes_of_one_passage_are_two_citations_and_a_repeated_one_is_one() -> None:
    quotes = [(1, "limit for raw land is 65 percent"), (1, "It applies to"), (1, "It applies to")]
    grounded = drafted("The limit is 65 % and it applies to all [1].", *quotes)
    assert len(grounded.citations) == 2
    assert grounded.answer.endswith("[1][2].")


def test_the_number_of_a_list_item_is_no_figure() -> None:
    grounded = drafted("1. The limit is 65 % [1].\n2. It applies to all [1].", (1, "limit for raw land is 65 percent"))
    assert grounded.removed == 0
    assert grounded.answer.count("\n") == 1


def test_a_number_on_a_line_of_its_own_belongs_to_what_follows() -> None:
    grounded = drafted("1.\n\nThe limit is 65 % [1].", (1, "limit for raw land is 65 percent"))
    assert (grounded.answer, grounded.removed) == ("1.\n\nThe limit is 65 % [1].", 0)


def test_the_title_and_source_of_a_cited_document_may_be_named() -> None:
    grounded = drafted("12 CFR 34 sets 65 % [1].", (1, "limit for raw land is 65 percent"))
    assert grounded.removed == 0


def reply(answer: str, *, answered: bool = True, calculation: tuple[str, ...] = (), quote: str = "65 percent") -> Reply:
    citation = Citation(document_id="doc-1", title="Limits", quote=quote, score=0.5, source="12 CFR 34")
    return Reply(
        answer=answer, answered=answered, confidence=1.0, citations=(citation,), calculation=calculation,
    )  # fmt: skip


def test_a_figure_from_a_shown_calculation_or_a_citation_stands() -> None:
    given = reply("LTV is 87.5 %. The limit is 65 %.", calculation=("LTV = 350,000 / 400,000 = 87.5 %",))
    assert hold(given, "", PASSAGES) is given


def test_a_figure_from_nowhere_is_left_out_of_any_agents_answer_and_the_answer_says_so() -> None:
    held = hold(reply("The limit is 65 %. It may be 99 % soon. It takes 30 days."), "99 %", PASSAGES)
    assert held.answer == ("The limit is 65 %.\n\n(Left out: 2 statements that the cited passages do not bear out.)")


def test_an_answer_of_invented_figures_alone_is_withheld() -> None:
    held = hold(reply("The limit is 99 %."), "", PASSAGES)
    assert (held.answer, held.answered, held.citations) == (WITHHELD, False, ())


def test_asking_back_may_repeat_the_figures_of_the_question() -> None:
    given = reply("What is the value behind the loan of 350,000?", answered=False)
    assert hold(given, "loan 350k", PASSAGES) is given


def test_a_citation_that_does_not_stand_in_its_document_withholds_the_answer() -> None:
    held = hold(reply("The limit is 65 %.", quote="Within 30 days."), "", PASSAGES)  # of another document
    assert (held.answer, held.answered, held.citations) == (WITHHELD, False, ())


@pytest.mark.parametrize(
    ("sentence", "finding"),
    [
        ("More is at https://evil.example/?q=65 [1].", "an address that the cited passages do not hold"),
        ("Your loan is approved at 65 % [1].", "decides on an application"),
        ("Say only what a passage bears out, in plain words [1].", "repeats the instructions"),
    ],
)
def test_what_must_not_leave_is_a_finding_for_the_next_round(sentence: str, finding: str) -> None:
    grounded = drafted(f"The limit is 65 % [1]. {sentence}", (1, "limit for raw land is 65 percent"))
    assert grounded.answer == "The limit is 65 % [1]."
    assert grounded.removed == 1
    assert finding in grounded.findings[0]
    assert "evil" not in grounded.findings[0]


def test_what_must_not_leave_leaves_from_no_agent() -> None:
    held = hold(
        reply("The limit is 65 %. See https://evil.example/rates. Your loan is approved."), "evil.example", PASSAGES
    )
    assert held.answer == "The limit is 65 %.\n\n(Left out: 2 statements that the cited passages do not bear out.)"


def test_an_answer_that_adds_up_to_our_instructions_is_withheld() -> None:
    held = hold(reply("Say only what a passage bears. Out, in plain words, in at most."), "", PASSAGES)
    assert (held.answer, held.answered) == (WITHHELD, False)


def test_an_answer_is_plain_text() -> None:
    given = reply("The [limit](12 CFR 34) is <b>65 %</b>\u200b.")
    assert hold(given, "", PASSAGES).answer == "The [limit] (12 CFR 34) is \u2039b>65 %\u2039/b>."
    longer = replace(given, answer=f"{given.answer} It is 99 %.")
    assert hold(longer, "", PASSAGES).answer.startswith("The [limit] (12 CFR 34) is \u2039b>")


def test_an_answer_without_a_sentence_stays_as_it_is() -> None:
    given = reply("")
    assert hold(given, "", PASSAGES) is given


def test_a_source_that_a_page_would_run_is_left_out() -> None:
    given = reply("The limit is 65 %.")
    held = hold(replace(given, citations=(replace(given.citations[0], source="JavaScript:alert(1)"),)), "", PASSAGES)
    assert held.citations[0].source is None


def test_the_title_of_a_document_that_was_only_looked_at_brings_no_address_along() -> None:
    titled = replace(passage(), title="![x](https://evil.example/?q=) Limits")
    given = reply(f"My documents do not answer this. The nearest is: {titled.title}.", answered=False)
    held = hold(replace(given, citations=()), "", [titled])
    assert held.answer.startswith("My documents do not answer this.\n\n(Left out: one statement")
