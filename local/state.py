"""Local state made ready for work: the folder, the database's schema, an index that agrees with it."""

import functools
import secrets
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.knowledge.store import Document, PutResult, knowledge_store
from common.logging import component_logger
from common.security.principal import DEFAULT_TENANT, Principal, is_tenant
from common.settings import Settings
from local.ingest import Found, Outcome, Put, find, ingest
from local.refusal import Refused

CLI = "cli"  # who does what the command line does, in the audit and the ledger
LONGEST_STORING = timedelta(hours=1)  # of one batch; a call still open then is lost

log = component_logger("emulator")


class BadTenant(Refused):
    """What no tenant can be called."""


class NotWritable(Refused):
    """DATA_DIR cannot hold state; the message says why."""


def prepare(settings: Settings, tenant: str = DEFAULT_TENANT, actor: str | None = None) -> Put:
    """The way into the tenant's knowledge base, after migrating the database and repairing what a crash left half done.

    What goes in is in the audit under `actor`, each part in the transaction that stores it; None leaves no event.

    Raises:
        BadTenant: that is no tenant's name.
        NotWritable: DATA_DIR is no folder that can be written to.
        DatabaseTooNew: the schema is of a newer version of the program.
        SQLAlchemyError: the database cannot be reached.
        Unavailable: the vector index cannot be reached; the database is in order.
        InvalidSettings, KeysUnavailable: what cannot be audited is not done.
    """
    if not is_tenant(tenant):
        raise BadTenant("a tenant's name is 1 to 64 of a-z, 0-9, _ and -, the first a letter or digit")
    check_writable(settings.data_dir)
    store = knowledge_store()  # making it migrates and repairs
    if actor is None:
        return _billed(functools.partial(store.put, tenant=tenant), tenant, "loancheck run")
    from common.knowledge.stored_events import Storing
    from common.security.keyring import key_ring

    along = Storing(tenant=tenant, actor=actor).along(key_ring())
    return _billed(functools.partial(store.put, tenant=tenant, along=along), tenant, "loancheck ingest")


def _billed(put: Put, tenant: str, command: str) -> Put:
    """`put`, with what a paid embedder costs in the ledger, under the name of the command."""
    from common.costs.embeddings import EmbeddingBill
    from common.costs.ledger import add
    from common.database.engine import engine, write
    from common.request_head import Correlation
    from common.security.keyring import key_ring

    bill = EmbeddingBill(
        engine=engine,
        ring=key_ring,
        correlation=Correlation(request_id=secrets.token_hex(16), trace_id=secrets.token_hex(16)),
        principal=Principal(id=CLI, tenant=tenant, scopes=frozenset()),
        route=command,
        clock=lambda: datetime.now(UTC),
        lapses_after=LONGEST_STORING,
    )

    def put_and_bill(documents: Sequence[Document]) -> PutResult:
        try:
            with bill.running():
                return put(documents)
        finally:
            if entries := bill.entries():
                with write(engine()) as connection:
                    add(connection, entries)

    return put_and_bill


def load(folder: Path, put: Put, settings: Settings) -> Outcome:
    """`folder` into the knowledge base; each file that cannot be read is a warning."""
    outcome = ingest(find([folder]), put, max_characters=settings.max_document_characters)
    for failure in outcome.failures:
        log.warning("document.unreadable", path=str(failure.path), reason=failure.reason)
    log.info("knowledge.loaded", documents=outcome.documents, chunks=outcome.chunks, unchanged=outcome.unchanged)
    return outcome


def audited(found: Found, tenant: str, store: Callable[[], Outcome]) -> Outcome:
    """What `store` gives. That it was cut short is in the audit, after what it stored till then.

    Raises:
        InvalidSettings, DatabaseUnavailable, KeysUnavailable: that cannot be audited.
    """
    from common.security.audit import Event, record_alone

    try:
        return store()
    except BaseException:
        record_alone(
            Event(
                tenant=tenant,
                actor=CLI,
                action="document.stored",
                target="loancheck ingest",
                outcome="failed",
                facts={"files": len(found.sources)},
            )
        )
        raise


def check_settings() -> None:
    """What the first question, key or token would find out too late.

    Raises:
        InvalidSettings: a model, the price or budget file, an assumption of the ROI, a limit, an account or the
            key-encryption key cannot be used; names the variable.
        DatabaseUnavailable, KeysUnavailable: the data keys cannot be had.
    """
    from common.costs.budgets import budget_file
    from common.costs.prices import prices
    from common.llm.models import chat_model
    from common.security.headers import check_origins
    from common.security.id_tokens import id_tokens
    from common.security.keyring import key_ring
    from common.security.limits import limits
    from common.settings import settings
    from functions.cost_report.roi import assumptions_of

    prices()
    budget_file()
    assumptions_of(settings())
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
