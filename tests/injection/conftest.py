"""Two lenders on one instance with everything real (SQLite, Chroma on disk, the embedded embedder, the PII shield, the
Gemini client over HTTP) except for the model, which obeys whatever injected text reaches it."""

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from common.database.engine import engine, read
from common.database.tables import ledger_entries, turns
from common.function import Call, EventStream
from common.knowledge.store import Document, knowledge_store
from common.request_head import Correlation
from common.security.principal import Principal
from functions.query import answering
from functions.query.models import QueryAnswer, QueryRequest
from tests.injection.obeying_model import Injection, ObeyingGemini
from tests.instance import instance

HERE = Path(__file__).parent
LENDER_A, LENDER_B = "lender-a", "lender-b"
CANARY = "zephyrquartz"  # a word of lender B's documents and of nothing else
OFFICER = Principal(id="officer-a", tenant=LENDER_A, scopes=frozenset({"query:ask"}))
COLLEAGUE_OF_B = Principal(id="officer-b", tenant=LENDER_B, scopes=frozenset({"query:ask"}))
QUESTION = "What is the loan-to-value limit for raw land?"
RULE = "The loan-to-value limit for raw land is 65 percent of its appraised value."

_POLICY = Document(
    id="policy/land",
    title="Lending policy",
    source="https://www.lender-a.example/policy",
    text=f"# Lending policy\n\n## Land\n\n{RULE} An appraisal of raw land is kept with the file for five years.\n",
)
_POLICY_OF_B = Document(
    id="policy/land",
    title="Zephyrquartz lending policy",
    source="https://www.lender-b.example/zephyrquartz",
    text="# Land\n\nThe zephyrquartz loan-to-value limit for raw land is 71 percent. Zephyrquartz!\n",
)


def injections() -> list[Injection]:
    lines = (HERE / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return [Injection(**{**one, "signals": tuple(one["signals"])}) for one in map(json.loads, lines)]


def benign() -> list[dict[str, str]]:
    return [json.loads(line) for line in (HERE / "benign.jsonl").read_text(encoding="utf-8").splitlines()]


def poisoned(injection: Injection) -> list[Document]:
    """What lender A holds because somebody sent or uploaded it."""
    text = f"{RULE}\n\n{injection.text}\n"
    title, source, metadata = "Memo on raw land", "memo", {}
    match injection.channel:
        case "two_documents":
            return [
                Document(id=f"memo/{place}", title=title, text=f"{RULE} See memo {place}.\n\n{part}\n", source=source)
                for place, part in enumerate(injection.text.split("||"))
            ]
        case "email":
            text = f"From: broker@elsewhere.example\nSubject: raw land\n\n{RULE}\n\n{injection.text}\n"
        case "heading":
            text = f"# Land\n\n## {injection.text}\n\n{RULE}\n"
        case "title":
            text, title = f"{RULE}\n", injection.text
        case "source":
            text, source = f"{RULE}\n", injection.text
        case "metadata":
            text, metadata = f"{RULE}\n", {"note": injection.text}
    return [Document(id="memo/0", title=title, text=text, source=source, metadata=dict(metadata))]


@dataclass(kw_only=True)
class Desk:
    """Lender A's officer at work, and what is behind the counter."""

    model: ObeyingGemini
    texts: dict[str, str] = field(default_factory=dict)  # of lender A's documents, by id
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def put(self, given: Sequence[Document], tenant: str = LENDER_A) -> None:
        knowledge_store().put(given, tenant=tenant)
        if tenant == LENDER_A:
            self.texts |= {one.id: "\n".join([one.title, one.source or "", one.text]) for one in given}

    def take_out(self, ids: Sequence[str]) -> None:
        for one in ids:
            knowledge_store().delete(one, tenant=LENDER_A)
            self.texts.pop(one, None)

    def ask(self, message: str, *, principal: Principal = OFFICER, **fields: Any) -> QueryAnswer:
        """The answer, from the last event where it is streamed."""
        answered = answering.answer(self._call(message, principal, fields))
        if isinstance(answered, EventStream):
            events = list(answered.events)
            last = events[-1][1]
            assert isinstance(last, QueryAnswer)
            shown = "".join(event.text for name, event in events if name == "delta")  # type: ignore[attr-defined]  # a DeltaEvent
            assert shown.split() == last.answer.split()
            return last
        assert isinstance(answered, QueryAnswer)
        return answered

    def _call(self, message: str, principal: Principal, fields: dict[str, Any]) -> Call[QueryRequest]:
        return Call(
            correlation=Correlation(request_id=f"request-{next(self.numbers)}", trace_id="0" * 31 + "1"),
            principal=principal,
            body=QueryRequest(message=message, **fields),
            path={},
            deadline=time.monotonic() + 30,
        )

    def signals(self, answer: QueryAnswer) -> list[str]:
        """As noted on the turn."""
        with read(engine()) as connection:
            noted: list[str] = connection.execute(
                select(turns.c.signals).where(turns.c.request_id == answer.request_id)
            ).scalar_one()
            return noted

    def calls(self, answer: QueryAnswer) -> int:
        """Model calls that the ledger holds for `answer`."""
        with read(engine()) as connection:
            of_it = ledger_entries.c.request_id == answer.request_id
            return len(connection.execute(select(ledger_entries.c.step).where(of_it)).all())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with ObeyingGemini() as model:
        access = {"GEMINI_API_KEY": model.api_key, "GEMINI_BASE_URL": model.url}
        with instance(tmp_path_factory.mktemp("desk"), **access, RETRIEVAL_CACHE_ENTRIES="0"):
            desk = Desk(model=model)
            desk.put([_POLICY])
            desk.put([_POLICY_OF_B], tenant=LENDER_B)
            yield desk


@pytest.fixture
def under_attack(desk: Desk, injection: Injection) -> Iterator[Desk]:
    """The desk while the injected text, where it comes in a document, is among lender A's documents."""
    planted = [] if injection.channel in {"message", "history"} else poisoned(injection)
    if planted:
        desk.put(planted)
    desk.model.reset()
    desk.model.injection, desk.model.obeyed = injection, 0
    yield desk
    desk.model.injection = None
    desk.take_out([one.id for one in planted])
