"""What the routes of `documents` do."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine, RowMapping, select, text
from sqlalchemy.exc import OperationalError

from common.costs.ledger import LedgerEntry, add
from common.database.engine import read, write
from common.database.tables import audit_events, ledger_entries
from common.knowledge import store as store_module
from common.knowledge.store import KnowledgeStore
from common.knowledge.vectors import MemoryVectors, VectorEntry, VectorsUnavailable
from common.llm.chat import ModelAnswerUnusable
from common.llm.gemini import gemini_client
from common.llm.gemini_embeddings import GeminiEmbedder
from common.llm.resilience import Policy
from common.problems import InvalidRequest, NotFound, QuotaExceeded
from common.request_head import Correlation
from common.security.key_encryption import KeysUnavailable
from common.security.keyring import KeyRing
from common.settings import Settings, load_settings
from functions.documents import ingest
from functions.documents.models import DocumentsRequest
from tests.gemini_server import Behaviour, GeminiServer
from tests.key_rings import ring_over
from tests.knowledge_fakes import DIMENSIONS, Clock, revisions_named, store_over
from tests.tenants import ACME, OTHER

CORRELATION = Correlation(request_id="r1", trace_id="0af7651916cd43dd8448eb211c80319c")
GOOD: dict[str, object] = {"id": "a/b", "title": "Definitions", "text": "Age means years.", "metadata": {"year": 2024}}


@pytest.fixture
def limits() -> Settings:
    return load_settings(max_documents=2, max_document_characters=1_000)


@pytest.fixture(autouse=True)
def knowledge_base(sqlite_database: Engine, limits: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of its own for each test, where the instance's would be."""
    store = store_over(sqlite_database, MemoryVectors(DIMENSIONS))
    monkeypatch.setattr(ingest, "knowledge_store", lambda: store)
    monkeypatch.setattr(ingest, "engine", lambda: sqlite_database)
    monkeypatch.setattr(ingest, "settings", lambda: limits)
    ring = ring_over(sqlite_database)
    monkeypatch.setattr(ingest, "key_ring", lambda: ring)


def billed(database: Engine) -> Sequence[RowMapping]:
    with read(database) as connection:
        return connection.execute(select(ledger_entries).order_by(ledger_entries.c.id)).mappings().all()


def request(*documents: dict[str, object]) -> DocumentsRequest:
    return DocumentsRequest.model_validate({"documents": documents})


def test_documents_go_in_come_back_and_go_away() -> None:
    first = ingest.put_documents(request(GOOD), CORRELATION, ACME)
    assert (first.documents, first.chunks, first.unchanged) == (1, 1, 0)
    again = ingest.put_documents(request(GOOD), CORRELATION, ACME)
    assert (again.documents, again.chunks, again.unchanged) == (1, 1, 1)
    answer = ingest.get_document("a/b", ACME).model_dump(mode="json")
    assert answer.pop("updated_at").startswith("2026-11-23T12:00")
    assert answer == {**GOOD, "source": None, "chunks": 1}
    ingest.delete_document("a/b", CORRELATION, ACME)
    with pytest.raises(NotFound):
        ingest.get_document("a/b", ACME)
    with pytest.raises(NotFound):
        ingest.delete_document("a/b", CORRELATION, ACME)


def test_too_many_documents_and_too_long_ones_are_named() -> None:
    wrong = request({**GOOD, "id": "a"}, {**GOOD, "id": "b", "text": "x" * 1001}, {**GOOD, "id": "c"})
    with pytest.raises(InvalidRequest) as refused:
        ingest.put_documents(wrong, CORRELATION, ACME)
    assert [(error.pointer, error.detail) for error in refused.value.errors] == [
        ("/documents", "holds more than 2 documents"),
        ("/documents/1/text", "is longer than 1,000 characters"),
    ]


def test_nothing_is_stored_of_a_request_with_one_bad_document() -> None:
    with pytest.raises(InvalidRequest) as refused:
        ingest.put_documents(request(GOOD, {**GOOD, "text": "\x00\x01binary"}), CORRELATION, ACME)
    assert [error.pointer for error in refused.value.errors] == ["/documents/1/text", "/documents/1/id"]
    with pytest.raises(NotFound):
        ingest.get_document("a/b", ACME)


def audited(database: Engine) -> list[tuple[object, ...]]:
    rows = audit_events.c
    query = select(rows.tenant, rows.actor, rows.action, rows.target, rows.outcome, rows.request_id, rows.facts)
    with read(database) as connection:
        return [(*row[:-1], json.loads(row.facts)) for row in connection.execute(query.order_by(rows.number))]


