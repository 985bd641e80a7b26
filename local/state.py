"""Local state made ready for work: the folder, the database's schema, an index that agrees with it."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from common.knowledge.store import knowledge_store
from common.logging import component_logger
from common.security.principal import DEFAULT_TENANT, is_tenant
from common.settings import Settings
from local.ingest import Found, Outcome, Put, find, ingest
from local.refusal import Refused

log = component_logger("emulator")


class BadTenant(Refused):
    """What no tenant can be called."""


class NotWritable(Refused):
    """DATA_DIR cannot hold state; the message says why."""


def prepare(settings: Settings, tenant: str = DEFAULT_TENANT) -> Put:
    """The way into the tenant's knowledge base, after migrating the database and repairing what a crash left half done.

    Raises:
        BadTenant: that is no tenant's name.
        NotWritable: DATA_DIR is no folder that can be written to.
        DatabaseTooNew: the schema is of a newer version of the program.
        SQLAlchemyError: the database cannot be reached.
        Unavailable: the vector index cannot be reached; the database is in order.
    """
    if not is_tenant(tenant):
        raise BadTenant("a tenant's name is 1 to 64 of a-z, 0-9, _ and -, the first a letter or digit")
    check_writable(settings.data_dir)
    return functools.partial(knowledge_store().put, tenant=tenant)  # making the store migrates and repairs


def load(folder: Path, put: Put, settings: Settings) -> Outcome:
    """`folder` into the knowledge base; each file that cannot be read is a warning."""
    outcome = ingest(find([folder]), put, max_characters=settings.max_document_characters)
    for failure in outcome.failures:
        log.warning("document.unreadable", path=str(failure.path), reason=failure.reason)
    log.info("knowledge.loaded", documents=outcome.documents, chunks=outcome.chunks, unchanged=outcome.unchanged)
    return outcome


def audited(found: Found, tenant: str, store: Callable[[], Outcome]) -> Outcome:
    """What `store` gives, once it is in the audit: one event, also where it was cut short.

    Raises:
        InvalidSettings, DatabaseUnavailable, KeysUnavailable: what cannot be audited is not done.
    """
    from common.security.audit import Event, record_alone
    from common.security.keyring import key_ring

    key_ring()
    outcome: Outcome | None = None
    try:
        outcome = store()
    finally:
        facts = {"files": len(found.sources)}
        if outcome is not None:
            facts |= {"documents": outcome.documents, "chunks": outcome.chunks, "unchanged": outcome.unchanged}
        record_alone(
            Event(
                tenant=tenant,
                actor="cli",
                action="document.stored",
                target="loancheck ingest",
                outcome="failed" if outcome is None else "done",
                facts=facts,
            )
        )
    return outcome


def check_settings() -> None:
    """What the first question, key or token would find out too late.

    Raises:
        InvalidSettings: a model, the price file, a limit, an account or the key-encryption key cannot be used; names
            the variable.
        DatabaseUnavailable, KeysUnavailable: the data keys cannot be had.
    """
    from common.costs.prices import prices
    from common.llm.models import chat_model
    from common.security.headers import check_origins
    from common.security.id_tokens import id_tokens
    from common.security.keyring import key_ring
    from common.security.limits import limits

    prices()
    check_origins()
    limits()
    id_tokens()
    key_ring()
    chat_model()


def check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise NotWritable(f"DATA_DIR={folder} cannot be written to ({error.strerror}): choose another folder") from None
