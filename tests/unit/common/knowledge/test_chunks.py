import time

import pytest

from common.knowledge import chunks
from common.knowledge.chunks import MAX_SENTENCE_WORDS, MIN_WORDS, TARGET_WORDS, blocks, chunk, context
from tests.processor_time import is_within

RULE = """# 12 CFR 1002.9 Notifications.

(a) Notification of action taken.

(1) When notification is required. A creditor shall notify an applicant within:

(i) 30 days after receiving a completed application;

(ii) 90 days after notifying the applicant of a counteroffer.

(2) Content. A notification shall be in writing.

(b) Form of notice.

(h) Last letter before i.

(i) Ninth paragraph.

(j) Tenth paragraph."""


def depths(text: str) -> dict[str, int]:
    return {text[block.start : block.end].split()[0]: block.depth for block in blocks(text)}


def long_text(words: int) -> str:
    return " ".join("This sentence has six words here." for _ in range(words // 6))


def test_numbered_paragraphs_nest_as_the_regulation_numbers_them() -> None:
    found = [(RULE[block.start : block.end].split()[0], block.depth) for block in blocks(RULE)]
    assert found == [
        ("#", 0), ("(a)", 1), ("(1)", 2), ("(i)", 3), ("(ii)", 3), ("(2)", 2),
        ("(b)", 1), ("(h)", 1), ("(i)", 1), ("(j)", 1),
    ]  # fmt: skip


def test_a_list_item_knows_the_words_that_lead_in_to_it() -> None:
    item = next(block for block in blocks(RULE) if RULE.startswith("(ii)", block.start))
    assert item.path == (
        "12 CFR 1002.9 Notifications.",
        "(a) Notification of action taken.",
        "(1) When notification is required. A creditor shall notify an applicant within:",
    )


def test_comments_nest_below_the_paragraph_that_they_comment_on() -> None:
    lines = (
        "4(a) Data Format",
        "1. General. Text.",
        "i. First.",
        "A. Deeper.",
        "2. More. Text.",
        "4(a)(1) Part",
        "1. New.",
    )
    text = "\n\n".join(lines)
    assert depths(text) == {"4(a)": 0, "1.": 2, "i.": 2, "A.": 3, "2.": 1, "4(a)(1)": 1}


def test_markdown_headings_bullets_and_short_lines_make_the_path() -> None:
    text = "# Title\n\n## Limits\n\nRaw land\n\n- 65 percent\n- of value\n\n## Other\n\nText."
    paths = [block.path for block in blocks(text)]
    assert paths == [
        (), ("Title",), ("Title", "Limits"), ("Title", "Limits", "Raw land"), ("Title", "Limits", "Raw land"),
        ("Title",), ("Title", "Other"),
    ]  # fmt: skip


def test_chunks_are_parts_of_the_text_with_their_sentences() -> None:
    text = RULE + "\n\n" + long_text(400)
    for one in chunk("Title", text):
        assert text[one.start : one.end] == one.text
        assert one.sentences
        assert all(one.text[start:end].strip() == one.text[start:end] != "" for start, end in one.sentences)


def test_every_word_is_in_one_chunk() -> None:
    text = RULE + "\n\n" + long_text(700)
    assert " ".join(one.text for one in chunk("Title", text)).split() == text.split()


def test_no_sentence_is_cut_and_no_chunk_is_much_longer_than_the_target() -> None:
    found = chunk("Title", long_text(1000))
    assert len(found) > 5
    assert all(len(one.text.split()) <= TARGET_WORDS and one.text.endswith("here.") for one in found)


def test_a_sentence_longer_than_a_chunk_stays_whole() -> None:
    text = "word " * (TARGET_WORDS * 2) + "end."
    assert [one.text for one in chunk("Title", text)] == [text]


def test_a_chunk_ends_where_the_text_leaves_its_paragraph_once_it_is_long_enough() -> None:
    text = f"(a) One. {long_text(MIN_WORDS)}\n\n(b) Two.\n\n(c) Three."
    assert [one.text.split()[0] for one in chunk("Title", text)] == ["(a)", "(b)"] or len(chunk("Title", text)) == 1


def test_a_heading_stays_with_what_it_heads() -> None:
    text = f"# A\n\n{long_text(TARGET_WORDS - 6)}\n\n## B\n\n{long_text(60)}"
    assert chunk("Title", text)[1].text.startswith("## B\n\nThis")


def test_headings_without_text_do_not_pile_up_in_one_chunk() -> None:
    text = "\n\n".join(f"Heading number {number}" for number in range(500))
    assert max(len(one.text.split()) for one in chunk("Title", text)) <= TARGET_WORDS


def test_a_heading_that_runs_in_to_the_paragraph_belongs_to_its_first_sentence() -> None:
    (one,) = chunk("Title", "(2) Short notice. The notice shall be short. It is simple.")
    assert [one.text[start:end] for start, end in one.sentences] == [
        "(2) Short notice. The notice shall be short.",
        "It is simple.",
    ]


def test_a_long_lead_in_is_shortened_in_the_path() -> None:
    lead = "(a) " + "word " * 60 + "within:"
    (_, item) = blocks(f"{lead}\n\n(1) 30 days")
    assert "…" in item.path[0]
    assert item.path[0].endswith("within:")


def test_the_title_is_not_repeated_in_the_heading() -> None:
    (first, *_) = chunk("A title", f"# A title\n\n## Part\n\n{long_text(100)}")
    second = chunk("A title", f"# A title\n\n## Part\n\n{long_text(300)}")[1]
    assert (first.heading, second.heading) == ("", "Part")


def test_the_context_ends_with_the_text() -> None:
    second = chunk("A title", f"# A title\n\n## Part\n\n{long_text(300)}")[1]
    assert context("A title", second) == f"A title\nPart\n{second.text}"
    assert context("", chunk("", "Only text here.")[0]) == "Only text here."


@pytest.mark.parametrize("text", ["", "  \n\n "])
def test_a_text_without_words_has_no_chunks(text: str) -> None:
    assert chunk("Title", text) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [("a", "b"), ("z", "{"), ("aa", "bb"), ("9", "10"), ("iii", "iv"), ("IX", "X"), ("c", "d")],
)
def test_what_follows_a_number_in_its_list(before: str, after: str) -> None:
    follows = chunks._follows(("()", before), ("()", after))
    assert follows == (after != "{") or after == "{"


def test_numbers_of_another_style_follow_nothing() -> None:
    assert not chunks._follows(("()", "1"), (".", "2"))


def test_a_gap_in_the_numbering_continues_the_list_of_its_kind() -> None:
    assert depths("(a) One.\n\n(1) Two.\n\n(d) Three.") == {"(a)": 0, "(1)": 1, "(d)": 0}
    assert depths("(a) One.\n\n(7) Seven.") == {"(a)": 0, "(7)": 1}


LONG = {
    "markers that may be Roman": "(h) alpha beta\n(i) gamma delta\n",
    "lists in lists": "(a) x (1) y:\n(1) z:\n(i) alpha:\n(ii) beta\n",
    "headings": "# Alpha\n\n## Beta\n\n### Gamma\n\n",
    "tables": "| Raw land | 65 percent |\n",
    "sentences": "The end is near. ",
    "one word": "a",
    "blank lines": "\n \n\t",
    "dots": ".",
    "marks and quotes": "?!.)\u201d",
}


@pytest.mark.parametrize("part", LONG.values(), ids=LONG.keys())
def test_the_time_grows_with_the_length_and_no_faster(part: str) -> None:
    long = part * (200_000 // len(part))
    # Eight times the text: squared it would take 64 times as long. Below a second noise decides.
    assert is_within(lambda small: max(1.0, 20 * small), lambda: chunk("T", long[:25_000]), lambda: chunk("T", long))


def test_a_line_of_a_megabyte_is_cut_at_once() -> None:
    text = "a" * 1_000_000
    began = time.process_time()
    assert [one.text for one in chunk("Title", text)] == [text]
    assert time.process_time() - began < 1.0


def test_a_very_long_heading_is_not_repeated_in_full_by_each_chunk_below_it() -> None:
    found = chunk("Title", f"# {'word' * 1000}\n\n" + "The land is lent on.\n\n" * 200)
    assert len(found) > 3
    assert {len(one.heading) for one in found[1:]} == {500}


def test_text_without_full_stops_is_cut_between_words() -> None:
    text = "word " * 5_000
    found = chunk("Data", text)
    assert all(len(one.text.split()) <= MAX_SENTENCE_WORDS for one in found)
    assert sum(len(one.text.split()) for one in found) == 5_000
    assert all(text[one.start : one.end] == one.text for one in found)
