"""Real files, made by reportlab."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from reportlab.lib.pdfencrypt import StandardEncryption  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from local.formats.content import Unreadable
from local.formats.pdf import read_pdf

LIMIT = 100_000
FULL = "The supervisory limit for raw land is 65 percent of the value of the land that secures it"  # a line's width


def made(folder: Path, pages: Sequence[Sequence[str]], *, title: str = "", bookmarks: dict[str, int] | None = None,
         encrypt: object = None) -> Path:  # fmt: skip
    path = folder / "policy.pdf"
    canvas = Canvas(str(path), encrypt=encrypt)
    canvas.setTitle(title)
    for lines in pages:
        for number, line in enumerate(lines):
            canvas.drawString(72, 800 - 14 * number, line)
            if bookmarks and line in bookmarks:
                canvas.bookmarkPage(line)
                canvas.addOutlineEntry(line, line, bookmarks[line])
        canvas.showPage()
    canvas.save()
    return path


def test_lines_become_paragraphs_and_cut_words_whole(tmp_path: Path) -> None:
    lines = [
        f"{FULL}, and it is one for the lender, not for the borr-",
        "ower. A loan above it is possible.",
        "Loans to non-",
        "Federal bodies of 2019-",
        "2020 are exempt.",
        "The notice states:",
        "(a) the action taken;",
        "(b) the reasons; and",
        "(c) the agency.",
    ]
    assert read_pdf(made(tmp_path, [lines]), LIMIT).text == (
        f"{FULL}, and it is one for the lender, not for the borrower. A loan above it is possible.\n\n"
        "Loans to non-Federal bodies of 2019-2020 are exempt.\n\n"
        "The notice states:\n\n(a) the action taken;\n\n(b) the reasons; and\n\n(c) the agency."
    )


def test_a_paragraph_goes_on_over_the_page_and_running_heads_do_not_come_between(tmp_path: Path) -> None:
    pages = [["Lending policy", f"{FULL},", f"{FULL} as of page {page},", f"Page {page} of 4"] for page in range(1, 5)]
    text = read_pdf(made(tmp_path, pages), LIMIT).text
    assert text == " ".join(f"{FULL}, {FULL} as of page {page}," for page in range(1, 5))


def test_a_line_that_equals_a_running_head_stays_where_it_is_text(tmp_path: Path) -> None:
    pages = [["Lending policy", FULL, FULL, FULL, "Lending policy", FULL, FULL, f"{page}."] for page in range(1, 4)]
    assert read_pdf(made(tmp_path, pages), LIMIT).text.count("Lending policy") == 3


def test_a_number_at_the_edge_of_a_short_file_is_kept(tmp_path: Path) -> None:
    assert read_pdf(made(tmp_path, [[f"{FULL}.", "raw land", "65"]]), LIMIT).text == f"{FULL}.\n\nraw land\n\n65"


def test_bookmarks_are_headings_and_the_properties_title_is_the_title(tmp_path: Path) -> None:
    lines = ["Limits", "Raw land", FULL + ".", "Land development", FULL + "."]
    path = made(
        tmp_path, [lines], title="Lending policy", bookmarks={"Limits": 0, "Raw land": 1, "Land development": 1}
    )
    content = read_pdf(path, LIMIT)
    assert content.text == f"# Limits\n\n## Raw land\n\n{FULL}.\n\n## Land development\n\n{FULL}."
    assert content.title == "Lending policy"


def test_a_bookmark_without_words_is_no_heading(tmp_path: Path) -> None:
    assert read_pdf(made(tmp_path, [[FULL, " ", FULL]], bookmarks={" ": 0}), LIMIT).text == f"{FULL}\n\n{FULL}"


@pytest.mark.parametrize("title", ["", "untitled", "Microsoft Word - policy v3.docx", "Document1", "x" * 301])
def test_a_title_that_a_program_left_there_is_none(tmp_path: Path, title: str) -> None:
    assert read_pdf(made(tmp_path, [[FULL]], title=title), LIMIT).title is None


def test_a_line_that_begins_with_a_hash_is_no_heading(tmp_path: Path) -> None:
    assert read_pdf(made(tmp_path, [["# of units is four."]]), LIMIT).text == "\\# of units is four."


def test_a_file_that_needs_a_password_is_named(tmp_path: Path) -> None:
    path = made(tmp_path, [[FULL]], encrypt=StandardEncryption("secret", "owner", strength=128))
    with pytest.raises(Unreadable, match=r"^encrypted: it needs a password$"):
        read_pdf(path, LIMIT)


def test_a_file_that_only_restricts_printing_is_read(tmp_path: Path) -> None:
    path = made(tmp_path, [[FULL]], encrypt=StandardEncryption("", "owner", canPrint=0, strength=128))
    assert read_pdf(path, LIMIT).text == FULL


def test_a_scanned_page_has_no_text(tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    canvas = Canvas(str(path))
    canvas.rect(10, 10, 400, 400, fill=1)
    canvas.showPage()
    canvas.save()
    with pytest.raises(Unreadable, match=r"^no text in it: scanned pages need text recognition first$"):
        read_pdf(path, LIMIT)


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"^too large: more than 1,000 characters of text$"):
        read_pdf(made(tmp_path, [[FULL] * 5] * 5), 1_000)
