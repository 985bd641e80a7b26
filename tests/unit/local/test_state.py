from collections.abc import Sequence
from pathlib import Path

import pytest

from common.knowledge.store import Document, PutResult
from common.settings import InvalidSettings, load_settings
from local.state import NotWritable, check_settings, check_writable, load
from tests.instance import instance


def test_a_sample_file_that_cannot_be_read_is_logged_and_the_others_are_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.md").write_text("Text", encoding="utf-8")
    (tmp_path / "b.md").write_bytes(b"")

    def put(documents: Sequence[Document]) -> PutResult:
        return PutResult(documents=len(documents), chunks=1, unchanged=0)

    assert load(tmp_path, put, load_settings()).documents == 1
    said = capsys.readouterr().out
    assert "document.unreadable" in said
    assert "b.md" in said


def test_a_folder_is_made_where_it_is_missing(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "data")
    assert list((tmp_path / "new" / "data").iterdir()) == []


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotWritable, match=r"^DATA_DIR=\S+/file/data cannot be written to \(Not a directory\): choose"):
        check_writable(tmp_path / "file" / "data")


@pytest.mark.parametrize(
    ("name", "value"), [("ROI_HOURLY_USD", "-1/2/3"), ("ROI_MINUTES", "knowledge=1/2"), ("BUDGET_FILE", "no-such-file")]
)
def test_a_setting_of_the_costs_that_cannot_be_used_is_named_at_the_start(
    tmp_path: Path, name: str, value: str
) -> None:
    with instance(tmp_path, **{name: value}), pytest.raises(InvalidSettings, match=name):
        check_settings()
