import os
from pathlib import Path

import pytest

from local.formats.content import Unreadable
from local.readers import can_read, read_document


def read(path: Path, content: str | bytes, limit: int = 10_000) -> object:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_document(path, document_id="a/b", max_characters=limit)


def test_a_file_becomes_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "---\nsource: 12 CFR 34\ntopic: ltv\n---\n\n# Raw land\n\n65 %.\n\n", encoding="utf-8"
    )
    document = read_document(tmp_path / "a.md", document_id="rules/a", max_characters=1_000)
    assert (document.id, document.title, document.source) == ("rules/a", "Raw land", "12 CFR 34")
    assert (document.text, document.metadata) == ("# Raw land\n\n65 %.", {"topic": "ltv"})


@pytest.mark.parametrize(("name", "title"), [("raw_land-2026.txt", "raw land 2026"), ("--.txt", "--")])
def test_without_another_title_it_is_the_file_s_name(tmp_path: Path, name: str, title: str) -> None:
    (tmp_path / name).write_text("65 %", encoding="utf-8")
    assert read_document(tmp_path / name, document_id="a", max_characters=1_000).title == title


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.md", "", "empty"),
        ("a.md", " \n\t\n", "empty"),
        ("a.md", "---\ntitle: Only front matter\n---\n", "empty"),
        ("a.html", "<html><script>x()</script></html>", "empty"),
        ("a.txt", b"a\0b", "binary, not text"),
        ("a.txt", "Grundstück".encode("latin-1"), "not UTF-8 text"),
        ("a.md", "x" * 10_001, "too large: more than 10,000 characters of text"),
        ("a.pdf", "no PDF at all", "damaged: it does not parse as .pdf (PdfStreamError)"),
        ("a.pdf", b"%PDF-1.7\n1 0 obj\n<<", "damaged: it does not parse as .pdf (PdfStreamError)"),
        ("a.pdf", b"", "empty"),
        ("a.docx", "no package", "not a .docx file, or protected by a password"),
        ("a.csv", "a,b\n", "no records under its header"),
        ("a.exe", "MZ", "a .exe format; readable are .md .txt .html .pdf .docx .csv"),
        ("README", "text", "a nameless format; readable are .md .txt .html .pdf .docx .csv"),
    ],
)
def test_a_file_that_gives_no_document_says_why(tmp_path: Path, name: str, content: str | bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(tmp_path / name, content)
    assert str(refused.value) == reason


def test_a_package_that_holds_no_document_is_damaged(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.docx", "w") as package:
        package.writestr("note.txt", "no document")
    with pytest.raises(Unreadable, match=r"^damaged: it does not parse as \.docx \(KeyError\)$"):
        read_document(tmp_path / "a.docx", document_id="a", max_characters=1_000)


def test_what_the_system_says_about_a_file_is_the_reason(tmp_path: Path) -> None:
    (tmp_path / "loop.md").symlink_to(tmp_path / "loop.md")
    with pytest.raises(Unreadable, match=r"^Too many levels of symbolic links$"):
        read_document(tmp_path / "loop.md", document_id="a", max_characters=1_000)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text", encoding="utf-8")
    (tmp_path / "a.md").chmod(0)
    with pytest.raises(Unreadable, match=r"^Permission denied$"):
        read_document(tmp_path / "a.md", document_id="a", max_characters=1_000)


def test_suffixes_are_known_in_any_case() -> None:
    assert can_read(Path("A.PDF"))
    assert not can_read(Path("a.doc"))
