"""Real files, made by python-docx."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from docx import Document
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from local.formats.content import Unreadable
from local.formats.word import read_docx
from tests.fuzz.documents import repacked

LIMIT = 100_000


def xml(source: str) -> object:
    return parse_xml(
        source.replace("<w:p>", f"<w:p {nsdecls('w')}>", 1).replace("<w:sdt>", f"<w:sdt {nsdecls('w')}>", 1)
    )


def test_headings_lists_and_tables_keep_their_structure(tmp_path: Path) -> None:
    document = Document()
    document.add_heading("Lending policy", 0)
    document.add_heading("Limits", 1)
    document.add_paragraph("Raw land: 65 %.\nSupervisory.")
    document.add_heading("Not covered", 2)
    document.add_paragraph("boats", style="List Bullet")
    document.add_paragraph("art", style="List Number")
    document.add_paragraph("")
    table = document.add_table(rows=3, cols=2)
    for cell, words in zip(
        (cell for row in table.rows for cell in row.cells),
        ["# category", "limit", "raw\nland", "65", "", ""],
        strict=True,
    ):
        cell.text = words
    document.add_paragraph("# of units matters.")
    document.save(str(tmp_path / "policy.docx"))

    content = read_docx(tmp_path / "policy.docx", LIMIT)
    assert content.text == (
        "# Lending policy\n\n# Limits\n\nRaw land: 65 %.\nSupervisory.\n\n## Not covered\n\n- boats\n- art\n\n"
        "\\# category | limit\nraw land | 65\n\n\\# of units matters."
    )
    assert content.title == "Lending policy"


def test_without_a_heading_the_properties_title_is_the_title(tmp_path: Path) -> None:
    document = Document()
    document.core_properties.title = "Appraisal manual"
    document.add_paragraph("Text")
    document.save(str(tmp_path / "a.docx"))
    assert read_docx(tmp_path / "a.docx", LIMIT).title == "Appraisal manual"


def test_inserted_text_links_and_content_controls_count_and_deleted_text_does_not(tmp_path: Path) -> None:
    document = Document()
    body = document.element.body
    body.insert(0, xml(
        "<w:p><w:r><w:t>The limit</w:t></w:r><w:ins><w:r><w:tab/><w:t>is 65 %</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>is 70 %</w:delText></w:r></w:del>"
        "<w:hyperlink><w:r><w:br/><w:t>(12 CFR 34)</w:t></w:r></w:hyperlink></w:p>"
    ))  # fmt: skip
    body.insert(1, xml("<w:sdt><w:sdtContent><w:p><w:r><w:t>In a control.</w:t></w:r></w:p></w:sdtContent></w:sdt>"))
    body.insert(2, xml(
        "<w:p><w:r><w:t>Beside a box.</w:t><w:pict><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p>"
        "</w:txbxContent></w:pict></w:r></w:p>"
    ))  # fmt: skip
    document.save(str(tmp_path / "a.docx"))
    assert (
        read_docx(tmp_path / "a.docx", LIMIT).text == "The limit is 65 %\n(12 CFR 34)\n\nIn a control.\n\nBeside a box."
    )


def test_what_is_no_package_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512))  # Word 97, and any document with a password
    with pytest.raises(Unreadable, match=r"^not a \.docx file, or protected by a password$"):
        read_docx(path, LIMIT)


def test_a_packed_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package, package.open("word/document.xml", "w") as part:
        for _ in range(10):
            part.write(b" " * 1_000_000)
    with pytest.raises(Unreadable, match=r"^too large"):
        read_docx(path, LIMIT)


def test_long_text_is_too_large(tmp_path: Path) -> None:
    document = Document()
    for _ in range(200):
        document.add_paragraph("collateral " * 100)
    packed = io.BytesIO()
    document.save(packed)
    (tmp_path / "a.docx").write_bytes(packed.getvalue())
    with pytest.raises(Unreadable, match=r"^too large: more than 100,000 characters of text$"):
        read_docx(tmp_path / "a.docx", LIMIT)


@pytest.mark.parametrize("name", ["word/_rels/document.xml.rels", "word/image.png", "word/document.bin"])
def test_what_is_packed_small_counts_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.docx"
    path.write_bytes(repacked({}, {name: 10}))
    with pytest.raises(Unreadable, match=r"^too large: more than 100,000 characters of text$"):
        read_docx(path, LIMIT)


def test_a_picture_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "picture.docx"
    path.write_bytes(repacked({"word/image.png": os.urandom(5_000_000)}))
    assert "A lien is a claim" in read_docx(path, LIMIT).text
