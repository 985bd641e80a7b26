"""Which components there are, by the settings and by given paths, and what the disk's check says."""

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.health import ComponentHealth, HealthChecker, init_health_checker
from common.health_checks import (
    add_checks,
    add_knowledge,
    chroma_folder_check,
    configured_stores,
    disk_check,
    given_stores,
)
from common.health_runs import Fault
from common.settings import Settings, load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DATA_DIR; no setting comes from this machine."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    return data


def components(settings: Settings) -> dict[str, ComponentHealth]:
    checker = HealthChecker(timeout_seconds=5)
    add_checks(checker, configured_stores(settings), settings)
    return dict(checker.report().components)


def test_by_default_everything_is_below_data_dir(folder: Path) -> None:
    stores = configured_stores(load_settings(data_dir=folder))
    assert (stores.database_url, stores.chroma_folder, stores.disk) == (
        f"sqlite:///{folder}/database/loan_collateral.db", folder / "chroma", folder,
    )  # fmt: skip


def test_the_disk_is_that_of_the_database_where_only_that_is_here(folder: Path) -> None:
    settings = load_settings(
        data_dir=folder, database_url="sqlite:////srv/loans/loans.db", chroma_url="http://vectors:8000"
    )
    assert configured_stores(settings).disk == Path("/srv/loans")


def test_with_servers_alone_no_disk_is_looked_at(folder: Path, free_port: int) -> None:
    here = f"127.0.0.1:{free_port}"
    settings = load_settings(data_dir=folder, database_url=f"postgresql://{here}/loans", chroma_url=f"http://{here}")
    assert configured_stores(settings).disk is None
    disk = components(settings)["disk"]
    assert (disk.status, disk.detail) == ("healthy", "nothing is kept on it")


def test_without_gemini_the_embedded_model_answers(folder: Path) -> None:
    gemini = components(load_settings(data_dir=folder))["gemini"]
    assert (gemini.status, gemini.detail) == ("healthy", "not configured")
    assert gemini.facts == {"kind": "embedded", "model": "extractive", "embeddings": "embedded"}


def test_vertex_ai_is_not_checked_and_says_so(folder: Path) -> None:
    gemini = components(load_settings(data_dir=folder, vertex_project="lending"))["gemini"]
    assert (gemini.status, gemini.detail, gemini.facts["kind"]) == ("healthy", "not checked", "vertex ai")


def test_kinds_are_told_even_of_what_is_away(folder: Path, free_port: int) -> None:
    found = components(
        load_settings(
            data_dir=folder, chroma_url=f"http://127.0.0.1:{free_port}", chroma_token="token", gemini_api_key="key",
            gemini_base_url=f"http://127.0.0.1:{free_port}",
        )
    )  # fmt: skip
    assert {name: (one.detail, one.facts.get("kind")) for name, one in found.items()} == {
        "database": ("not there", "sqlite"),
        "vector_index": ("not reachable", "chroma server"),
        "gemini": ("not reachable", "gemini api"),
        "disk": (None, None),
        "cache": ("in memory", "memory"),
    }


def test_of_two_paths_only_what_is_given_is_looked_at(folder: Path) -> None:
    by_database = given_stores(folder / "own.db", None)
    assert (by_database.database_url, by_database.chroma_folder, by_database.disk) == (
        f"sqlite:///{folder}/own.db", None, folder,
    )  # fmt: skip
    assert given_stores(None, folder).disk == folder


def test_a_checker_for_ones_own_database_has_no_vector_index(folder: Path) -> None:
    found = init_health_checker(db_path="own.db").report().components
    assert (found["database"].detail, found["vector_index"].detail) == ("not there", "not configured")


def test_a_checker_for_ones_own_vectors_has_no_database(folder: Path) -> None:
    found = init_health_checker(chromadb_path=folder).report().components
    assert (found["database"].detail, found["vector_index"].detail) == ("not configured", "not there")


def test_a_checker_without_paths_looks_at_what_the_settings_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.health.settings", lambda: load_settings(data_dir=folder))
    assert list(init_health_checker().report().components) == ["database", "vector_index", "gemini", "disk", "cache"]


def test_only_what_has_a_database_has_a_knowledge_base(folder: Path) -> None:
    without, with_one = HealthChecker(timeout_seconds=5), HealthChecker(timeout_seconds=5)
    add_knowledge(without, given_stores(None, folder))
    add_knowledge(with_one, given_stores(folder / "own.db", None))
    assert without.report().components == {}
    assert with_one.report().components["knowledge"].detail == "not there"


def test_a_catalogue_of_chromas_that_can_be_read_is_no_fault(folder: Path, migrated_sqlite: Path) -> None:
    shutil.copyfile(migrated_sqlite, folder / "chroma.sqlite3")
    assert chroma_folder_check(folder)() is None


def test_a_missing_catalogue_is_a_fault(folder: Path) -> None:
    index = components(load_settings(data_dir=folder))["vector_index"]
    assert (index.status, index.detail) == ("unhealthy", "not there")


def test_beside_a_database_server_vectors_are_in_memory_and_nothing_is_on_the_disk(folder: Path) -> None:
    found = components(load_settings(data_dir=folder, database_url="postgresql://user@127.0.0.1:9/loans"))
    index, disk = found["vector_index"], found["disk"]
    assert (index.status, index.detail) == ("healthy", "in memory, from the database")
    assert disk.detail == "nothing is kept on it"


def test_a_disk_with_room_tells_how_much_and_leaves_nothing_behind(folder: Path) -> None:
    finding = disk_check(folder, 1)()
    assert finding is not None
    assert not isinstance(finding, str)
    assert finding.facts["free_mb"] == pytest.approx(shutil.disk_usage(folder).free / 1e6, rel=0.05)
    assert list(folder.iterdir()) == []


def test_a_disk_with_less_than_the_setting_asks_for_is_almost_full(folder: Path) -> None:
    with pytest.raises(Fault, match="almost full") as caught:
        disk_check(folder, 10**12)()
    assert "free_mb" in caught.value.facts


def test_a_folder_that_is_gone_is_not_there(folder: Path) -> None:
    with pytest.raises(Fault, match="not there"):
        disk_check(folder / "gone", 1)()


def test_a_disk_that_takes_no_more_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_options: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("common.health_checks.tempfile", SimpleNamespace(TemporaryFile=full))
    with pytest.raises(Fault, match="cannot be written"):
        disk_check(folder, 1)()
