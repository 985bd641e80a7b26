"""What a request holds on to: given back whatever happens, and nothing that goes wrong there costs the answer."""

import flask
import pytest

from common.security.access import Admission
from common.security.principal import NOBODY
from common.visit import Visit


class Ticket:
    """A ticket that notes what becomes of it; `fails` raises in its stead."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.fails = fails
        self.ends: list[object] = []

    def finish(self, status: int, content_type: str | None, body: bytes) -> None:
        self.ends.append((status, content_type, body))
        if self.fails:
            raise self.fails

    def release(self) -> None:
        self.ends.append("released")
        if self.fails:
            raise self.fails


def visit(ticket: Ticket | None) -> tuple[Visit, list[str]]:
    left: list[str] = []
    admission = Admission(principal=NOBODY, headers={"RateLimit": "x"}, close=lambda: left.append("place"))
    return Visit(admission=admission, ticket=ticket), left  # type: ignore[arg-type]  # all that it uses


def test_an_answer_is_kept_and_the_place_given_back() -> None:
    ticket = Ticket()
    held, left = visit(ticket)
    response = flask.Response(b"{}", status=404, content_type="application/json")
    held.settle(response)
    assert ticket.ends == [(404, "application/json", b"{}")]
    assert left == ["place"]
    assert response.headers["RateLimit"] == "x"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_be_answered_otherwise_later_is_not_kept(status: int) -> None:
    ticket = Ticket()
    held, left = visit(ticket)
    held.settle(flask.Response(status=status))
    assert (ticket.ends, left) == (["released"], ["place"])


def test_a_stream_is_settled_when_it_ends() -> None:
    ticket = Ticket()
    held, left = visit(ticket)
    held.settle(flask.Response(iter(["a"])))
    assert (ticket.ends, left) == ([], [])
    held.keep(200, "text/event-stream", lambda: b"a")
    held.leave()
    assert (ticket.ends, left) == ([(200, "text/event-stream", b"a")], ["place"])


def test_what_cannot_be_kept_is_told_in_the_log_and_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    ticket = Ticket(fails=RuntimeError("Jane Roe"))
    held, left = visit(ticket)
    held.settle(flask.Response(b"{}", status=200))
    assert ticket.ends[-1] == "released"
    assert left == ["place"]
    said = capsys.readouterr().out
    assert "idempotency.not_kept" in said
    assert "idempotency.not_released" in said
    assert "Jane" not in said


def test_a_refused_request_holds_nothing() -> None:
    held = Visit()
    held.settle(flask.Response(status=401))
    held.leave()
    assert held.nonce != Visit().nonce
