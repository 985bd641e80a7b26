"""One key, one answer: across threads, processes and instances, on both databases, sealed, and gone in time."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select, update

from common.database.engine import read, write
from common.database.tables import idempotent_answers, subject_marks
from common.problems import AssistantError, BadRequest
from common.security import idempotency
from common.security.encryption import IDEMPOTENT_BODY, CannotOpen, Sealer, row_of
from common.security.idempotency import (
    IdempotencyConflict,
    IdempotencyMismatch,
    IdempotentAnswers,
    Replay,
    Ticket,
    begin,
    delete_expired,
    idempotent_answers_here,
    key_of,
    texts_of,
)
from common.security.key_encryption import FileKey
from common.security.keyring import KeyRing
from common.security.marks import Marks
from common.security.principal import Principal
from common.settings import load_settings
from tests.log_lines import log_lines

ROUTE, PATH = "POST /api/query", "/api/query"
ANSWER = b'{"answer":"Write to\\njane.roe@example.com"}'


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 28, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(database: Engine) -> KeyRing:
    made = KeyRing.over(database, [FileKey(bytes(32))])
    made.complete()
    return made


@pytest.fixture
def answers(database: Engine, ring: KeyRing, clock: Clock) -> IdempotentAnswers:
    return IdempotentAnswers(database, ring, hours=24, clock=clock)


def principal(id_: str = "key-1", tenant: str = "default") -> Principal:
    return Principal(id=id_, tenant=tenant, scopes=frozenset())


def asked(
    answers: IdempotentAnswers,
    header: str = '"one"',
    *,
    who: Principal | None = None,
    route: str = ROUTE,
    path: str = PATH,
    payload: bytes = b'{"message":"How much?"}',
    accept: str = "application/json",
) -> Replay | Ticket:
    return answers.begin(
        header, principal=who or principal(), route=route, path=path, payload=payload, accept=accept, lease_seconds=75
    )


def begun(answers: IdempotentAnswers, header: str = '"one"', **given: object) -> Ticket:
    """The ticket of a request that does the work."""
    ticket = asked(answers, header, **given)  # type: ignore[arg-type]  # as `asked`
    assert isinstance(ticket, Ticket)
    return ticket


def rows(database: Engine) -> int:
    with read(database) as connection:
        return len(connection.execute(select(idempotent_answers.c.id)).all())


def marks(database: Engine) -> set[str]:
    with read(database) as connection:
        return set(connection.scalars(select(subject_marks.c.mark).where(subject_marks.c.holder == idempotency.HOLDER)))


def test_the_same_key_gives_the_same_answer_and_the_work_is_done_once(answers: IdempotentAnswers) -> None:
    begun(answers).finish(200, "application/json", ANSWER)
    for _ in range(3):
        assert asked(answers) == Replay(status=200, content_type="application/json", body=ANSWER)


def test_a_refusal_by_the_handler_and_an_empty_answer_are_given_again_too(answers: IdempotentAnswers) -> None:
    begun(answers, "a").finish(422, "application/problem+json", b'{"status":422}')
    begun(answers, "b").finish(204, None, b"")
    assert asked(answers, "a") == Replay(status=422, content_type="application/problem+json", body=b'{"status":422}')
    assert asked(answers, "b") == Replay(status=204, content_type=None, body=b"")


def test_while_the_work_goes_on_the_key_is_a_conflict_that_says_when_to_come_again(answers: IdempotentAnswers) -> None:
    begun(answers)
    with pytest.raises(IdempotencyConflict) as refused:
        asked(answers)
    assert (refused.value.status, refused.value.type) == (409, "/problems/idempotency-in-flight")
    assert refused.value.headers == {"Retry-After": "2"}


@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize("other", [{"payload": b"{}"}, {"accept": "text/event-stream"}])
def test_the_same_key_with_another_payload_is_refused(
    answers: IdempotentAnswers, other: dict[str, object], is_finished: bool
) -> None:
    ticket = begun(answers)
    if is_finished:
        ticket.finish(200, "application/json", ANSWER)
    with pytest.raises(IdempotencyMismatch) as refused:
        asked(answers, **other)  # type: ignore[arg-type]  # as `asked`
    assert (refused.value.status, refused.value.type) == (422, "/problems/idempotency-key-reused")


@pytest.mark.parametrize(
    "other",
    [
        {"who": principal("key-2")},
        {"who": principal(tenant="other")},
        {"route": "POST /api/documents"},
        {"path": "/api/query/"},
        {"header": "two"},
    ],
)
def test_a_key_is_one_principals_on_one_address(answers: IdempotentAnswers, other: dict[str, object]) -> None:
    begun(answers).finish(200, "application/json", ANSWER)
    begun(answers, **other)  # type: ignore[arg-type]  # as `asked`


def test_what_was_released_may_be_tried_again(answers: IdempotentAnswers, database: Engine) -> None:
    begun(answers).release()
    assert rows(database) == 0
    begun(answers).finish(200, "application/json", ANSWER)


def test_the_work_of_an_instance_that_died_is_taken_over_when_its_lease_is_over(
    answers: IdempotentAnswers, clock: Clock, database: Engine
) -> None:
    dead = begun(answers)
    clock.pass_(seconds=74)
    with pytest.raises(IdempotencyConflict):
        asked(answers)
    clock.pass_(seconds=1)
    heir = begun(answers)
    with log_lines() as lines:  # it was not dead, only late
        dead.finish(200, "application/json", b'{"answer":"late"}')
        dead.release()
    assert "idempotency.lease_over" in [line["event"] for line in lines]
    heir.finish(200, "application/json", ANSWER)
    assert asked(answers) == Replay(status=200, content_type="application/json", body=ANSWER)
    assert rows(database) == 1


def test_after_its_time_a_key_is_a_new_one_and_the_old_answers_marks_go(
    answers: IdempotentAnswers, clock: Clock, database: Engine
) -> None:
    begun(answers).finish(200, "application/json", ANSWER)
    clock.pass_(hours=23.9)
    assert isinstance(asked(answers), Replay)
    clock.pass_(hours=0.1)
    begun(answers, payload=b"{}").finish(200, "application/json", b'{"answer":"Nobody"}')
    assert marks(database) == set()


def test_an_answer_is_sealed_for_its_row(answers: IdempotentAnswers, database: Engine) -> None:
    begun(answers, "a").finish(200, "application/json", ANSWER)
    begun(answers, "b").finish(200, "application/json", ANSWER)
    with write(database) as connection:
        one, other = connection.execute(select(idempotent_answers)).all()
        assert b"example.com" not in one.body
        connection.execute(update(idempotent_answers).where(idempotent_answers.c.id == one.id).values(body=other.body))
        connection.execute(update(idempotent_answers).where(idempotent_answers.c.id == other.id).values(body=one.body))
    with pytest.raises(CannotOpen):
        asked(answers, "a")


def test_an_answer_that_is_moved_to_another_tenant_opens_for_nobody_there(
    answers: IdempotentAnswers, database: Engine, ring: KeyRing
) -> None:
    begun(answers).finish(200, "application/json", ANSWER)
    begun(answers, who=principal("key-2", "bank")).finish(200, "text/plain", b"theirs")
    with write(database) as connection:
        mine = connection.execute(select(idempotent_answers).where(idempotent_answers.c.tenant == "default")).one()
        connection.execute(update(idempotent_answers).values(tenant="bank"))
        connection.execute(update(idempotent_answers).values(body=mine.body))
    with pytest.raises(CannotOpen):
        asked(answers, who=principal("key-2", "bank"))
    with pytest.raises(CannotOpen):
        Sealer(ring).open(mine.body, IDEMPOTENT_BODY, row_of("bank", mine.id))
    replayed = asked(answers)  # whose it was: the id names the tenant too
    assert isinstance(replayed, Replay)
    assert replayed.body == ANSWER


def test_neither_key_nor_principal_nor_payload_stands_in_the_database(
    answers: IdempotentAnswers, database: Engine
) -> None:
    begun(answers, "jane.roe@example.com").finish(200, "application/json", ANSWER)
    with read(database) as connection:
        stored = str(connection.execute(select(idempotent_answers)).all())
    assert not [text for text in ("jane", "key-1", "/api/query", "How much") if text in stored]


def test_a_kept_answer_is_found_by_the_persons_it_speaks_of(
    answers: IdempotentAnswers, database: Engine, ring: KeyRing
) -> None:
    begun(answers).finish(200, "application/json", ANSWER)
    assert marks(database) == {Marks(ring).of_identifier("jane.roe@example.com")}


def test_what_is_over_is_deleted_with_its_marks_and_nothing_else(
    answers: IdempotentAnswers, clock: Clock, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_AT_ONCE", 2)
    for number in range(3):
        begun(answers, f"{number}").finish(200, "application/json", ANSWER)
    begun(answers, "in-flight")
    clock.pass_(hours=12)
    begun(answers, "young").finish(200, "application/json", b'{"answer":"Nobody"}')
    deleted = []
    clock.pass_(hours=12)
    for _ in range(4):
        with write(database) as connection:
            deleted.append(delete_expired(connection, clock()))
    assert (deleted, rows(database), marks(database)) == ([2, 2, 0, 0], 1, set())


def test_of_sixteen_threads_one_does_the_work(answers: IdempotentAnswers) -> None:
    barrier, outcomes = threading.Barrier(16), list[str]()

    def ask() -> None:
        barrier.wait()
        try:
            found = asked(answers)
        except IdempotencyConflict:
            outcomes.append("conflict")
            return
        outcomes.append(type(found).__name__)
        if isinstance(found, Ticket):
            found.finish(200, "application/json", ANSWER)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(outcomes), outcomes.count("Ticket")) == (16, 1)
    assert isinstance(asked(answers), Replay)


def test_of_four_processes_one_does_the_work_and_all_get_its_answer(database: Engine, ring: KeyRing) -> None:
    ring.complete()  # the processes find its keys
    url = database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", _PROCESS, url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    found = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(one["worked"] for one in found) == 1
    assert len({body for one in found for body in one["bodies"]}) == 1
    assert sum(len(one["bodies"]) for one in found) == 16


_PROCESS = """
import json, os, sys, threading
from datetime import UTC, datetime
from common.database.engine import create_engine_for
from common.security.idempotency import IdempotencyConflict, IdempotentAnswers, Replay
from common.security.key_encryption import FileKey
from common.security.keyring import KeyRing
from common.security.principal import Principal