def test_another_tenants_document_is_not_there_and_its_id_is_free() -> None:
    ingest.put_documents(request(GOOD), CORRELATION, ACME)
    with pytest.raises(NotFound) as unread:
        ingest.get_document("a/b", OTHER)
    with pytest.raises(NotFound) as undeleted:
        ingest.delete_document("a/b", CORRELATION, OTHER)
    with pytest.raises(NotFound) as unheard_of:
        ingest.get_document("never/stored", OTHER)
    assert {str(one.value) for one in (unread, undeleted, unheard_of)} == {"There is no document of this id."}
    ingest.put_documents(request({**GOOD, "text": "Another text."}), CORRELATION, OTHER)
    assert ingest.get_document("a/b", ACME).text == GOOD["text"]
    ingest.delete_document("a/b", CORRELATION, OTHER)
    assert ingest.get_document("a/b", ACME).text == GOOD["text"]


def test_what_is_stored_and_deleted_is_in_the_audit(sqlite_database: Engine) -> None:
    ingest.put_documents(request(GOOD, {**GOOD, "id": "ana@example.com/file"}), CORRELATION, ACME)
    ingest.delete_document("a/b", CORRELATION, ACME)
    with pytest.raises(NotFound):
        ingest.delete_document("a/b", CORRELATION, ACME)
    stored = {"documents": 2, "ids": ["a/b", "[EMAIL]/file"]}
    assert audited(sqlite_database) == [
        ("acme", "key-acme", "document.stored", "a/b", "done", "r1", stored),
        ("acme", "key-acme", "document.deleted", "a/b", "done", "r1", {}),
    ]


def test_a_request_that_changes_nothing_leaves_no_event(sqlite_database: Engine) -> None:
    ingest.put_documents(request(GOOD), CORRELATION, ACME)
    ingest.put_documents(request(GOOD), CORRELATION, ACME)
    assert len(audited(sqlite_database)) == 1
    ingest.put_documents(request(GOOD, {**GOOD, "id": "new"}), CORRELATION, ACME)
    assert audited(sqlite_database)[1][3:] == ("new", "done", "r1", {"documents": 1, "ids": ["new"]})


