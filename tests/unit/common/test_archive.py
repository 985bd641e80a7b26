"""The archive: the same promises in a folder and in buckets, and no name that leads out of it."""

import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import archive as archive_module
from common.archive import (
    MAX_NAME,
    AlreadyArchived,
    Archive,
    ArchiveUnavailable,
    BadName,
    BucketArchive,
    FolderArchive,
    NotArchived,
    archive,
    archive_for,
    checked,
)
from common.settings import InvalidSettings, load_settings, settings
from tests.amazon_storage import amazon_storage, empty_bucket
from tests.google_storage_server import GoogleStorage, google_storage

BAD_NAMES = [
    "", "/", "/etc/passwd", "..", "../x", "a/../../x", "a/..", ".", "./a", "a/./b", "a//b", "a/", "a\\..\\b", "a\0b",
    "a\nb", "%2e%2e/x", "a/%2e%2e/x", ".hidden", "a/.hidden", "-flag", "Upper", "ä", "a b", "a?x=1", "a#b", "a*",
    "\uff0e\uff0e/x", "c:/x", "gs://other/x", "a\u2215b", "file\n", "~root", "x" * (MAX_NAME + 1),
]  # fmt: skip


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of moto's server."""
    with amazon_storage() as url:
        yield url


@pytest.fixture
def amazon(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """As `s3_server`, with credentials in the environment and an empty bucket `examples`."""
    empty_bucket(s3_server, monkeypatch)
    return s3_server


@pytest.fixture
def google() -> Iterator[GoogleStorage]:
    with google_storage("examples") as storage:
        yield storage


@pytest.fixture(params=["folder", "gs", pytest.param("s3", marks=pytest.mark.servers)])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    """An empty archive; a test that asks for it runs once for each kind."""
    if request.param == "folder":
        return archive_for(load_settings(archive_url=str(tmp_path / "archive")))
    url = request.getfixturevalue("amazon") if request.param == "s3" else request.getfixturevalue("google").url
    return archive_for(load_settings(archive_url=f"{request.param}://examples/pre/fix", archive_endpoint=url))


def test_what_is_written_can_be_read(kept: Archive) -> None:
    where = kept.write_new("audit/a.jsonl", b"\0one\r\n\n--\n")
    assert where.endswith("/audit/a.jsonl")
    assert where == kept.location("audit/a.jsonl")
    assert kept.read("audit/a.jsonl") == b"\0one\r\n\n--\n"


def test_nothing_is_written_over(kept: Archive) -> None:
    kept.write_new("audit/a.jsonl", b"one")
    with pytest.raises(AlreadyArchived):
        kept.write_new("audit/a.jsonl", b"two")
    assert kept.read("audit/a.jsonl") == b"one"


def test_of_two_that_write_at_once_one_is_told_so(kept: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(kept, BucketArchive):  # both have looked, and seen nothing there
        monkeypatch.setattr(kept._files(), "exists", lambda path: False)
    begin = threading.Barrier(4)

    def work(content: bytes) -> bytes | None:
        begin.wait()
        try:
            kept.write_new("audit/a.jsonl", content)
        except AlreadyArchived:
            return None
        return content

    with ThreadPoolExecutor(4) as pool:
        written = list(filter(None, pool.map(work, [b"1", b"2", b"3", b"4"])))
    assert written == [kept.read("audit/a.jsonl")]


def test_names_are_those_below_a_folder_in_order(kept: Archive) -> None:
    assert kept.names() == []
    assert kept.names("audit") == []
    for name in ("audit/b", "audit/a", "audit/more/c", "auditing/d", "e"):
        kept.write_new(name, b"")
    assert kept.names("audit") == ["audit/a", "audit/b", "audit/more/c"]
    assert kept.names() == ["audit/a", "audit/b", "audit/more/c", "auditing/d", "e"]


def test_what_another_one_writes_is_seen(kept: Archive, tmp_path: Path) -> None:
    kept.names("audit")
    kept.write_new("audit/a", b"")
    assert kept.names("audit") == ["audit/a"]
    kept.delete("audit/a")
    assert kept.names("audit") == []


def test_what_is_not_there_cannot_be_read_and_need_not_be_deleted(kept: Archive) -> None:
    with pytest.raises(NotArchived):
        kept.read("audit/a")
    kept.delete("audit/a")
    kept.write_new("audit/a", b"one")
    kept.delete("audit/a")
    with pytest.raises(NotArchived):
        kept.read("audit/a")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_none_is_refused_by_every_method(tmp_path: Path, name: str) -> None:
    for kept in (
        FolderArchive(tmp_path / "archive"),
        BucketArchive(lambda: pytest.fail("asked the store"), "bucket", "s3://"),
    ):
        with pytest.raises(BadName):
            kept.write_new(name, b"")
        with pytest.raises(BadName):
            kept.read(name)
        with pytest.raises(BadName):
            kept.delete(name)
        if name:
            with pytest.raises(BadName):
                kept.names(name)
    assert list(tmp_path.iterdir()) == []


@given(name=st.one_of(st.text(max_size=40), st.from_regex(r"[a./\\%0-]{1,12}", fullmatch=True)))
def test_a_name_never_leads_out_of_a_folder(name: str) -> None:
    try:
        path = checked(name)
    except BadName:
        return
    assert os.path.normpath(f"/archive/{path}") == f"/archive/{path}"


def test_the_refusal_of_a_name_does_not_repeat_it() -> None:
    with pytest.raises(BadName) as refused:
        checked("../jane@example.com")
    assert "jane" not in str(refused.value)


# In a folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "made" / "archive"


def test_a_folder_is_for_its_owner_alone(root: Path) -> None:
    FolderArchive(root).write_new("audit/a", b"one")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (root, root / "audit", root / "audit" / "a")]
    assert modes == [0o700, 0o700, 0o600]


def test_where_writing_fails_nothing_is_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = FolderArchive(root)
    kept.write_new("audit/a", b"one")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(ArchiveUnavailable):
        kept.write_new("audit/b", b"two")
    assert list((root / "audit").iterdir()) == [root / "audit" / "a"]


def test_a_symbolic_link_to_a_folder_is_not_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("not yours")
    kept = FolderArchive(root)
    kept.write_new("a", b"")
    (root / "audit").symlink_to(outside)
    with pytest.raises(ArchiveUnavailable):
        kept.write_new("audit/new", b"")
    with pytest.raises(ArchiveUnavailable):
        kept.read("audit/secret")
    with pytest.raises(ArchiveUnavailable):
        kept.delete("audit/secret")
    with pytest.raises(ArchiveUnavailable):
        kept.names("audit")
    assert kept.names() == ["a"]
    assert list(outside.iterdir()) == [outside / "secret"]


def test_a_symbolic_link_to_a_file_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not yours")
    kept = FolderArchive(root)
    kept.write_new("a", b"")
    (root / "b").symlink_to(tmp_path / "secret")
    with pytest.raises(NotArchived):
        kept.read("b")
    with pytest.raises(AlreadyArchived):
        kept.write_new("b", b"mine")
    assert kept.names() == ["a"]
    kept.delete("b")
    assert (tmp_path / "secret").read_text() == "not yours"


def test_what_is_no_file_is_passed_over(root: Path) -> None:
    kept = FolderArchive(root)
    kept.write_new("a", b"")
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    (root / "Other File").write_text("")
    (root / ".hidden").write_text("")
    assert kept.names() == ["a"]
    for name in ("pipe", "folder"):
        with pytest.raises(NotArchived):
            kept.read(name)


def test_a_file_that_goes_while_it_is_listed_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = FolderArchive(root)
    kept.write_new("a", b"")
    listed = os.fwalk

    def then_gone(*args: Any, **kwargs: Any) -> Iterator[Any]:  # Any: as os.fwalk
        for found in listed(*args, **kwargs):
            (root / "a").unlink()
            yield found

    monkeypatch.setattr(os, "fwalk", then_gone)
    assert kept.names() == []


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = FolderArchive(root)
    kept.write_new("audit/a", b"")

    def refuse(*_: object, onerror: Any, **__: object) -> Iterator[Any]:
        onerror(PermissionError(13, "Permission denied"))
        yield from ()

    monkeypatch.setattr(os, "fwalk", refuse)
    with pytest.raises(ArchiveUnavailable):
        kept.names()


def test_a_folder_below_a_file_cannot_be_made(root: Path) -> None:
    kept = FolderArchive(root)
    kept.write_new("audit", b"")
    with pytest.raises(ArchiveUnavailable):
        kept.write_new("audit/a", b"")


# In a bucket


@pytest.mark.servers
def test_a_bucket_of_amazon_that_is_not_there_is_no_empty_archive(amazon: str) -> None:
    missing_bucket(archive_for(load_settings(archive_url="s3://missing", archive_endpoint=amazon)))


def test_a_bucket_of_google_that_is_not_there_is_no_empty_archive(google: GoogleStorage) -> None:
    missing_bucket(archive_for(load_settings(archive_url="gs://missing/a", archive_endpoint=google.url)))


def missing_bucket(kept: Archive) -> None:
    with pytest.raises(ArchiveUnavailable):
        kept.names()
    with pytest.raises(ArchiveUnavailable):
        kept.write_new("a", b"")


@pytest.mark.usefixtures("amazon")
@pytest.mark.servers
def test_a_store_that_cannot_be_reached_is_unavailable(free_port: int) -> None:
    kept = archive_for(load_settings(archive_url="s3://examples", archive_endpoint=f"http://127.0.0.1:{free_port}"))
    with pytest.raises(ArchiveUnavailable) as refused:
        kept.names()
    assert "127.0.0.1" not in str(refused.value)
    with pytest.raises(ArchiveUnavailable):
        kept.write_new("a", b"")


def test_a_file_that_did_not_arrive_whole_is_told(google: GoogleStorage) -> None:
    kept = archive_for(load_settings(archive_url="gs://examples", archive_endpoint=google.url))
    with pytest.raises(ArchiveUnavailable):
        kept.write_new("a", b"one\n--==0==\ntwo")


def test_over_plain_http_nobody_signs_in_to_google(google: GoogleStorage) -> None:
    archive_for(load_settings(archive_url="gs://examples", archive_endpoint=google.url)).write_new("a", b"")
    assert set(google.authorizations) == {""}


def test_google_is_signed_in_to_with_the_default_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("gcsfs.core.GCSFileSystem", lambda **given: asked.append(given))
    archive_module._google(None)
    assert (asked[0]["token"], asked[0]["endpoint_url"]) == ("google_default", None)


# Which it is


@pytest.mark.parametrize(
    ("url", "root"), [("/var/archive", "/var/archive"), ("file:///var/archive", "/var/archive"), ("archive", "archive")]
)
def test_a_folder_may_be_given_as_path_or_url(url: str, root: str) -> None:
    made = archive_for(load_settings(archive_url=url))
    assert isinstance(made, FolderArchive)
    assert made._root == Path(root)


def test_without_a_url_it_lies_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    settings.cache_clear()
    archive.cache_clear()
    try:
        assert archive().write_new("a", b"") == str(tmp_path / "archive" / "a")
    finally:
        settings.cache_clear()
        archive.cache_clear()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "memory://x",
        "gs://",
        "s3://B",
        "s3://bucket/../other",
        "gs://user:secret@bucket",
        "file://host/x",
    ],
)
def test_what_is_no_archive_is_named_without_its_text(url: str) -> None:
    with pytest.raises(InvalidSettings, match="ARCHIVE_URL") as refused:
        archive_for(load_settings(archive_url=url))
    assert "secret" not in str(refused.value)
