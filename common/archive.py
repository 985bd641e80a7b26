"""The archive: files that are written once and then stay, such as exported audit events and reports.

It lies in a folder of this machine, or in a bucket of Google's or Amazon's (`gs://`, `s3://`, by fsspec), wherever
ARCHIVE_URL says. A name cannot lead out of it: names are checked before they are used, and in a folder no symbolic
link is followed below it. Nothing is ever written over.
"""

import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from common.once import once
from common.problems import AssistantError, NotFound, Unavailable
from common.settings import InvalidSettings, Settings, settings

MAX_NAME = 256
CONNECT_SECONDS = 5
ANSWER_SECONDS = 30
ATTEMPTS = 2

# Each part begins with a letter or a digit: that leaves out "..", "." and hidden files, ours among them.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class BadName(ValueError):
    """A name that the archive does not use; a mistake of ours, or an attempt to get out of it."""


class AlreadyArchived(AssistantError):
    """A file of that name is there, and stays as it is."""

    type = "/problems/already-archived"
    title = "The archive holds a file of that name already"
    status = HTTPStatus.CONFLICT


class NotArchived(NotFound):
    """There is no file of that name."""

    type = "/problems/not-archived"
    title = "The archive holds no file of that name"


class ArchiveUnavailable(Unavailable):
    """The archive cannot be reached, or refuses us; `__cause__` is what the store said."""

    type = "/problems/archive-unavailable"
    title = "The archive is not available"


class Archive(Protocol):
    """Files by name: letters a-z, digits, `.`, `_`, `-`, in parts separated by `/`, of at most `MAX_NAME` characters.

    All methods raise `ArchiveUnavailable`, and `BadName` for a name that is none.
    """

    def write_new(self, name: str, content: bytes) -> str:
        """Keep `content` as `name`, whole or not at all; where it lies now, for people to read.

        Raises:
            AlreadyArchived: `name` is taken, maybe by a concurrent writer a moment ago.
        """

    def location(self, name: str) -> str:
        """Where `name` lies, or would, for people to read. Nothing is asked for it."""

    def read(self, name: str) -> bytes:
        """What was written as `name`.

        Raises:
            NotArchived: nothing was, or it is deleted.
        """

    def names(self, folder: str = "") -> list[str]:
        """Names of all files below `folder`, or of all there are, in order. Files of other people's are passed over."""

    def delete(self, name: str) -> None:
        """Delete the file `name`; where there is none, that is fine."""


class _Files(Protocol):
    """What is used of fsspec's file systems, which have no types. Paths are BUCKET/KEY."""

    def pipe_file(self, path: str, value: bytes, mode: str) -> object: ...
    def cat_file(self, path: str) -> bytes: ...
    def exists(self, path: str) -> bool: ...
    def find(self, path: str) -> list[str]: ...
    def rm_file(self, path: str) -> object: ...


@once
def archive() -> Archive:
    """This instance's archive.

    Raises:
        InvalidSettings: ARCHIVE_URL cannot be used.
    """
    return archive_for(settings())


def archive_for(settings: Settings) -> Archive:
    """The archive that `settings` describe. Nothing is reached or made until it is used.

    Raises:
        InvalidSettings: as `archive`.
    """
    url = settings.archive_url
    if url is None:
        return FolderArchive(settings.data_dir / "archive")
    scheme, separator, rest = url.partition("://")
    if not separator:
        return FolderArchive(Path(url))
    if scheme == "file" and rest.startswith("/"):
        return FolderArchive(Path(rest))
    bucket, _, prefix = rest.rstrip("/").partition("/")
    if scheme not in {"gs", "s3"} or not _BUCKET.fullmatch(bucket) or (prefix and not _is_name(prefix)):
        raise InvalidSettings("ARCHIVE_URL: must be a folder, file:///FOLDER, gs://BUCKET/PREFIX or s3://BUCKET/PREFIX")
    connect = _google if scheme == "gs" else _amazon
    return BucketArchive(lambda: connect(settings.archive_endpoint), f"{bucket}/{prefix}".rstrip("/"), f"{scheme}://")


def checked(name: str) -> str:
    """`name`, where it is one.

    Raises:
        BadName: it is not; the message does not repeat it.
    """
    if not _is_name(name):
        raise BadName(f"a name in the archive has parts of a-z, 0-9, . _ and - and at most {MAX_NAME} characters")
    return name


def _is_name(name: str) -> bool:
    return len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None


