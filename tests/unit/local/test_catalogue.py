from pathlib import Path

import pytest
from pydantic import ValidationError

from local.catalogue import ROOT, FunctionEntry, load_catalogue, table

ENTRY = FunctionEntry(
    name="query", source=Path("functions/query/main.py"), entry_point="query", paths=("/api/query", "/api/ask"),
    trigger="http", callers="api-key", memory_mb=1024, timeout_seconds=60,
)  # fmt: skip


def test_the_list_in_the_repository_names_sources_that_are_there() -> None:
    entries = load_catalogue()
    assert {"query", "documents"} <= {entry.name for entry in entries}
    assert all((ROOT / entry.source).is_file() for entry in entries)


def test_no_two_functions_share_a_path_or_a_name() -> None:
    entries = load_catalogue()
    paths = [path for entry in entries for path in entry.paths]
    assert len(paths) == len(set(paths))
    assert len(entries) == len({entry.name for entry in entries})


def test_a_function_without_an_entry_point_is_refused(tmp_path: Path) -> None:
    (tmp_path / "functions.json").write_text('{"functions": [{"name": "x"}]}', encoding="utf-8")
    with pytest.raises(ValidationError, match="entry_point"):
        load_catalogue(tmp_path / "functions.json")


def test_the_table_is_aligned() -> None:
    short = ENTRY.model_copy(update={"name": "documents", "paths": ("/",), "timeout_seconds": 300})
    assert table((ENTRY, short)) == (
        "NAME       PATHS                TRIGGER  CALLERS  MEMORY   TIME LIMIT\n"
        "query      /api/query /api/ask  http     api-key  1024 MB  60 s\n"
        "documents  /                    http     api-key  1024 MB  300 s"
    )
