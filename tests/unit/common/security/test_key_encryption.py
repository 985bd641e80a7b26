"""The key-encryption key in a file: made once, whole, for its owner's eyes; and which one the settings choose."""

import multiprocessing
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from common.security import key_encryption
from common.security.key_encryption import CannotOpen, FileKey, key_encryption_keys
from common.settings import InvalidSettings, load_settings
from tests.kms_server import KEY

SECRET = b"a data key of thirty-two bytes.."
NOBODY_ELSE = 0o600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "key-encryption-key"


@pytest.fixture
def any_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def made(path: Path) -> FileKey:
    return FileKey.at(path, made_where_missing=True)


def held(path: Path, content: bytes, mode: int = NOBODY_ELSE) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def name_of_made(path: Path) -> str:
    """For a process of its own."""
    return made(path).name


def test_a_file_that_is_missing_is_made_for_its_owner_alone(any_umask: None, path: Path) -> None:
    made(path)
    assert stat.S_IMODE(path.stat().st_mode) == NOBODY_ELSE
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(path.read_bytes()) == 32
    assert list(path.parent.iterdir()) == [path]


def test_the_key_in_the_file_stays_what_it_is(path: Path) -> None:
    wrapped = made(path).wrap(SECRET, b"context")
    content = path.read_bytes()
    assert made(path).unwrap(wrapped, b"context") == SECRET
    assert path.read_bytes() == content


def test_of_several_processes_that_make_it_at_once_all_get_one_key(path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as processes:
        names = set(processes.map(name_of_made, [path] * 32))
    assert names == {made(path).name}
    assert list(path.parent.iterdir()) == [path]


def test_a_key_that_came_meanwhile_is_not_replaced(path: Path) -> None:
    held(path, bytes(32))
    key_encryption._make(path)
    assert path.read_bytes() == bytes(32)
    assert list(path.parent.iterdir()) == [path]


def test_two_keys_have_two_names_that_do_not_hold_them(tmp_path: Path) -> None:
    one, other = made(tmp_path / "one"), made(tmp_path / "other")
    assert one.name != other.name
    assert one.name.startswith("file:")
    assert (tmp_path / "one").read_bytes().hex() not in one.name


def test_what_is_wrapped_shows_nothing_and_is_never_the_same(path: Path) -> None:
    key = made(path)
    wrapped = {key.wrap(SECRET, b"context") for _ in range(100)}
    assert len(wrapped) == 100
    assert not any(SECRET in one for one in wrapped)


def test_what_was_wrapped_opens_with_its_key_and_context_alone(tmp_path: Path) -> None:
    key = made(tmp_path / "one")
    wrapped = key.wrap(SECRET, b"context")
    other = made(tmp_path / "other")
    for opening, sent, context in (
        (key, wrapped, b"another"),
        (other, wrapped, b"context"),
        (key, wrapped[:-1], b"context"),
        (key, b"", b"context"),
    ):
        with pytest.raises(CannotOpen):
            opening.unwrap(sent, context)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644, 0o777])
def test_a_file_that_others_may_read_or_write_is_refused(path: Path, mode: int) -> None:
    with pytest.raises(InvalidSettings, match=r"^KEY_FILE: others than its owner may read or write it"):
        made(held(path, bytes(32), mode))


def test_a_file_that_its_owner_may_only_read_is_taken(path: Path) -> None:
    made(held(path, bytes(32), 0o400))


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_file_of_another_length_is_refused(path: Path, length: int) -> None:
    with pytest.raises(InvalidSettings, match=r"^KEY_FILE: does not hold a key of 32 bytes$"):
        made(held(path, bytes(length)))


@pytest.mark.parametrize("name", [".", "file/key"])
def test_a_path_where_no_key_can_be_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidSettings, match=r"^KEY_FILE: cannot be read or made \("):
        made(tmp_path / name)


def test_without_settings_the_key_lies_in_the_data_folder(tmp_path: Path) -> None:
    [key] = key_encryption_keys(load_settings(data_dir=tmp_path))
    assert key.name == made(tmp_path / "keys" / "key-encryption-key").name


def test_in_development_a_named_file_is_made_too(path: Path) -> None:
    [key] = key_encryption_keys(load_settings(key_file=path))
    assert key.name == made(path).name


def test_where_the_database_holds_keys_already_no_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^KEY_FILE: there is no such file, and in its place none is made"):
        key_encryption_keys(load_settings(data_dir=tmp_path), is_new=lambda: False)
    assert not (tmp_path / "keys").exists()


def test_in_production_one_of_the_two_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^KMS_KEY, KEY_FILE: in production one of them must be set"):
        key_encryption_keys(load_settings(environment="production", data_dir=tmp_path))
    assert not (tmp_path / "keys").exists()


def test_in_production_a_file_that_is_not_there_is_not_replaced_by_a_new_key(path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^KEY_FILE: there is no such file, and in its place none is made"):
        key_encryption_keys(load_settings(environment="production", key_file=path))
    assert not path.exists()


def test_in_production_a_mounted_file_is_taken(path: Path) -> None:
    [key] = key_encryption_keys(load_settings(environment="production", key_file=held(path, bytes(32), 0o400)))
    assert key.name == FileKey(bytes(32)).name


def test_cloud_kms_is_taken_where_it_is_named() -> None:
    [key] = key_encryption_keys(load_settings(environment="production", kms_key=KEY))
    assert key.name == f"kms:{KEY}"


def test_beside_cloud_kms_a_file_opens_what_it_wrapped_before(path: Path) -> None:
    held(path, bytes(32))
    kms, file = key_encryption_keys(load_settings(kms_key=KEY, key_file=path))
    assert (kms.name, file.name) == (f"kms:{KEY}", FileKey(bytes(32)).name)


def test_beside_cloud_kms_no_file_is_made(path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^KEY_FILE: there is no such file"):
        key_encryption_keys(load_settings(kms_key=KEY, key_file=path))
    assert not path.exists()
