"""Local state made ready for work: the folder, the database's schema, an index that agrees with it."""

import tempfile
from pathlib import Path

from common.knowledge.store import knowledge_store
from common.logging import component_logger
from common.settings import Settings
from local.ingest import Outcome, Put, find, ingest
from local.refusal import Refused

log = component_logger("emulator")


class NotWritable(Refused):
    """DATA_DIR cannot hold state; the message says why."""


def prepare(settings: Settings) -> Put:
    """The way into the knowledge base, after migrating the database and repairing what a crash left half done.

    Raises:
        NotWritable: DATA_DIR is no folder that can be written to.
        DatabaseTooNew: the schema is of a newer version of the program.
        SQLAlchemyError: the database cannot be reached.
        Unavailable: the vector index cannot be reached; the database is in order.
    """
    check_writable(settings.data_dir)
    return knowledge_store().put  # making the store migrates and repairs


def load(folder: Path, put: Put, settings: Settings) -> Outcome:
    """`folder` into the knowledge base; each file that cannot be read is a warning."""
    outcome = ingest(find([folder]), put, max_characters=settings.max_document_characters)
    for failure in outcome.failures:
        log.warning("document.unreadable", path=str(failure.path), reason=failure.reason)
    log.info("knowledge.loaded", documents=outcome.documents, chunks=outcome.chunks, unchanged=outcome.unchanged)
    return outcome


def check_models() -> None:
    """What the first question would find out too late.

    Raises:
        InvalidSettings: a model or the price file cannot be used; names the variable.
    """
    from common.costs.prices import prices
    from common.llm.models import chat_model

    prices()
    chat_model()


def check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise NotWritable(f"DATA_DIR={folder} cannot be written to ({error.strerror}): choose another folder") from None
