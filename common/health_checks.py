"""Which components a function has, by the settings or by paths given: a line or two each."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common.health import HealthChecker
from common.health_database import database_check, knowledge_check, sqlite_file, sqlite_readable
from common.health_runs import Check, Fault, Finding
from common.settings import Settings

NOT_CONFIGURED = "not configured"
IN_MEMORY = "in memory, from the database"
KEEP_SECONDS = 60.0  # of what costs somebody something: a provider's quota, the database's time

_PROBE = bytes(4_096)
_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where data lies; None: nowhere. `disk` is the folder whose disk holds what is kept here.

    `migrates` is as `database_check` has it.
    """

    database_url: str | None
    chroma_folder: Path | None
    chroma_url: str | None
    disk: Path | None
    migrates: bool | None


def configured_stores(settings: Settings) -> Stores:
    url = settings.database_location()
    file = sqlite_file(url)
    has_chroma_folder = settings.chroma_url is None and file is not None  # as common.knowledge.vector_indexes has it
    is_own = settings.database_url is None or has_chroma_folder  # below DATA_DIR
    return Stores(
        database_url=url,
        chroma_folder=settings.data_dir / "chroma" if has_chroma_folder else None,
        chroma_url=settings.chroma_url,
        disk=settings.data_dir if is_own else file.parent if file is not None else None,
        migrates=settings.migrate_on_start,
    )


def given_stores(db_path: Path | None, chromadb_path: Path | None) -> Stores:
    return Stores(
        database_url=f"sqlite:///{db_path.absolute()}" if db_path is not None else None,
        chroma_folder=chromadb_path,
        chroma_url=None,
        disk=db_path.absolute().parent if db_path is not None else chromadb_path,
        migrates=None,
    )


def add_checks(checker: HealthChecker, stores: Stores, settings: Settings) -> None:
    """Add database, vector index, Gemini, disk and cache. Only without the database nothing can be answered.

    Raises:
        InvalidSettings: DATABASE_URL names no database that is known here, or REDIS_URL no Redis.
    """
    _add_database(checker, stores)
    _add_vector_index(checker, stores, settings)
    _add_gemini(checker, settings)
    if stores.disk is None:
        checker.note("disk", "nothing is kept on it")
    else:
        checker.add("disk", disk_check(stores.disk, settings.min_free_disk_mb), needed=False)
    _add_cache(checker, settings)


def add_knowledge(checker: HealthChecker, stores: Stores) -> None:
    """Add the number of documents and chunks: in a large database, a matter of seconds."""
    if stores.database_url is not None:
        checker.add("knowledge", knowledge_check(stores.database_url), needed=False, keep_seconds=KEEP_SECONDS)


def chroma_folder_check(folder: Path) -> Check:
    """Whether Chroma's catalogue in `folder` can be read. Chroma itself is not opened, which takes half a second."""
    return lambda: sqlite_readable(folder / "chroma.sqlite3")


def disk_check(folder: Path, min_free_mb: int) -> Check:
    """Whether `folder` can be written to, with `min_free_mb` MB (10^6 bytes) left on its disk."""

    def check() -> Finding:
        try:
            facts = {"free_mb": shutil.disk_usage(folder).free // _MB}
            with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
                probe.write(_PROBE)
        except FileNotFoundError:
            raise Fault("not there") from None
        except OSError:
            raise Fault("cannot be written") from None
        if facts["free_mb"] < min_free_mb:
            raise Fault("almost full", facts=facts)
        return Finding(facts=facts)

    return check


def _add_database(checker: HealthChecker, stores: Stores) -> None:
    if stores.database_url is None:
        checker.note("database", NOT_CONFIGURED)
        return
    kind = "postgresql" if sqlite_file(stores.database_url) is None else "sqlite"
    check = database_check(stores.database_url, migrates=stores.migrates)
    checker.add("database", check, needed=True, facts={"kind": kind})


def _add_vector_index(checker: HealthChecker, stores: Stores, settings: Settings) -> None:
    if stores.chroma_url is not None:
        from common.health_http import chroma_server_check

        token = settings.chroma_token.get_secret_value() if settings.chroma_token else None
        check = chroma_server_check(stores.chroma_url, token)
        checker.add("vector_index", check, needed=False, facts={"kind": "chroma server"})
    elif stores.chroma_folder is not None:
        check = chroma_folder_check(stores.chroma_folder)
        checker.add("vector_index", check, needed=False, facts={"kind": "chroma on disk"})
    elif stores.database_url is not None and sqlite_file(stores.database_url) is None:
        checker.note("vector_index", IN_MEMORY, kind="database")
    else:
        checker.note("vector_index", NOT_CONFIGURED)


def _add_gemini(checker: HealthChecker, settings: Settings) -> None:
    embeddings = settings.embedding_model
    if settings.vertex_project is not None:  # asking costs a token of Google's own, made from the machine's identity
        checker.note("gemini", "not checked", kind="vertex ai", model=settings.chat_model, embeddings=embeddings)
    elif settings.gemini_api_key is not None:
        from common.health_http import gemini_check

        check = gemini_check(settings.chat_model, settings.gemini_api_key.get_secret_value(), settings.gemini_base_url)
        facts = {"kind": "gemini api", "model": settings.chat_model, "embeddings": embeddings}
        checker.add("gemini", check, needed=False, keep_seconds=KEEP_SECONDS, facts=facts)
    else:
        checker.note("gemini", NOT_CONFIGURED, kind="embedded", model="extractive", embeddings=embeddings)


def _add_cache(checker: HealthChecker, settings: Settings) -> None:
    if settings.redis_url is None:
        checker.note("cache", "in memory", kind="memory")
        return
    from common.health_redis import redis_check

    facts = {"kind": "redis", "when_away": settings.when_redis_is_away}
    checker.add("cache", redis_check(settings.redis_url.get_secret_value()), needed=False, facts=facts)
