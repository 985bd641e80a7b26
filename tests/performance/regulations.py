"""How well questions about real regulations are answered: `python -m tests.performance.regulations [--data DIR]`.

The files go in and the questions are asked through the parts that the deployed functions use: store, indexes,
retriever, knowledge agent with its checks, in a data directory of its own. DIR holds folders of .md files and
`questions*.jsonl`, a line being {"id", "question", "answerable", "sections": [document ids],
"answer_contains": [[any of], ...]}.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.database.engine import engine, migrate
from common.knowledge.store import Document, knowledge_store
from common.llm.extractive import ExtractiveModel
from common.llm.models import chat_model
from common.logging import setup_logging
from common.request_head import Correlation
from common.security.keyring import key_ring
from common.security.principal import ANONYMOUS
from common.settings import settings
from functions.query.agent import Ask, Reply
from functions.query.agents.knowledge import AGENT
from functions.query.answering import retriever
from functions.query.entities import extract_entities
from functions.query.tools import QueryTools

CITED_DOCUMENTS = 3
ANSWER_WORDS = 150
TARGETS = {
    "right section among the first 3 cited": ">= 85 %",
    "all sections of multi-part questions cited": "",
    "asked fact in an answer of at most 150 words": ">= 50 %",
    "unanswerable refused": ">= 55 %",
    "answerable refused": "<= 10 %",
    "quotes verbatim": "100 %",
    "ingest, seconds": "< 40",
    "ingest again, unchanged, seconds": "< 3",
    "resident memory, MB": "< 450",
    "question p50, ms": "< 60",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`sections_all`: for a question of several parts, the ids that answer each part."""

    text: str
    is_answerable: bool
    sections: tuple[str, ...]
    sections_all: tuple[tuple[str, ...], ...]
    facts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    question: Question
    reply: Reply
    seconds: float

    @property
    def cited(self) -> list[str]:
        """The first cited documents, each once."""
        return list(dict.fromkeys(one.document_id for one in self.reply.citations))[:CITED_DOCUMENTS]

    @property
    def has_section(self) -> bool:
        return any(section in self.question.sections for section in self.cited)

    @property
    def has_all_sections(self) -> bool:
        return all(any(section in self.cited for section in part) for part in self.question.sections_all)

    @property
    def has_facts(self) -> bool:
        text = re.sub(r"\[\d+\]", "", self.reply.answer).lower()
        is_short = len(self.reply.answer.split()) <= ANSWER_WORDS
        return is_short and all(any(fact.lower() in text for fact in group) for group in self.question.facts)


def read_documents(folder: Path) -> list[Document]:
    """The .md files of `folder`; the id is the path without suffix, the title the first heading."""
    paths = sorted(folder.rglob("*.md"))
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return [
        Document(
            id=path.relative_to(folder).with_suffix("").as_posix(),
            title=text.splitlines()[0].lstrip("# "),
            text=text,
            metadata={},
        )
        for path, text in zip(paths, texts, strict=True)
    ]


def read_questions(files: Iterable[Path]) -> list[Question]:
    lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line]
    return [
        Question(
            text=line["question"],
            is_answerable=line["answerable"],
            sections=tuple(line["sections"]),
            sections_all=tuple(map(tuple, line.get("sections_all", ()))),
            facts=tuple(map(tuple, line["answer_contains"])),
        )
        for line in lines
    ]


def ask(question: str) -> Reply:
    """The knowledge agent's reply, with the model that the settings name."""
    tools = QueryTools(
        retriever=retriever,
        model=chat_model(),
        embedded_model=ExtractiveModel(),
        correlation=Correlation(request_id="benchmark", trace_id="0" * 32),
        principal=ANONYMOUS,
        session_id="benchmark",
        route="benchmark",
        deadline=time.monotonic() + settings().query_timeout_seconds,
        model_timeout_seconds=settings().model_timeout_seconds,
        streams=False,
        clock=lambda: datetime.now(UTC),
        engine=engine,
        ring=key_ring,
        agent=AGENT.name,
    )
    *_, reply = AGENT.run(Ask(message=question, tools=tools, entities=extract_entities(question)))
    if not isinstance(reply, Reply):
        raise TypeError("an agent's last word is its reply")
    return reply


