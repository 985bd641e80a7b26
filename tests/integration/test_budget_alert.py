"""Budget messages over HTTP, with tokens that are really signed: state, notices, audit, and what is refused."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tenacity import wait_none
from werkzeug.test import Client, TestResponse

from common.costs import cloud_budgets
from common.costs.cloud_budgets import fraction_spent
from common.database.engine import DatabaseUnavailable, engine, read
from common.database.tables import audit_events, notices
from common.metrics import metrics_collector
from common.notices import outbox
from common.problems import Forbidden
from common.request_head import Correlation
from common.security.api_keys import api_keys
from common.security.principal import ROLES, Principal
from functions.budget_alert.alerting import receive
from functions.budget_alert.models import PubSubPush
from local.catalogue import load_catalogue
from local.gateway import Gateway
from tests.budget_messages import BUDGET, cloud_event, content, pushed
from tests.instance import instance
from tests.log_lines import log_lines
from tests.mail_server import mail_server
from tests.servers import free_port
from tests.token_issuer import AUDIENCE, EMAIL, TokenIssuer, token_issuer
from tests.webhook_receiver import receiving
from tests.wsgi import from_this_machine

pytestmark = pytest.mark.keys

PATH = "/events/budget"
CLOUD_EVENT = "application/cloudevents+json"
BINARY = {
    "ce-specversion": "1.0",
    "ce-id": "3103425958877813",
    "ce-source": "//pubsub.googleapis.com/",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
}

Post = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def issuer() -> Iterator[TokenIssuer]:
    with token_issuer() as running:
        yield running


@contextmanager
def posting(folder: Path, issuer: TokenIssuer, **settings: str) -> Iterator[Post]:
    """The function within an instance of its own; `post(body)` sends it as Pub/Sub would, with a token."""
    google = {
        "GOOGLE_ISSUERS": issuer.issuer,
        "GOOGLE_CERTS_URL": issuer.certs_url,
        "GOOGLE_AUDIENCES": AUDIENCE,
        "GOOGLE_ACCOUNTS": f"{EMAIL}=service",
        "ANONYMOUS": "false",
        "LIMIT_FACTOR": "1000",
    }
    only = tuple(entry for entry in load_catalogue() if entry.name == "budget_alert")
    with instance(folder, **google, **settings):
        client = Client(from_this_machine(Gateway(only)))

        def post(body: Any, content_type: str = "application/json", **headers: str) -> TestResponse:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent = {"Authorization": f"Bearer {issuer.token()}", **headers}
            return client.post(PATH, data=raw, content_type=content_type, headers=sent)

        yield post


@pytest.fixture
def post(tmp_path: Path, issuer: TokenIssuer) -> Iterator[Post]:
    with posting(tmp_path, issuer) as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def either(request: pytest.FixtureRequest, tmp_path: Path, issuer: TokenIssuer) -> Iterator[Post]:
    """SQLite and PostgreSQL."""
    more = {"DATABASE_URL": request.getfixturevalue("postgresql_url")} if request.param == "postgresql" else {}
    with posting(tmp_path, issuer, **more) as made:
        yield made


def kept() -> list[tuple[str, bool]]:
    """The notices' keys after the budget's id, and whether they are sent."""
    with read(engine()) as connection:
        found = connection.execute(select(notices.c.key, notices.c.sent_at).order_by(notices.c.created_at)).all()
    return [(key.partition(f"{BUDGET}:")[2], sent_at is not None) for key, sent_at in found]


def fraction() -> Decimal | None:
    with read(engine()) as connection:
        return fraction_spent(connection, datetime(2026, 11, 23, 12, tzinfo=UTC))


def over(threshold: float, cost: float, **more: Any) -> dict[str, Any]:
    return content(alertThresholdExceeded=threshold, costAmount=cost, **more)


def test_a_message_sets_the_state_and_tells_people_once(either: Post) -> None:
    with log_lines() as lines:
        answers = [either(pushed(over(0.9, 90.51))) for _ in range(3)]
    assert [(answer.status_code, answer.data) for answer in answers] == [(204, b"")] * 3
    assert kept() == [("20261101T070000Z:actual:0.9", True)]
    assert fraction() == Decimal("0.9051")
    (line,) = [line for line in lines if line["event"] == "notice.given"]
    assert line["subject"] == "Cloud budget Loans, production has reached 90 %"
    assert line["lines"][1] == "Spent since 1 November 2026, 07:00 UTC: 90.51 of 100 USD (90.5 %)."
    outcomes = [line["outcome"] for line in lines if line["event"] == "budget.received"]
    assert outcomes == ["changed", "unchanged", "unchanged"]


def test_wrong_order_and_thresholds_that_are_jumped_over(post: Post) -> None:
    for said in (over(1.0, 120), over(0.5, 55), over(0.9, 95), content(costAmount=10)):
        assert post(pushed(said)).status_code == 204
    assert kept() == [("20261101T070000Z:actual:1", True)]
    assert fraction() == Decimal("1.2")


@pytest.mark.parametrize("form", ["push", "binary CloudEvent", "without a subscription", "structured CloudEvent"])
def test_each_form_that_pub_sub_and_eventarc_have_is_taken(post: Post, form: str) -> None:
    push = pushed(over(0.9, 91))
    if form == "structured CloudEvent":
        answer = post(cloud_event(over(0.9, 91)), content_type=f"{CLOUD_EVENT}; charset=utf-8")
    elif form == "binary CloudEvent":
        answer = post(push, **BINARY)
    elif form == "without a subscription":  # as the framework makes a CloudEvent of a push
        answer = post({"message": push["message"]})
    else:
        answer = post(push)
    assert answer.status_code == 204
    assert [key for key, _ in kept()] == ["20261101T070000Z:actual:0.9"]


def test_actual_and_forecast_in_one_message_are_two_notices(post: Post) -> None:
    with log_lines() as lines:
        post(pushed(over(0.5, 50, forecastThresholdExceeded=1.2, currencyCode="JPY", budgetAmount=15_000)))
    assert sorted(key.partition(":")[2] for key, _ in kept()) == ["actual:0.5", "forecast:1.2"]
    said = {line["subject"]: line["lines"] for line in lines if line["event"] == "notice.given"}
    assert said["Cloud budget Loans, production is forecast to reach 120 %"][1].endswith("50 of 15,000 JPY (0.3 %).")


def test_without_a_threshold_the_state_is_set_and_nobody_told(post: Post) -> None:
    assert post(pushed(content(costAmount=42))).status_code == 204
    assert (kept(), fraction()) == ([], Decimal("0.42"))


def test_what_changes_the_state_is_audited(post: Post) -> None:
    for said in (content(costAmount=42), content(costAmount=43), over(0.5, 50)):
        post(pushed(said), **{"X-Request-ID": "r1"})
    with read(engine()) as connection:
        found = connection.execute(select(audit_events).where(audit_events.c.action == "budget.state")).all()
    assert [(row.target, row.outcome, row.request_id) for row in found] == [
        (f"cloud-budget:{BUDGET}", "done", "r1")
    ] * 2  # the first of its interval, and the threshold; some cost on top is no deed
    assert json.loads(found[1].facts)["actual_threshold"] == "0.5"
    assert found[0].actor.startswith("account:")


def test_what_can_never_be_read_is_not_brought_again_and_is_told(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[str, str]] = []
    monkeypatch.setattr(metrics_collector, "record_error", lambda *labels: counted.append(labels))
    unreadable = ["no base64!", b"{}", content(costAmount="much"), content(currencyCode=None)]
    with log_lines() as lines:
        assert [post(pushed(said)).status_code for said in unreadable] == [204] * 4
    assert counted == [("budget_alert", "UnusableMessage")] * 4
    reasons = [line["reason"] for line in lines if line["event"] == "budget.unusable"]
    assert [reason.partition(":")[0] for reason in reasons] == [
        "/message/data", "/message/data/costAmount", "/message/data/costAmount", "/message/data/currencyCode",
    ]  # fmt: skip
    assert (kept(), fraction()) == ([], None)


def test_who_is_not_pub_sub_is_told_what_is_wrong(post: Post) -> None:
    answer = post(pushed(content(costAmount="much"), message_id=None))
    assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/invalid-request")
    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/message/data/costAmount"]
    answer = post(cloud_event("", message_id=None), content_type=CLOUD_EVENT)
    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/data/message/data"]
    assert post(pushed(over(0.9, 91), message_id=None)).status_code == 204  # a good one needs no id


NEVER_SENT: list[tuple[Any, str, int]] = [
    (b"", "application/json", 400),
    (b"{", "application/json", 400),
    ({}, "application/json", 422),
    ({"message": None}, "application/json", 422),
    ({"message": {"data": 7}}, "application/json", 422),
    ({"message": {"attributes": {"budgetId": 7}}}, "application/json", 422),
    ({"message": {"publishTime": "2026-11-23T12:00:00"}}, "application/json", 422),
    (cloud_event(), "application/json", 422),
    (pushed(), CLOUD_EVENT, 422),
    ({**cloud_event(), "type": "google.cloud.storage.object.v1.finalized"}, CLOUD_EVENT, 422),
    (pushed(), "text/plain", 415),
    (pushed("x" * 70_000), "application/json", 413),
]


def test_what_pub_sub_never_sends_is_refused(post: Post) -> None:
    for body, content_type, status in NEVER_SENT:
        answer = post(body, content_type=content_type)
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), body


def test_a_key_does_not_get_in_nor_a_token_of_a_stranger(post: Post, issuer: TokenIssuer) -> None:
    key = api_keys().create(role="admin").text
    assert post(pushed(), Authorization=f"Bearer {key}").status_code == 401
    assert post(pushed(), Authorization=f"Bearer {issuer.token(email='x@example.com')}").status_code == 401
    assert fraction() is None


def test_an_account_of_one_tenant_sets_no_state_for_all(post: Post) -> None:
    assert post(pushed("{}")).status_code == 204  # its instance is there
    admin = Principal(id="account:1", tenant="acme", scopes=ROLES["admin"])
    body = PubSubPush.model_validate(pushed(over(1.0, 101)))
    with pytest.raises(Forbidden):
        receive(body, admin, Correlation(request_id="r1", trace_id="0" * 32), time.monotonic() + 10)
    assert fraction() is None


def test_without_the_database_pub_sub_is_to_bring_it_again(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(cloud_budgets, "receive", away)
        assert post(pushed(over(0.9, 91))).status_code == 503
    assert post(pushed(over(0.9, 91))).status_code == 204
    assert [key for key, _ in kept()] == ["20261101T070000Z:actual:0.9"]


def test_a_notice_that_cannot_be_sent_waits_for_the_next_message(tmp_path: Path, issuer: TokenIssuer) -> None:
    with mail_server() as server:
        mail = {"NOTICE_EMAIL_TO": "finance@lender.example", "SMTP_URL": f"smtp://127.0.0.1:{server.port}"}
        with posting(tmp_path, issuer, **mail) as post:
            server.answers = ["550 no"]
            assert post(pushed(over(0.9, 91))).status_code == 204
            assert kept() == [("20261101T070000Z:actual:0.9", False)]
            assert post(pushed(over(0.9, 92))).status_code == 204
            assert kept() == [("20261101T070000Z:actual:0.9", True)]
    (message,) = server.messages
    assert message["Subject"] == "Cloud budget Loans, production has reached 90 %"
    assert "91 of 100 USD" in message.get_content()


def test_a_webhook_gets_it_signed_beside_the_mail(tmp_path: Path, issuer: TokenIssuer) -> None:
    with mail_server() as server, receiving() as receiver:
        both = {
            "NOTICE_EMAIL_TO": "finance@lender.example",
            "SMTP_URL": f"smtp://127.0.0.1:{server.port}",
            "NOTICE_WEBHOOK_URL": receiver.url,
            "NOTICE_WEBHOOK_SECRET": "0123456789abcdef",  # pragma: allowlist secret
        }
        with posting(tmp_path, issuer, **both) as post:
            receiver.status = 404
            assert post(pushed(over(0.9, 91))).status_code == 204
            receiver.status = 200
            assert post(pushed(over(0.9, 91))).status_code == 204
            assert kept() == [("20261101T070000Z:actual:0.9", True)]
    assert len(server.messages) == 1  # the mail had gone out the first time
    (headers, body) = receiver.requests[-1]
    assert json.loads(body)["data"]["subject"] == "Cloud budget Loans, production has reached 90 %"
    assert headers["webhook-signature"].startswith("v1,")
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1


def test_a_name_that_is_an_attack_on_mail_arrives_as_a_name(tmp_path: Path, issuer: TokenIssuer) -> None:
    name = "prod\r\nBcc: x@example.com\r\n\r\n<script>"
    with mail_server() as server:
        mail = {"NOTICE_EMAIL_TO": "finance@lender.example", "SMTP_URL": f"smtp://127.0.0.1:{server.port}"}
        with posting(tmp_path, issuer, **mail) as post:
            assert post(pushed(over(0.9, 91, budgetDisplayName=name))).status_code == 204
    (message,) = server.messages
    assert message["Subject"] == "Cloud budget prod Bcc: [EMAIL] <script> has reached 90 %"
    assert (message["Bcc"], server.envelopes[0][1]) == (None, ["finance@lender.example"])


def test_a_mail_server_that_is_away_costs_no_message(
    tmp_path: Path, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_JITTER", wait_none())
    mail = {"NOTICE_EMAIL_TO": "finance@lender.example", "SMTP_URL": f"smtp://127.0.0.1:{free_port()}"}
    with posting(tmp_path, issuer, **mail) as post:
        assert post(pushed(over(0.9, 91))).status_code == 204
        assert (kept(), fraction()) == ([("20261101T070000Z:actual:0.9", False)], Decimal("0.91"))


def test_what_the_guide_shows_is_taken(post: Post) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    (shown,) = [block for block in re.findall(r"^```sh\n(.*?)^```$", guide, re.M | re.S) if PATH in block]
    command = re.sub(r"^curl .* -d @-", "cat", shown)
    body = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout
    assert post(body).status_code == 204
    with read(engine()) as connection:
        assert fraction_spent(connection, datetime.now(UTC)) == Decimal("0.915")
