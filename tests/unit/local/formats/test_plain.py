import codecs
import time
from pathlib import Path

import pytest

from local.formats.content import Unreadable
from local.formats.plain import decode, first_heading, read_markdown, read_plain

LIMIT = 10_000


def written(folder: Path, text: str | bytes, name: str = "policy.md") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_front_matter_gives_title_source_and_metadata_and_is_no_part_of_the_text(tmp_path: Path) -> None:
    content = read_markdown(
        written(tmp_path, '---\ntitle: Raw land\nsource: "12 CFR 34"\ntopic: ltv\nyear: 2026\n---\n# Limits\n\n65%.\n'),
        LIMIT,
    )
    assert (content.title, content.source) == ("Raw land", "12 CFR 34")
    assert content.metadata == {"topic": "ltv", "year": "2026"}
    assert content.text == "# Limits\n\n65%.\n"


def test_a_list_and_a_date_in_front_matter_become_text(tmp_path: Path) -> None:
    content = read_markdown(written(tmp_path, "---\ntags: [land, 34]\nread: 2026-11-23\nempty:\n---\nText"), LIMIT)
    assert content.metadata == {"tags": "land, 34", "read": "2026-11-23"}


@pytest.mark.parametrize(
    ("front", "reason"),
    [
        ("title: a: b", "its front matter is no valid YAML in line 2"),
        ("title: [", "its front matter is no valid YAML in line 3"),
        ("limits: {land: 65}", "its front matter's 'limits' is no plain value"),
    ],
)
def test_front_matter_that_cannot_be_used_is_a_reason(tmp_path: Path, front: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        read_markdown(written(tmp_path, f"---\n{front}\n---\nText"), LIMIT)


@pytest.mark.parametrize(
    "text",
    [
        "---\nOnly a rule above prose.\n---\nMore",
        "---\n---\nText",
        "---\ntitle: never closed\n",
        "Text\n---\ntitle: not at the start\n---\n",
    ],
)
def test_rules_around_prose_are_text(tmp_path: Path, text: str) -> None:
    content = read_markdown(written(tmp_path, text), LIMIT)
    assert (content.text, content.source) == (text, None)


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("Intro\n\n## 12 CFR 34.43 Appraisals ##\n", "12 CFR 34.43 Appraisals"),
        ("```\n# a comment in code\n```\n# The heading", "The heading"),
        ("Raw land\n========\n", "Raw land"),
        ("Raw land\n---\n", "Raw land"),
        ("# **LTV** of `land` [limits](https://example.org)", "LTV of land limits"),
        ("# C#", "C#"),
        ("#hashtag\n\n#1 in the list", None),
        ("a | b\n", None),
        ("# \n", None),
        ("", None),
    ],
)
def test_the_title_is_the_first_heading(text: str, heading: str | None) -> None:
    assert first_heading(text) == heading


@pytest.mark.parametrize(
    "raw",
    [
        "80 % – “land”".encode(),
        codecs.BOM_UTF8 + "80 % – “land”".encode(),
        "80 % – “land”".encode("utf-16"),
        codecs.BOM_UTF16_BE + "80 % – “land”".encode("utf-16-be"),
    ],
)
def test_utf_8_and_marked_utf_16_are_read(raw: bytes) -> None:
    assert decode(raw) == "80 % – “land”"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("Grundstück".encode("latin-1"), "not UTF-8 text"),
        ("land".encode("utf-16-le"), "binary, not text"),  # without its mark
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary, not text"),
        (codecs.BOM_UTF16_LE + b"a\0\0\0", "binary, not text"),
        (codecs.BOM_UTF16_LE + b"a", "not UTF-16-LE text"),
    ],
)
def test_other_bytes_are_named(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        decode(raw)


def test_line_ends_of_all_systems_are_one(tmp_path: Path) -> None:
    assert read_plain(written(tmp_path, b"a\r\nb\rc\nd\fe"), LIMIT).text == "a\nb\nc\nd\n\ne"


def test_a_text_of_20_mb_is_refused_without_reading_it_whole(tmp_path: Path) -> None:
    path = written(tmp_path, b"collateral " * 2_000_000)
    with pytest.raises(Unreadable, match=r"^too large: more than 10,000 characters of text$"):
        read_plain(path, LIMIT)


def test_a_line_of_millions_of_characters_is_no_work() -> None:
    started = time.process_time()
    assert first_heading("x" * 2_000_000 + "\n# " + " #" * 500_000 + "*" * 500_000) is not None
    assert time.process_time() - started < 2