engine = create_engine_for(sys.argv[1])
ring = KeyRing.over(engine, [FileKey(bytes(32))])
answers = IdempotentAnswers(engine, ring, hours=1, clock=lambda: datetime.now(UTC))
worked, bodies = [], []

def ask():
    while True:
        try:
            found = answers.begin("one", principal=Principal(id="k", tenant="t", scopes=frozenset()), route="POST /",
                                  path="/", payload=b"", accept="", lease_seconds=10)
        except IdempotencyConflict:
            continue
        if isinstance(found, Replay):
            bodies.append(found.body.decode())
            return
        worked.append(1)
        found.finish(200, "text/plain", f"by {os.getpid()}".encode())

threads = [threading.Thread(target=ask) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps({"worked": len(worked), "bodies": bodies}))
"""


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (' "a b" ', "a b"),
        (r'"say \"so\" \\ "', r'say "so" \ '),
        ("x" * 128, "x" * 128),
    ],
)
def test_a_key_is_a_text_in_quotes_or_a_bare_word(header: str, key: str) -> None:
    assert key_of(header) == key


@pytest.mark.parametrize(
    "header",
    [
        "", '""', "x" * 129, f'"{"x" * 129}"', '"open', 'a"b', '"a"b"', r'"a\b"', "a b", "one, two", '"one", "two"',
        '"a";b=1', '"\x7f"', '"\x00"', "é", '"é"', "a\nb",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_the_rule(header: str) -> None:
    with pytest.raises(BadRequest) as refused:
        key_of(header)
    assert refused.value.detail == (
        "Idempotency-Key is one text in double quotes, of 1 to 128 printable ASCII characters."
    )


@pytest.mark.parametrize(
    ("content_type", "body", "texts"),
    [
        ("application/json", b'{"a":["x\\ny",1,null],"b":{"c":"z"}}', ["a", "x\ny", "b", "c", "z"]),
        ("application/problem+json; charset=utf-8", b'{"detail":"x"}', ["detail", "x"]),
        (
            "text/event-stream; charset=utf-8",
            b'event: status\ndata: {"step":"x"}\n\nevent: answer\ndata: "y"\n\n',
            ["step", "x", "y"],
        ),
        ("text/csv", b"a,b\r\n", ["a,b\r\n"]),
        (None, b"\xff", ["\ufffd"]),
    ],
)
def test_the_texts_of_an_answer_are_read_without_its_formats_escapes(
    content_type: str | None, body: bytes, texts: list[str]
) -> None:
    assert list(texts_of(content_type, body)) == texts


@pytest.fixture
def here(sqlite_database: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Replay | Ticket]:
    """`begin`, over this instance's database."""
    ring = KeyRing.over(sqlite_database, [FileKey(bytes(32))])
    monkeypatch.setattr(idempotency, "engine", lambda: sqlite_database)
    monkeypatch.setattr(idempotency, "key_ring", lambda: ring)
    monkeypatch.setattr(idempotency, "settings", load_settings)
    return lambda: begin(
        "one", principal=principal(), route=ROUTE, path=PATH, payload=b"", accept="*/*", lease_seconds=75
    )


def test_an_instance_keeps_answers_in_its_own_database(here: Callable[[], Replay | Ticket]) -> None:
    idempotent_answers_here.cache_clear()
    ticket = here()
    assert isinstance(ticket, Ticket)
    ticket.finish(200, "text/plain", b"done")
    assert here() == Replay(status=200, content_type="text/plain", body=b"done")
    idempotent_answers_here.cache_clear()


def test_its_refusals_are_problems_that_name_nothing() -> None:
    for error in (IdempotencyConflict(), IdempotencyMismatch()):
        assert isinstance(error, AssistantError)
        assert error.detail is None