def timed(question: Question) -> Result:
    started = time.perf_counter()
    reply = ask(question.text)
    return Result(question=question, reply=reply, seconds=time.perf_counter() - started)


def ingest(documents: Sequence[Document]) -> tuple[float, float]:
    """Seconds to put `documents` into an empty knowledge base, and to put them in again."""
    store = knowledge_store()
    started = time.perf_counter()
    store.put(documents, tenant=ANONYMOUS.tenant)
    between = time.perf_counter()
    store.put(documents, tenant=ANONYMOUS.tenant)
    return between - started, time.perf_counter() - between


def share(values: Sequence[bool]) -> str:
    return f"{100 * sum(values) / len(values):.1f} % of {len(values)}" if values else "none asked"


def figures(results: Sequence[Result], documents: Sequence[Document]) -> dict[str, str]:
    texts = {document.id: document.text for document in documents}
    answerable = [result for result in results if result.question.is_answerable]
    unanswerable = [result for result in results if not result.question.is_answerable]
    quotes = [(one.quote, texts[one.document_id]) for result in results for one in result.reply.citations]
    return {
        "right section among the first 3 cited": share([result.has_section for result in answerable]),
        "all sections of multi-part questions cited": share(
            [result.has_all_sections for result in answerable if result.question.sections_all]
        ),
        "asked fact in an answer of at most 150 words": share([result.has_facts for result in answerable]),
        "unanswerable refused": share([not result.reply.answered for result in unanswerable]),
        "answerable refused": share([not result.reply.answered for result in answerable]),
        "quotes verbatim": share([quote in text for quote, text in quotes]),
        "question p50, ms": f"{1000 * statistics.median(result.seconds for result in results):.1f}",
    }


def resident_megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]  # Linux has the line


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("REGULATIONS_DIR", "../shared/data/regulations"))
    )
    parser.add_argument("--questions", type=Path, nargs="*", help="other .jsonl files than those of --data")
    parser.add_argument("--misses", action="store_true", help="print each question that misses")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        print(f"regulations: skipped, there is no folder {arguments.data} (set REGULATIONS_DIR or --data)")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("DATA_DIR", folder)  # read with the settings, at their first use below
        documents = read_documents(arguments.data)
        questions = read_questions(arguments.questions or sorted(arguments.data.glob("questions*.jsonl")))
        prepare()
        first, again = ingest(documents)
        ask(questions[0].text)  # loads what a first question loads
        results = [timed(question) for question in questions]
        table = figures(results, documents) | {
            "ingest, seconds": f"{first:.1f}",
            "ingest again, unchanged, seconds": f"{again:.1f}",
            "resident memory, MB": f"{resident_megabytes():.0f}",
        }
        show(table, results)
        if arguments.misses:
            show_misses(results)
    return 0


def prepare() -> None:
    """Makes the database, and keeps log lines out of the table."""
    setup_logging(log_level="ERROR", json_logs=False)
    migrate(engine())


def show(table: dict[str, str], results: Sequence[Result]) -> None:
    models = sorted({result.reply.model for result in results if result.reply.model})
    print(f"{len(results)} questions, answered by {', '.join(models) or 'no model'}")
    for name, target in TARGETS.items():
        print(f"  {name:<46} {table[name]:>16}   {target}")


def show_misses(results: Sequence[Result]) -> None:
    for result in results:
        question, reply = result.question, result.reply
        if not question.is_answerable and reply.answered:
            print(f"answered  {reply.confidence:.2f}  {question.text}")
        elif question.is_answerable and not (result.has_section and result.has_facts and reply.answered):
            verdict = "refused " if not reply.answered else "section " if not result.has_section else "fact    "
            print(f"{verdict}  {reply.confidence:.2f}  {question.text}\n          {question.sections} {result.cited}")


if __name__ == "__main__":
    sys.exit(main())
