"""A report asked for over HTTP: what it may be asked for by, in which format it comes, and who sees whose costs."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from common.costs import ledger
from functions.cost_report import answering
from local.catalogue import load_catalogue
from local.gateway import Gateway
from tests.instance import instance
from tests.ledgers import entry

pytestmark = pytest.mark.keys

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
Asking = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The function over a ledger in which acme spent 1 USD and other 5, and each has a budget."""
    folder = tmp_path_factory.mktemp("report")
    budgets = {
        "budgets": [
            {"id": "desk", "scope": "all", "period": "month", "amount_usd": "100"},
            {"id": "each", "scope": "tenant", "of": "*", "period": "month", "amount_usd": "10"},
            {"id": "key-a-day", "scope": "principal", "of": "*", "period": "day", "amount_usd": "2"},
            {"id": "flash", "scope": "model", "of": "gemini-3.8-flash", "period": "month", "amount_usd": "50"},
            {"id": "others", "scope": "tenant", "of": "other", "period": "week", "amount_usd": "9"},
        ]
    }
    (folder / "budgets.json").write_text(json.dumps(budgets))
    bill = "ChargePeriodStart,EffectiveCost,BillingCurrency,ServiceName\n"
    (folder / "bill.csv").write_text(bill + f"{datetime.now(UTC):%Y-%m-%d}T00:00:00Z,7.25,USD,Cloud Run\n")
    settings = {
        "BUDGET_FILE": str(folder / "budgets.json"), "BILLING_EXPORT": str(folder / "bill.csv"),
        "LIMIT_FACTOR": "1000", "ADDRESS_LIMIT": "none",
    }  # fmt: skip
    with instance(folder, **settings):
        from common.database.engine import engine, write

        with write(engine()) as connection:
            now = datetime.now(UTC)
            of_other = {"tenant": "other", "principal": "key:other"}
            ledger.add(connection, [entry(now, "1"), entry(now, "5", **of_other)])
        yield Client(Gateway([one for one in load_catalogue() if one.name == "cost_report"]))


@pytest.fixture(scope="module")
def keys(product: Client) -> dict[str, str]:
    from common.security.api_keys import api_keys

    assert isinstance(product, Client)  # its instance is there first
    return {
        "acme": api_keys().create(role="viewer", tenant="acme").text,
        "admin": api_keys().create(role="admin", tenant="acme").text,
        "all": api_keys().create(role="service", tenant="default").text,
        "ingest": api_keys().create(role="service", scopes=["documents:write"]).text,
    }


@pytest.fixture
def asking(product: Client, keys: dict[str, str]) -> Asking:
    def ask(query: str = "", *, who: str = "acme", **headers: str) -> TestResponse:
        return product.get(f"/api/cost-report{query}", headers={"X-API-Key": keys[who], **headers})

    return ask


