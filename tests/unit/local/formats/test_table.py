from pathlib import Path

import pytest

from local.formats.content import Unreadable
from local.formats.table import read_csv


def written(folder: Path, text: str) -> Path:
    path = folder / "haircuts.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_each_record_is_a_paragraph_that_names_its_columns(tmp_path: Path) -> None:
    path = written(tmp_path, 'Collateral,Haircut %,Note\nCash,0,\nGold,15,"main index,\nor bullion"\n')
    assert read_csv(path, 1_000).text == (
        "Collateral: Cash; Haircut %: 0\n\nCollateral: Gold; Haircut %: 15; Note: main index, or bullion"
    )


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_the_usual_delimiters_are_recognised(tmp_path: Path, delimiter: str) -> None:
    rows = [["asset", "rate"], ["land", "65"], ["home", "85"]]
    path = written(tmp_path, "\n".join(delimiter.join(row) for row in rows))
    assert read_csv(path, 1_000).text == "asset: land; rate: 65\n\nasset: home; rate: 85"


def test_a_single_column_is_read(tmp_path: Path) -> None:
    assert read_csv(written(tmp_path, "asset\nland\n"), 1_000).text == "asset: land"


def test_values_beyond_the_header_and_under_an_empty_name_are_numbered(tmp_path: Path) -> None:
    assert read_csv(written(tmp_path, "a,,c\n1,2,3,4\n"), 1_000).text == "a: 1; column 2: 2; c: 3; column 4: 4"


def test_a_record_that_begins_with_a_hash_is_no_heading(tmp_path: Path) -> None:
    assert read_csv(written(tmp_path, "# of units,kind\n4,multifamily\n"), 1_000).text == (
        "\\# of units: 4; kind: multifamily"
    )


@pytest.mark.parametrize("text", ["a,b\n", "\n\n", "a,b\n,\n\n"])
def test_a_header_alone_holds_nothing(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unreadable, match=r"^no records under its header$"):
        read_csv(written(tmp_path, text), 1_000)


def test_a_quote_that_never_closes_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"^not CSV: unexpected end of data$"):
        read_csv(written(tmp_path, 'a,b\n1,"2\n'), 1_000)


def test_long_column_names_count_with_every_record(tmp_path: Path) -> None:
    path = written(tmp_path, "x" * 90 + "\n" + "1\n" * 20)  # 130 characters, but 20 times 93 as records
    with pytest.raises(Unreadable, match=r"^too large: more than 1,000 characters"):
        read_csv(path, 1_000)
