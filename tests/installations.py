"""The product as somebody has installed it: its command line and its functions as processes, over one state.

`tree` is the code that runs, which may be that of another commit.
"""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, func, select

from common.database.engine import create_engine_for, read
from common.database.tables import ledger_days, ledger_entries, turns
from common.security.encryption import TURN_CONTENT, Sealer, row_of
from common.security.key_encryption import DEFAULT_FILE, FileKey
from common.security.keyring import KeyRing
from tests import servers
from tests.emulators import environment
from tests.proxies import function

ROOT = Path(__file__).resolve().parents[1]
ANSWER_SECONDS = 60  # on a machine that does much else beside

POLICY = {
    "id": "raw-land-policy",
    "title": "Raw land",
    "text": "Raw land: the loan-to-value limit of this lender is 61 percent. Its appraisals expire after 97 days.",
}
QUESTION = "What is the loan-to-value limit for raw land?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command that has ended."""

    code: int
    said: str
    complained: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """State below `data`, and where `settings` say; functions want a key."""

    data: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    tree: Path = ROOT

    @property
    def key_file(self) -> Path:
        return self.data / DEFAULT_FILE

    @property
    def database_file(self) -> Path:
        return self.data / "database" / "loan_collateral.db"

    def engine(self) -> Engine:
        return create_engine_for(self.settings.get("DATABASE_URL") or f"sqlite:///{self.database_file}")

    def loancheck(self, *arguments: str, within: Sequence[str] = ()) -> Ended:
        """`within` is a command that runs the one that is given to it."""
        self.data.mkdir(parents=True, exist_ok=True)
        env = {**environment(self.data, **self.settings), "PYTHONPATH": str(self.tree)}
        done = subprocess.run(
            [*within, sys.executable, "-m", "local.loancheck", *arguments],
            cwd=self.data, env=env, text=True, capture_output=True, check=False,
        )  # fmt: skip
        return Ended(code=done.returncode, said=done.stdout, complained=done.stderr)

    def new_key(self, role: str = "admin") -> str:
        made = self.loancheck("keys", "create", "--role", role)
        assert made.code == 0, made.complained
        return made.said.splitlines()[-1]

    @contextmanager
    def function(self, name: str, key: str) -> Iterator[httpx.Client]:
        """A client of the function, which runs inside the block; it sends `key`."""
        self.data.mkdir(parents=True, exist_ok=True)
        source = self.tree / "functions" / name / "main.py"
        with function(source, name, self.data, **self.settings) as port:
            url = f"http://{servers.LOOPBACK}:{port}"
            with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=ANSWER_SECONDS) as client:
                yield client


def put_policy(documents: httpx.Client, **changed: str) -> None:
    put = documents.post("/api/documents", json={"documents": [POLICY | changed]})
    assert put.status_code == HTTPStatus.OK, put.text


def ask(query: httpx.Client, question: str = QUESTION, session: str | None = None) -> Any:  # the answer's JSON
    body = {"message": question} | ({"session_id": session} if session else {})
    answer = query.post("/api/query", json=body)
    assert answer.status_code == HTTPStatus.OK, answer.text
    return answer.json()


def ask_of_policy(query: httpx.Client, figure: str = "61") -> Any:  # the answer's JSON
    """Ask what `POLICY` answers, and see that its figure comes with a citation."""
    answer = ask(query)
    assert figure in answer["answer"], answer
    assert [one["document_id"] for one in answer["citations"]] == [POLICY["id"]]
    assert answer["degraded"] == [], answer
    return answer


def turns_of(engine: Engine, key_file: Path) -> list[tuple[str, str]]:
    """What was asked and answered in all turns, opened with the key, the oldest first."""
    sealer = Sealer(KeyRing.over(engine, [FileKey.at(key_file, made_where_missing=False)]))
    with read(engine) as connection:
        rows = connection.execute(select(turns.c.tenant, turns.c.uid, turns.c.content).order_by(turns.c.id)).all()
    opened = [json.loads(sealer.open(row.content, TURN_CONTENT, row_of(row.tenant, row.uid))) for row in rows]
    return [(one["message"], one["answer"]) for one in opened]


def ledger_sums(engine: Engine) -> list[tuple[object, ...]]:
    """Entries, tokens and cost of the ledger by what each was for, and the same of its days."""
    sums: list[tuple[object, ...]] = []
    for table, count in ((ledger_entries, func.count()), (ledger_days, func.sum(ledger_days.c.calls))):
        tokens = func.sum(table.c.input_tokens + table.c.output_tokens)
        query = select(table.c.step, count, tokens).group_by(table.c.step).order_by(table.c.step)
        costs = select(table.c.step, table.c.cost_usd)
        with read(engine) as connection:
            cost: defaultdict[str, Decimal] = defaultdict(Decimal)
            for row in connection.execute(costs):  # in Python, for SQLite keeps decimals as text
                cost[row.step] += row.cost_usd or 0
            sums += [(table.name, *row, cost[row.step]) for row in connection.execute(query)]
    return sums
