"""Budget messages through Google's own Pub/Sub emulator and a push subscription, to the function over HTTP."""

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from werkzeug.serving import WSGIRequestHandler, make_server

from common.costs import cloud_budgets
from common.costs.cloud_budgets import BudgetMessage, Changes, fraction_spent
from common.database.engine import DatabaseUnavailable, engine, read
from common.database.tables import notices
from local.catalogue import load_catalogue
from local.gateway import Gateway
from tests.budget_messages import ACCOUNT, BUDGET, content
from tests.instance import instance
from tests.pubsub_emulator import PubSub, pubsub_emulator
from tests.servers import LOOPBACK, wait_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

pytestmark = [pytest.mark.servers, pytest.mark.slow]

ATTRIBUTES = {"billingAccountId": ACCOUNT, "budgetId": BUDGET, "schemaVersion": "1.0"}
TOPIC = "budgets"


class Counting:
    """An application, and the statuses that it answered with."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self.statuses: list[int] = []

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def started(status: str, *rest: Any) -> Callable[[bytes], object]:  # Any: WSGI's
            self.statuses.append(int(status[:3]))
            return start_response(status, *rest)

        return self._app(environ, started)


class Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        """Nobody reads its lines."""


@pytest.fixture(scope="module")
def pubsub() -> Iterator[PubSub]:
    with pubsub_emulator() as running:
        yield running


@pytest.fixture
def function(tmp_path: Path) -> Iterator[tuple[Counting, str]]:
    """The function on this machine, which lets the emulator in: that signs no tokens."""
    with instance(tmp_path, LIMIT_FACTOR="1000"):
        counting = Counting(Gateway(tuple(one for one in load_catalogue() if one.name == "budget_alert")))
        server = make_server(LOOPBACK, 0, counting, threaded=True, request_handler=Quiet)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield counting, f"http://{LOOPBACK}:{server.server_port}/events/budget"
        server.shutdown()
        thread.join()
        server.server_close()


def over(threshold: float, cost: float) -> dict[str, Any]:
    return content(alertThresholdExceeded=threshold, costAmount=cost)


def test_duplicates_and_wrong_order_give_one_notice_each(
    pubsub: PubSub, function: tuple[Counting, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, url = function
    receive = cloud_budgets.receive
    away = [True]

    def away_once(*given: Any) -> Changes:  # Any: passed on
        if away:
            away.pop()
            raise DatabaseUnavailable
        return receive(*given)

    monkeypatch.setattr(cloud_budgets, "receive", away_once)
    pubsub.push_to(TOPIC, url)
    pubsub.publish(TOPIC, [over(0.5, 55)], ATTRIBUTES)
    wait_for(lambda: counting.statuses.count(204) == 1, "the message has come, and once more after the error")
    assert counting.statuses == [503, 204]
    pubsub.publish(TOPIC, [over(0.9, 91), over(0.5, 55), over(0.5, 60)], ATTRIBUTES)
    pubsub.publish(TOPIC, [over(0.9, 95), over(0.9, 95), {}], ATTRIBUTES)  # pushed side by side, in whatever order
    wait_for(lambda: counting.statuses.count(204) == 7, "the messages have come")
    with read(engine()) as connection:
        told = [key.rpartition(":")[2] for key in connection.scalars(select(notices.c.key).order_by(notices.c.key))]
        assert fraction_spent(connection, datetime(2026, 11, 23, tzinfo=UTC)) == Decimal("0.95")
    assert told == ["0.5", "0.9"]
    assert counting.statuses[1:] == [204] * 7


def test_a_message_is_read_as_it_was_published(pubsub: PubSub, function: tuple[Counting, str]) -> None:
    counting, url = function
    heard: list[BudgetMessage] = []
    with pytest.MonkeyPatch.context() as patch:
        receive = cloud_budgets.receive

        def listen(connection: Any, message: BudgetMessage, now: datetime) -> Changes:  # Any: passed on
            heard.append(message)
            return receive(connection, message, now)

        patch.setattr(cloud_budgets, "receive", listen)
        pubsub.push_to("whole", url)
        pubsub.publish("whole", [over(0.9, 91.5)], ATTRIBUTES)
        wait_for(lambda: counting.statuses, "the message has come")
    (message,) = heard
    assert (message.budget_id, message.cost_amount, message.actual_threshold) == (
        BUDGET,
        Decimal("91.5"),
        Decimal("0.9"),
    )
    assert message.published_at is not None
