"""What a document must be."""

import pytest

from common.knowledge.rules import MAX_ERRORS, MAX_SENTENCES_AND_LINES, check_documents
from common.knowledge.store import Document
from common.problems import InvalidRequest

GOOD_IDS = [
    "a",
    "12-cfr-1002/1002.2",
    "1002.2-Interp",
    "Loan policy 2024 (final)",
    "policies/Beleihung/Häuser",
    "a..b",
    "x" * 256,
]
BAD_IDS = [
    "",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    "./a",
    " a",
    "a ",
    "a/ b",
    "a\\b",
    "a\n",
    "a?b",
    "a#b",
    "Ha\u0308user",  # "ä" of two characters
    "\u1112\u1161\u11ab",  # a syllable of Hangul in three
    "file\uff21",  # a full-width "A"
    "pro\ufb01t",  # the sign for "fi"
    "50 \u212b",  # the sign for the unit, which looks like the letter
    "a\u00a0b",
    "policy\u200b",
    "policy\u200d",
    "policy\u202e",
    "policy\u2066",
    "policy\u3164",  # a letter that shows nothing
    "policy\u115f",
    "<a>",
    "x" * 257,
]


def errors_of(*documents: Document) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refused:
        check_documents(documents)
    return [(error.pointer, error.detail) for error in refused.value.errors]


def good(document_id: str = "a", **changes: object) -> Document:
    fields: dict[str, object] = {"id": document_id, "title": "Title", "text": "Text.", **changes}
    return Document(**fields)  # type: ignore[arg-type]  # each test changes one field of a document


@pytest.mark.parametrize("document_id", GOOD_IDS)
def test_ids_like_these_are_fine(document_id: str) -> None:
    check_documents([good(document_id)])


@pytest.mark.parametrize("document_id", BAD_IDS)
def test_ids_like_these_are_refused(document_id: str) -> None:
    assert {pointer for pointer, _ in errors_of(good(document_id))} == {"/documents/0/id"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("--- ***", "holds no letter and no digit"),
        ("%PDF-1.7\x00\x01", "holds control characters, so it is no text"),
        ("loan \ud800", "holds control characters, so it is no text"),
    ],
)
def test_texts_and_titles_must_say_something(text: str, reason: str) -> None:
    assert errors_of(good(text=text)) == [("/documents/0/text", reason)]
    assert errors_of(good(title=text)) == [("/documents/0/title", reason)]
    assert errors_of(good(source=text)) == [("/documents/0/source", reason)]


def test_titles_and_sources_do_not_turn_the_direction_of_what_is_read() -> None:
    reason = "holds characters that set the direction of writing"
    for turning in ("\u202e", "\u2067"):
        assert errors_of(good(title=f"x{turning}y")) == [("/documents/0/title", reason)]
        assert errors_of(good(source=f"x{turning}y")) == [("/documents/0/source", reason)]
    check_documents([good(title="\u05e9\u05dc\u05d5\u05dd", text="x\u202ey")])


def test_any_script_and_any_white_space_is_text() -> None:
    check_documents([good(text="貸付\r\n\t½ \x0c § 7", title="é", source=None)])


def test_what_is_too_long_names_the_limit() -> None:
    assert errors_of(good(title="t" * 513)) == [("/documents/0/title", "is longer than 512 characters")]
    assert errors_of(good(source="s" * 2049)) == [("/documents/0/source", "is longer than 2,048 characters")]


@pytest.mark.parametrize(
    ("metadata", "pointer"),
    [
        ({"document_id": "x"}, "metadata"),
        ({"": "x"}, "metadata"),
        ({"a b": "x"}, "metadata"),
        ({"_tenant": "x"}, "metadata"),
        ({"1a": "x"}, "metadata"),
        ({"a" * 65: "x"}, "metadata"),
        ({"rate": float("nan")}, "metadata/rate"),
        ({"rate": float("inf")}, "metadata/rate"),
        ({"note": "x" * 1025}, "metadata/note"),
        ({"note": "\x00"}, "metadata/note"),
        ({f"n{number}": number for number in range(33)}, "metadata"),
    ],
)
def test_metadata_is_few_plain_values_under_plain_names(metadata: dict[str, object], pointer: str) -> None:
    assert [where for where, _ in errors_of(good(metadata=metadata))] == [f"/documents/0/{pointer}"]


def test_usual_metadata_passes() -> None:
    check_documents([good(metadata={"year": 2024, "rate": 0.5, "final": True, "kind": "policy", "empty": ""})])


def test_the_second_of_two_equal_ids_is_named() -> None:
    found = errors_of(good("a"), good("b"), good("a"), good("a"))
    assert [pointer for pointer, _ in found] == ["/documents/2/id", "/documents/3/id"]


def test_a_long_list_of_errors_is_cut() -> None:
    assert len(errors_of(*(good(str(number), text="") for number in range(50)))) == MAX_ERRORS


@pytest.mark.parametrize("piece", ["# a\n", "A b. ", "a\n"])
def test_a_text_of_nothing_but_ends_is_refused_for_what_it_would_take(piece: str) -> None:
    text = piece * (MAX_SENTENCES_AND_LINES // piece.count("\n") if "\n" in piece else MAX_SENTENCES_AND_LINES)
    check_documents([good(text=text)])
    assert errors_of(good(text=text + piece)) == [("/documents/0/text", "has more than 200,000 sentences and lines")]


def test_prose_as_long_as_may_be_is_taken() -> None:
    sentence = (
        "The borrower pledges inventory and receivables as collateral\nfor the loan that the lender makes to it. "
    )
    check_documents([good(text=sentence * (5_000_000 // len(sentence)))])