class FolderArchive:
    """An archive in a folder, which is made where it is missing, for its owner alone.

    Each step of a name is opened below the one before and never through a symbolic link, so that nobody can lead it
    elsewhere, not even between a check and its use. The folder itself may be a link.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def write_new(self, name: str, content: bytes) -> str:
        *folders, last = checked(name).split("/")
        with _told(missing=ArchiveUnavailable), self._folder(folders, make=True) as folder:
            _write_new(folder, last, content)
        return self.location(name)

    def location(self, name: str) -> str:
        return str((self._root / checked(name)).absolute())

    def read(self, name: str) -> bytes:
        *folders, last = checked(name).split("/")
        with _told(), self._folder(folders) as folder:
            if not _is_plain_file(last, folder):
                raise NotArchived
            descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
            with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor has no path
                return file.read()

    def names(self, folder: str = "") -> list[str]:
        start = checked(folder).split("/") if folder else []
        found: list[str] = []
        try:
            with _told(), self._folder(start) as opened:
                for parent, _, files, descriptor in os.fwalk(".", dir_fd=opened, onerror=_raised):
                    parts = [*start, *Path(parent).parts]
                    found += ["/".join((*parts, name)) for name in files if _is_plain_file(name, descriptor)]
        except NotArchived:
            return []
        return sorted(filter(_is_name, found))

    def delete(self, name: str) -> None:
        *folders, last = checked(name).split("/")
        with suppress(NotArchived), _told(), self._folder(folders) as folder:
            os.unlink(last, dir_fd=folder)
            os.fsync(folder)

    @contextmanager
    def _folder(self, names: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """A descriptor of the folder below the root by these names, made where `make` says so."""
        if make:
            self._root.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names:
                if make:
                    _make_folder(name, folder)
                above, folder = folder, os.open(name, _OPEN_FOLDER, dir_fd=folder)
                os.close(above)
            yield folder
        finally:
            os.close(folder)


class BucketArchive:
    """An archive in a bucket, below a prefix. The store itself sees to it that nothing is written over."""

    def __init__(self, connect: Callable[[], _Files], root: str, scheme: str) -> None:
        """`connect` makes the client, at first use; `root` is BUCKET or BUCKET/PREFIX."""
        self._files = once(connect)
        self._root = root
        self._scheme = scheme

    def write_new(self, name: str, content: bytes) -> str:
        path = f"{self._root}/{checked(name)}"
        with _told_by_store(missing=ArchiveUnavailable):
            if self._files().exists(path):  # some stores that speak like Amazon's pass over the condition
                raise AlreadyArchived
            self._files().pipe_file(path, content, mode="create")
        return self.location(name)

    def location(self, name: str) -> str:
        return f"{self._scheme}{self._root}/{checked(name)}"

    def read(self, name: str) -> bytes:
        path = f"{self._root}/{checked(name)}"
        with _told_by_store():
            return self._files().cat_file(path)

    def names(self, folder: str = "") -> list[str]:
        below = f"{self._root}/{checked(folder)}" if folder else self._root
        with _told_by_store(missing=ArchiveUnavailable):  # the bucket: a folder without files is none
            found = self._files().find(below)
        relative = (path.removeprefix(f"{self._root}/") for path in found)
        return sorted(filter(_is_name, relative))

    def delete(self, name: str) -> None:
        path = f"{self._root}/{checked(name)}"
        with suppress(NotArchived), _told_by_store():
            self._files().rm_file(path)


def _write_new(folder: int, name: str, content: bytes) -> None:
    """A whole file or none, on the disk when this returns. A link, unlike a rename, replaces nothing."""
    temporary = f".{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE, dir_fd=folder)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    finally:
        os.unlink(temporary, dir_fd=folder)
    os.fsync(folder)


def _make_folder(name: str, folder: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, _FOLDER_MODE, dir_fd=folder)
        os.fsync(folder)


def _is_plain_file(name: str, folder: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:  # deleted since it was listed
        return False


def _raised(error: OSError) -> None:
    raise error


@contextmanager
def _told(missing: type[AssistantError] = NotArchived) -> Iterator[None]:
    """Errors of the operating system, and of stores that use its words, as ours: `missing` for what is not there."""
    try:
        yield
    except FileExistsError as error:
        raise AlreadyArchived from error
    except FileNotFoundError as error:
        raise missing from error
    except OSError as error:
        raise ArchiveUnavailable from error


@contextmanager
def _told_by_store(missing: type[AssistantError] = NotArchived) -> Iterator[None]:
    with _told(missing):
        try:
            yield
        except (OSError, AssistantError):
            raise
        except Exception as error:  # botocore, aiohttp, google.auth, gcsfs: each store has its own
            raise ArchiveUnavailable from error


def bucket_files(scheme: Literal["gs", "s3"], endpoint: str | None) -> object:
    """fsspec's file system of Google's or Amazon's buckets, with the archive's credentials and time limits."""
    return _google(endpoint) if scheme == "gs" else _amazon(endpoint)


def _amazon(endpoint: str | None) -> _Files:
    """Amazon S3, or what speaks like it at `endpoint`, with boto's usual credentials."""
    from s3fs import S3FileSystem  # type: ignore[import-untyped]  # ships no types

    config = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": ANSWER_SECONDS,
        "retries": {"max_attempts": ATTEMPTS},
    }
    return cast("_Files", S3FileSystem(endpoint_url=endpoint, config_kwargs=config, **_UNCACHED))


def _google(endpoint: str | None) -> _Files:
    """Google Cloud Storage, or what speaks like it at `endpoint`, with the application default credentials.

    Over plain http they are not sent: that is a local server. One that does not answer is tried for half a minute.
    """
    # Not the class that `gcsfs` itself gives: that asks another API first, over gRPC and for a minute where it is not
    # there, whether the bucket is of a kind that we have no use for.
    from gcsfs.core import GCSFileSystem  # type: ignore[import-untyped]  # ships no types

    sign_in = "anon" if (endpoint or "").startswith("http://") else "google_default"
    made = GCSFileSystem(
        endpoint_url=endpoint,
        token=sign_in,
        requests_timeout=ANSWER_SECONDS,
        consistency="md5",  # of what arrived: the client marks a file's end by a text that it may itself hold
        **_UNCACHED,
    )
    return cast("_Files", made)


# A client of our own, that asks the store each time: others write to it too.
_UNCACHED: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}  # Any: keyword arguments