def report_of(response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    found = response.get_json()
    assert isinstance(found, dict)
    return found


def audited() -> list[tuple[str, str, str]]:
    from common.database.engine import engine, read
    from common.security.audit_chain import newest

    with read(engine()) as connection:
        return [(one.action, one.target, one.outcome) for one in newest(connection, 100)]


@pytest.mark.parametrize(
    ("query", "accept", "content_type"),
    [
        ("", None, "application/json"),
        ("", BROWSER, "text/html"),
        ("", "text/csv", "text/csv"),
        ("?format=json", BROWSER, "application/json"),
        ("?format=html", "application/json", "text/html"),
        ("?format=csv", None, "text/csv"),
    ],
)
def test_the_format_is_the_one_that_is_named_or_else_accepted(
    asking: Asking, query: str, accept: str | None, content_type: str
) -> None:
    response = asking(query, **({"Accept": accept} if accept is not None else {}))
    assert (response.status_code, response.mimetype) == (200, content_type)


def test_a_csv_that_no_answer_could_hold_is_refused(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "MOST_ROWS", 1)
    assert asking("?format=csv").status_code == 200
    refused = asking("?format=csv", who="all")
    assert refused.status_code == 422
    assert "has 2 rows" in refused.get_json()["errors"][0]["detail"]


def test_the_page_runs_under_its_own_policy(asking: Asking) -> None:
    response = asking("?format=html")
    nonce = response.headers["Content-Security-Policy"].partition("'nonce-")[2].partition("'")[0]
    assert nonce
    assert f'nonce="{nonce}"' in response.text


@pytest.mark.parametrize(
    ("query", "pointer", "says"),
    [
        ("period=2026-11-29..2026-11-01", "/period", "ends before it begins"),
        ("period=0d", "/period", "no day"),
        ("period=12h", "/period", "whole days"),
        ("period=9999-01", "/period", "has not begun"),
        ("period=9999999d", "/period", "three years"),
        ("period=2019-01-01..2026-11-01", "/period", "three years"),
        ("period=2026-02-30", "/period", "no calendar"),
        ("period=", "/period", "at least 1 character"),
        ("period=yesterday", "/period", "must be one of"),
        ("period=30d&period=7d", "/period", "more than once"),
        ("group_by=colour", "/group_by", "'tenant', 'principal', 'agent', 'step', 'model' or 'route'"),
        ("format=pdf", "/format", "'json', 'html' or 'csv'"),
        ("currency=EUR", "/currency", "only USD"),
        ("tenant=No+Tenant", "/tenant", "pattern"),
        ("perod=30d", "/perod", "not permitted"),
    ],
)
def test_what_cannot_be_reported_is_refused_with_the_reason(
    asking: Asking, query: str, pointer: str, says: str
) -> None:
    response = asking(f"?{query}")
    assert (response.status_code, response.get_json()["type"]) == (422, "/problems/invalid-request")
    (error,) = response.get_json()["errors"]
    assert error["pointer"] == pointer
    assert says in error["detail"]


def test_whoever_reads_costs_sees_those_of_their_own_tenant(asking: Asking) -> None:
    for query in ("", "?tenant=acme", "?currency=USD"):
        report = report_of(asking(query))
        assert (report["tenant"], report["totals"]["cost_usd"]) == ("acme", "1")
        assert report["totals"]["cloud_cost_usd"] is None
        assert {(one["id"], one["scope"]) for one in report["budgets"]} == {
            ("each", "tenant acme"), ("key-a-day", "principal key:acme"),
        }  # fmt: skip
        assert "key:other" not in json.dumps(report)
    assert "key:other" not in asking("?format=csv").text
    assert asking("?tenant=acme", who="admin").status_code == 200


@pytest.mark.parametrize("who", ["acme", "admin"])
def test_another_tenants_costs_are_refused(asking: Asking, who: str) -> None:
    refused = asking("?tenant=other", who=who)
    assert (refused.status_code, refused.get_json()["type"]) == (403, "/problems/forbidden")
    assert refused.get_json() | {"instance": "", "request_id": ""} == (
        asking("?tenant=nobody", who=who).get_json() | {"instance": "", "request_id": ""}
    )


def test_whoever_may_see_all_costs_sees_them_and_it_is_audited(asking: Asking) -> None:
    report = report_of(asking(who="all"))
    assert (report["tenant"], report["totals"]["cost_usd"]) == (None, "6")
    assert report["totals"]["cloud_cost_usd"] == "7.25"
    assert {(one["id"], one["scope"], one["spent_usd"], one["state"]) for one in report["budgets"]} == {
        ("desk", "all", "6", "open"), ("flash", "model gemini-3.8-flash", "6", "open"),
        ("each", "tenant acme", "1", "open"), ("each", "tenant other", "5", "open"),
        ("key-a-day", "principal key:acme", "1", "open"), ("key-a-day", "principal key:other", "5", "hard"),
        ("others", "tenant other", "5", "open"),
    }  # fmt: skip
    assert ("report.read", "all tenants", "done") in audited()
    assert report_of(asking("?tenant=other", who="all"))["totals"]["cost_usd"] == "5"
    assert ("report.read", "tenant:other", "done") in audited()


def test_ones_own_costs_are_read_without_a_trace(asking: Asking) -> None:
    before = audited()
    asking()
    assert audited() == before


def test_whoever_may_not_read_costs_gets_none(asking: Asking) -> None:
    assert asking(who="ingest").status_code == 403


def test_a_billing_export_that_cannot_be_read_is_a_note_and_no_error(
    asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.settings import settings

    monkeypatch.setenv("BILLING_EXPORT", str(tmp_path / "nowhere.csv"))
    settings.cache_clear()
    report = report_of(asking(who="all"))
    monkeypatch.undo()
    settings.cache_clear()
    assert report["totals"]["cloud_cost_usd"] is None
    assert Decimal(report["totals"]["cost_usd"]) == 6
    assert any("BILLING_EXPORT" in note for note in report["notes"])
