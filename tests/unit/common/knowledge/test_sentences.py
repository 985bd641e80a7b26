import time

import pytest

from common.knowledge.sentences import split_clauses, split_sentences


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Section 604(c)(1)(B) of the FCRA (15 U.S.C. 1681b(c)(1)(B)) applies to any person.",
        "(a) Scope: see 12 CFR 1002.9(a)(1) and 83 Fed. Reg. 15019 for details.",
        "The fee is $1.50 a page, e.g. for copies, or 3.25 percent of Jan. rents.",
        "1. General duties of a creditor under § 1002.9",
        "Acme Corp. and J. P. Roe v. the Bureau",
    ],
)
def test_an_abbreviation_or_number_ends_no_sentence(text: str) -> None:
    assert sentences(text) == [text]


def test_sentences_end_at_marks_before_a_capital_letter_or_figure() -> None:
    assert sentences("Is it due? Yes. “By March 1.” 30 days remain.") == [
        "Is it due?",
        "Yes.",
        "“By March 1.”",
        "30 days remain.",
    ]


def test_an_abbreviation_ends_a_sentence_where_a_new_thought_begins() -> None:
    assert sentences("It closes at 5 p.m. The line stays up.") == ["It closes at 5 p.m.", "The line stays up."]


def test_a_blank_line_or_a_row_of_a_table_ends_a_sentence() -> None:
    text = "Heading\n\nText goes\nover lines\n| a | b |\n| c | d |"
    assert sentences(text) == ["Heading", "Text goes\nover lines", "| a | b |", "| c | d |"]


def test_lines_without_full_stops_are_taken_apart_when_they_are_too_long_for_a_sentence() -> None:
    text = "\n".join(f"row {number} of a list without any full stop in it" for number in range(60))
    assert len(sentences(text)) > 10
    assert "\n" not in sentences(text)[0]


def test_offsets_are_into_the_whole_text_and_nothing_but_blanks_is_lost() -> None:
    text = "  One here. Two there.  "
    assert split_sentences(text) == [(2, 11), (12, 22)]
    assert split_sentences(text, 12) == [(12, 22)]
    assert split_sentences("   ") == []


def test_a_long_sentence_is_cut_after_clauses() -> None:
    text = "If the loan is paid off, and nothing is owed, the servicer returns it; otherwise not."
    parts = [text[start:end] for start, end in split_clauses(text, (0, len(text)), 9)]
    assert parts == ["If the loan is paid off,", "and nothing is owed, the servicer returns it;", "otherwise not."]


def test_a_clause_longer_than_the_limit_stays_whole() -> None:
    text = "One two three four five, six."
    assert split_clauses(text, (0, len(text)), 2) == [(0, 24), (25, 29)]


@pytest.mark.parametrize("part", [".", ". ", "...", "?!)", "\n ", "a, ", ",", "U.S. ", '."\n'])
def test_a_long_text_of_marks_is_split_at_once(part: str) -> None:
    text = part * (200_000 // len(part))
    began = time.process_time()
    split_sentences(text)
    split_clauses(text, (0, len(text)), 30)
    assert time.process_time() - began < 3.0
