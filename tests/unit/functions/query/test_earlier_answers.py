"""Earlier answers from a store of sealed turns: those that do not open are as good as not there."""

import json

import pytest
from sqlalchemy import Engine, insert

from common.costs.answers import add_answer, mark_of_question
from common.database.engine import read, write
from common.database.tables import sessions, turns
from common.knowledge.store import generation
from common.security.encryption import TURN_CONTENT, Sealer, row_of
from common.security.keyring import KeyRing
from functions.query.earlier_answers import earlier_answer
from tests.key_rings import ring_over
from tests.ledgers import NOW, answer

QUESTION = "What is a lien?"


def record(database: Engine, ring: KeyRing, content: bytes) -> None:
    """A turn of acme's that was answered and accepted, with this sealed content."""
    common = {"tenant": "acme", "created_at": NOW}
    with read(database) as connection:
        now = generation(connection)
    with write(database) as connection:
        connection.execute(insert(sessions).values(id="s1", principal="key:a", updated_at=NOW, **common))
        connection.execute(insert(turns).values(
            uid="t1", session_id="s1", request_id="r1", trace_id="0" * 32, content=content, answered=True,
            agent="knowledge", intent=None, confidence=0.9, critique_score=0.9, critique_rounds=1, degraded=[],
            signals=[], **common,
        ))  # fmt: skip
        mark = mark_of_question(ring, "acme", QUESTION)
        add_answer(connection, answer(question_mark=mark, knowledge_generation=now))


@pytest.mark.parametrize("is_whole", [True, False])
def test_an_answer_whose_key_is_gone_is_as_good_as_not_there(sqlite_database: Engine, is_whole: bool) -> None:
    ring = ring_over(sqlite_database)
    content = json.dumps({"message": QUESTION, "answer": "A claim on property.", "citations": []}).encode()
    sealed = Sealer(ring).seal(content, TURN_CONTENT, row_of("acme", "t1"))
    record(sqlite_database, ring, sealed if is_whole else b"\x01" + b"0" * 60)
    found = earlier_answer(sqlite_database, ring, tenant="acme", message=QUESTION, agents=["knowledge"])
    assert (found is not None and found.reply.answer == "A claim on property.") == is_whole