def test_what_was_stored_before_a_part_failed_has_its_event_and_so_has_the_failure(
    sqlite_database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(MemoryVectors):
        writes = 0

        def upsert(self, tenant: str, entries: Sequence[VectorEntry]) -> None:
            self.writes += 1
            if self.writes == 2:
                raise VectorsUnavailable
            super().upsert(tenant, entries)

    monkeypatch.setattr(store_module, "GROUP_CHUNKS", 1)
    store = store_over(sqlite_database, Away(DIMENSIONS))
    monkeypatch.setattr(ingest, "knowledge_store", lambda: store)
    with pytest.raises(VectorsUnavailable):
        ingest.put_documents(request(GOOD, {**GOOD, "id": "b"}), CORRELATION, ACME)
    assert [event[3:] for event in audited(sqlite_database)] == [
        ("a/b", "done", "r1", {"documents": 1, "ids": ["a/b"]}),
        ("a/b", "failed", "r1", {"documents": 2, "ids": ["a/b", "b"]}),
    ]


def test_a_document_whose_event_cannot_be_recorded_is_not_stored(
    sqlite_database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with write(sqlite_database) as connection:
        connection.execute(text("DROP TABLE audit_events"))
    with pytest.raises(OperationalError):
        ingest.put_documents(request(GOOD), CORRELATION, ACME)
    with pytest.raises(NotFound):
        ingest.get_document("a/b", ACME)


def test_a_request_of_many_long_ids_is_audited_with_the_first_of_them(sqlite_database: Engine) -> None:
    for letter in ("x", "貸"):
        ingest.put_documents(request({**GOOD, "id": "a" + letter * 255}, {**GOOD, "id": letter}), CORRELATION, ACME)
    first, second = (event[-1] for event in audited(sqlite_database))
    assert first["ids"] == ["a" + "x" * 255, "x"]  # type: ignore[index]  # the facts are a dictionary
    assert second["ids"] == ["a" + "貸" * 255, "貸"]  # type: ignore[index]


def test_what_cannot_be_audited_is_not_done(sqlite_database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_keys() -> KeyRing:
        raise KeysUnavailable

    ingest.put_documents(request(GOOD), CORRELATION, ACME)
    monkeypatch.setattr(ingest, "key_ring", no_keys)
    with pytest.raises(KeysUnavailable):
        ingest.put_documents(request({**GOOD, "id": "new"}), CORRELATION, ACME)
    with pytest.raises(KeysUnavailable):
        ingest.delete_document("a/b", CORRELATION, ACME)
    with pytest.raises(NotFound):
        ingest.get_document("new", ACME)
    assert ingest.get_document("a/b", ACME).id == "a/b"
    assert len(audited(sqlite_database)) == 1


def vectors(count: int, **also: object) -> Behaviour:
    return Behaviour(body=json.dumps({"embeddings": [{"values": [1.0] * 768}] * count, **also}).encode())


class TestWithGeminisEmbedder:
    @pytest.fixture
    def server(self) -> Iterator[GeminiServer]:
        with GeminiServer() as server:
            yield server

    @pytest.fixture(autouse=True)
    def gemini_store(self, server: GeminiServer, sqlite_database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        client = gemini_client(api_key=server.api_key, base_url=server.url)
        embedder = GeminiEmbedder(client, model="gemini-embedding-001", policy=Policy(sleep=lambda _seconds: None))
        clock, revisions = Clock(), revisions_named("g")
        store = KnowledgeStore(sqlite_database, MemoryVectors(768), embedder, clock=clock, new_revision=revisions)
        monkeypatch.setattr(ingest, "knowledge_store", lambda: store)

    def test_each_embedding_call_is_in_the_ledger_under_the_request(
        self, server: GeminiServer, sqlite_database: Engine
    ) -> None:
        server.script(Behaviour(status=429), vectors(1, usageMetadata={"promptTokenCount": 12}))
        ingest.put_documents(request(GOOD), CORRELATION, ACME)
        refused, paid = billed(sqlite_database)
        assert (refused["outcome"], refused["model_answered"], refused["cost_usd"]) == ("ModelOverQuota", None, 0)
        assert (paid["step"], paid["provider"], paid["outcome"]) == ("embed", "gcp.gemini", "ok")
        assert (paid["request_id"], paid["trace_id"]) == (CORRELATION.request_id, CORRELATION.trace_id)
        assert (paid["tenant"], paid["principal"]) == ("acme", "key-acme")
        assert (paid["model_asked"], paid["model_answered"]) == ("gemini-embedding-001",) * 2
        assert (paid["input_tokens"], paid["cost_usd"]) == (12, Decimal("0.0000018"))
        assert paid["duration_ms"] > 0

    def test_what_a_call_without_counts_cost_is_not_known(self, server: GeminiServer, sqlite_database: Engine) -> None:
        server.script(vectors(1))
        ingest.put_documents(request(GOOD), CORRELATION, ACME)
        (entry,) = billed(sqlite_database)
        assert (entry["input_tokens"], entry["cost_usd"]) == (0, None)

    def test_calls_of_a_request_that_fails_are_in_the_ledger_too(
        self, server: GeminiServer, sqlite_database: Engine
    ) -> None:
        server.script(vectors(2, usageMetadata={"promptTokenCount": 12}))
        with pytest.raises(ModelAnswerUnusable):
            ingest.put_documents(request(GOOD), CORRELATION, ACME)
        (entry,) = billed(sqlite_database)
        assert (entry["outcome"], entry["input_tokens"]) == ("ModelAnswerUnusable", 12)
        (event,) = audited(sqlite_database)
        assert event[2:5] == ("document.stored", "a/b", "failed")

    def test_unchanged_documents_cost_nothing(self, sqlite_database: Engine) -> None:
        ingest.put_documents(request(GOOD), CORRELATION, ACME)
        ingest.put_documents(request(GOOD), Correlation(request_id="r2", trace_id=CORRELATION.trace_id), ACME)
        assert [entry["request_id"] for entry in billed(sqlite_database)] == ["r1"]


def test_the_embedded_embedder_leaves_no_entry(sqlite_database: Engine) -> None:
    ingest.put_documents(request(GOOD), CORRELATION, ACME)
    assert billed(sqlite_database) == []


def test_after_a_days_allowance_nothing_is_embedded_where_that_costs(
    sqlite_database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = load_settings(gemini_api_key="key", embedding_model="gemini-embedding-001", daily_tokens=1)
    monkeypatch.setattr(ingest, "settings", lambda: limited)
    ingest.put_documents(request(GOOD), CORRELATION, ACME)
    spent = LedgerEntry(
        created_at=datetime.now(UTC), request_id="r0", trace_id="0" * 32, tenant=ACME.tenant, principal=ACME.id,
        step="embed", route="POST /api/query", provider="gcp.gemini", model_asked="m", duration_ms=1.0, outcome="ok",
        input_tokens=1,
    )  # fmt: skip
    with write(sqlite_database) as connection:
        add(connection, [spent])
    with pytest.raises(QuotaExceeded):
        ingest.put_documents(request({**GOOD, "id": "b"}), CORRELATION, ACME)
    with pytest.raises(NotFound):
        ingest.get_document("b", ACME)
    monkeypatch.setattr(ingest, "settings", lambda: load_settings(gemini_api_key="key", daily_tokens=1))
    ingest.put_documents(request({**GOOD, "id": "b"}), CORRELATION, ACME)
