"""`loancheck backup FILE` and `loancheck restore FILE`: the database of one machine, while functions use it.

A backup is the SQLite file as it was at one moment, compressed: gzip's checksum tells a copy that was damaged. What can
be made again is not in it, as vectors are from the database; nor is the key-encryption key, for with both in one place
nothing would be sealed any more; nor the archive, whose files never change and can be copied as they are.
"""

import errno
import gzip
import os
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from common.database.schema_versions import known_versions, standing
from common.database.sqlite_codes import primary_code
from common.health_database import sqlite_file
from common.security.key_encryption import DEFAULT_FILE, key_encryption_keys
from common.settings import InvalidSettings, Settings, settings
from local.printable import on_one_line, printable
from local.refusal import Refused

KEY_IS_MISSING = 1
_MB = 1_000_000
_LOGS = ("-wal", "-shm")  # SQLite's own files beside a database
_NO_WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a backup holds: its schema's version, and the names of the keys that its data keys are wrapped with."""

    version: str
    wrapped_by: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """`kept` is where the database is that was there before; `missing` are keys that the settings do not name."""

    content: Content
    kept: Path | None
    missing: Sequence[str]


def backup_command(
    file: Annotated[Path, typer.Argument(help="The new file, as backup.db.gz.", metavar="FILE")],
) -> None:
    """Write the database of this machine into a new file; functions go on meanwhile.

    Exit code 0: done. 2: it could not be.
    """
    here = settings()
    content = backup(_database(here), file)
    size = f"{file.stat().st_size / _MB:.1f} MB"
    typer.echo(printable(f"Backed up schema version {content.version} into {file}, {size}."))
    typer.echo(printable(f"Not in it, and needed to read it: the key {_key_place(here)}. Keep it elsewhere."))
    if here.archive_url is None:
        typer.echo(printable(f"Not in it: the archive {here.data_dir / 'archive'}, whose files can be copied."))


def restore_command(
    file: Annotated[Path, typer.Argument(help="What loancheck backup has written.", metavar="FILE")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where a database is; it is kept beside the new one.")
    ] = False,
) -> None:
    """Put a backup in the place of this machine's database, whole or not at all. Stop all functions before.

    Exit code 0: done. 1: done, and the key that it needs is not here. 2: nothing was changed.
    """
    here = settings()
    done = restore(file, _database(here), here, may_replace=replace)
    typer.echo(printable(f"Restored schema version {done.content.version} from {file}."))
    if done.kept is not None:
        typer.echo(printable(f"The database that was there is kept: {done.kept}"))
    if done.content.version != known_versions()[-1]:
        typer.echo("The next start brings its schema up, or loancheck migrate.")
    if done.missing:
        words = f"its keys were wrapped by {', '.join(done.missing)}, which is not {_key_place(here)}: "
        typer.echo("loancheck: " + on_one_line(words + "put that key there before anything is started"), err=True)
        raise typer.Exit(KEY_IS_MISSING)


def backup(database: Path, file: Path) -> Content:
    """Write what `database` holds at this moment into the new `file`, which only its owner may read.

    Raises:
        Refused: there is no database, or it is damaged; `file` is there already, or cannot be written.
    """
    if not database.is_file():
        raise Refused(f"{database}: there is no database to back up")
    if file.exists():
        raise Refused(f"{file}: is there already, and nothing is written over")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=file.parent) as folder:
            copy, packed = Path(folder) / "copy.db", Path(folder) / "copy.db.gz"
            _copy(database, copy)
            content = _content(copy, name=database)
            with packed.open("xb") as target, gzip.GzipFile(filename="", fileobj=target, mode="wb") as compressing:
                packed.chmod(0o600)
                with copy.open("rb") as source:
                    shutil.copyfileobj(source, compressing)
            _sync(packed)
            packed.replace(file)
            _sync(file.parent)
    except OSError as error:
        raise Refused(f"{file}: cannot be written ({error.strerror})") from None
    return content


