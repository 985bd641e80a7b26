"""A process that asks the model from several threads and bills each call, until it is done or killed.

    python -m tests.billing_worker THREADS CALLS

The model, the database and the keys are those of the environment's settings. Each call's entry is committed with a
row of its own in `notices`, in place of the turn that it paid for: both are there, or neither.
"""

import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from common.costs.chats import ChatBill
from common.costs.ledger import add
from common.database.engine import engine, write
from common.llm.chat import ChatRequest
from common.llm.models import chat_model
from common.notices.notice import Notice
from common.notices.outbox import put
from common.request_head import Correlation
from common.security.keyring import key_ring
from common.security.principal import Principal

WORKER = Principal(id="worker", tenant="acme", scopes=frozenset())


def ask(number: int) -> None:
    request_id = secrets.token_hex(8)
    bill = ChatBill(
        engine=engine,
        ring=key_ring,
        correlation=Correlation(request_id=request_id, trace_id=secrets.token_hex(16)),
        principal=WORKER,
        route="test",
        step="draft",
        clock=lambda: datetime.now(UTC),
        lapses_after=timedelta(minutes=5),
        agent="knowledge",
    )
    request = ChatRequest(instruction="Answer.", question="word " * (number % 50 + 1), meter=bill)
    chat_model().generate(replace(request, conversation=request_id))
    with write(engine()) as connection:
        put(connection, Notice(kind="turn", key=f"turn:{request_id}", subject="a turn", lines=()))
        add(connection, bill.entries)


def main(threads: int, calls: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(ask, number) for number in range(threads * calls)]:
            done.result()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