def restore(file: Path, database: Path, settings: Settings, *, may_replace: bool) -> Restored:
    """Put what is in `file` in the place of `database`; until it is whole and checked nothing is changed.

    Raises:
        Refused: `file` is no backup, damaged or of a newer program; a database is there and may not be replaced, or is
            in use; or it cannot be written.
    """
    if not file.is_file():
        raise Refused(f"{file}: no such file")
    log = database.with_name(database.name + _LOGS[0])  # all that a new database holds may still be there
    is_there = any(path.exists() and path.stat().st_size for path in (database, log))
    if is_there and not may_replace:
        raise Refused(f"{database}: there is a database already; --replace keeps it beside the restored one")
    try:
        database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=database.parent) as folder:
            copy = Path(folder) / "copy.db"
            _unpack(file, copy)
            content = _content(copy, name=file)
            _check_version(copy, content, file)
            _sync(copy)
            kept = _put_aside(database) if is_there else None
            copy.replace(database)
            _sync(database.parent)
    except OSError as error:
        raise Refused(f"{database}: cannot be written ({error.strerror})") from None
    known = _key_names(settings)
    missing = [name for name in content.wrapped_by if name not in known]
    return Restored(content=content, kept=kept, missing=missing)


def _database(settings: Settings) -> Path:
    file = sqlite_file(settings.database_location())
    if file is None:
        raise Refused("DATABASE_URL: is not SQLite; PostgreSQL is backed up by pg_dump (docs/backup_guide.md)")
    return file


def _copy(database: Path, copy: Path) -> None:
    """In one step: SQLite's readers see one state, and in its WAL mode hold nobody up."""
    with _opened(database, name=database) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


def _unpack(file: Path, copy: Path) -> None:
    try:
        with gzip.open(file) as source, copy.open("xb") as target:
            copy.chmod(0o600)
            shutil.copyfileobj(source, target)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise Refused(f"{file}: is no backup, or a damaged one") from None


def _content(copy: Path, *, name: Path) -> Content:
    """
    Raises:
        Refused: it is no database of ours, or damaged.
    """
    with _opened(copy, name=name) as connection:
        if connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise Refused(f"{name}: is damaged")
        if not _has_table(connection, "alembic_version"):
            raise Refused(f"{name}: holds no database of this product")
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        query = "SELECT DISTINCT wrapped_by FROM data_keys ORDER BY wrapped_by"
        wrapped_by = connection.execute(query).fetchall() if _has_table(connection, "data_keys") else []
    return Content(version=version[0] if version else "none", wrapped_by=[row[0] for row in wrapped_by])


def _check_version(copy: Path, content: Content, file: Path) -> None:
    with _opened(copy, name=file) as connection:
        stated = _has_table(connection, "schema_support")
        row = connection.execute("SELECT oldest_program FROM schema_support").fetchone() if stated else None
    if standing(content.version, row[0] if row else None) == "too new":
        newest = known_versions()[-1]
        raise Refused(
            f"{file}: is of schema version {content.version}, and this program knows versions up to {newest}: "
            "restore it by the newer program"
        )


def _put_aside(database: Path) -> Path:
    """Keep `database` under another name too; where it is whole, without logs beside it."""
    try:
        with closing(sqlite3.connect(database, timeout=_NO_WAIT_SECONDS)) as connection:
            # Refused as long as any other process has it open.
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if primary_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise Refused(f"{database}: is in use; stop what uses it first") from None
        raise _refused(error, name=database) from None
    except sqlite3.DatabaseError:  # damaged, which may be why a backup is wanted
        pass
    kept = database.with_name(f"{database.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    os.link(database, kept)
    for suffix in _LOGS:  # one of the old database must not meet the new one
        log = database.with_name(database.name + suffix)
        if log.exists():
            log.rename(kept.with_name(kept.name + suffix))
    return kept


@contextmanager
def _opened(database: Path, *, name: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise _refused(error, name=name) from None


def _refused(error: sqlite3.DatabaseError, *, name: Path) -> OSError | Refused:
    """What to raise for it: a full disk is a matter of where something is written, and told as one."""
    if primary_code(error) == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return Refused(f"{name}: cannot be read as a database ({error.sqlite_errorname})")


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE name = ?"
    return bool(connection.execute(query, (name,)).fetchone()[0])


def _key_names(settings: Settings) -> Sequence[str]:
    """Of the keys that are here; none is made."""
    try:
        return [key.name for key in key_encryption_keys(settings, is_new=lambda: False)]
    except InvalidSettings:
        return []


def _key_place(settings: Settings) -> str:
    return settings.kms_key or str(settings.key_file or settings.data_dir / DEFAULT_FILE)


def _sync(path: Path) -> None:
    """Onto the disk, for a file's or a folder's own sake."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
