"""The cloud's bill out of a BigQuery table: Google's own client against a server that runs the query."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from common.settings import load_settings
from functions.cost_report.billing_export import BillingExportUnusable, cloud_costs
from tests import servers
from tests.bigquery_server import BigQuery, Row, bigquery_server

START, END = date(2026, 11, 1), date(2026, 12, 1)
HEAVY = ("google.cloud.", "google.auth", "google.api_core", "gcsfs", "s3fs", "sqlalchemy")
TABLE = "finance-prod.gcp_billing.gcp_billing_export_focus_010101_F0FFF0"


def row(cost: str | None, starts: str = "2026-11-01 05:00:00", service: str | None = "Cloud Run", currency: str = "USD",
) -> Row:  # fmt: skip
    return {
        "ChargePeriodStart": starts, "EffectiveCost": cost, "BillingCurrency": currency, "ServiceName": service,
    }  # fmt: skip


@pytest.fixture
def bigquery() -> Iterator[BigQuery]:
    with bigquery_server({TABLE: []}) as server:
        yield server


def costs(server: BigQuery, *, table: str = TABLE, **given: Any) -> dict[date, Decimal]:  # Any: values of settings
    chosen = load_settings(bigquery_endpoint=server.url, **given)
    return dict(cloud_costs(f"bigquery://{table}", START, END, chosen=chosen))


def unusable(server: BigQuery, reason: str, **given: Any) -> None:
    with pytest.raises(BillingExportUnusable) as told:
        costs(server, **given)
    assert str(told.value) == f"BILLING_EXPORT: {reason}"


def test_costs_are_added_up_by_day_to_the_last_digit(bigquery: BigQuery) -> None:
    bigquery.tables[TABLE] = [
        row("0.1"), row("0.000000000000000001"), row("-0.5", "2026-11-30 23:59:59"),
        row("9", "2026-10-31 23:59:59"), row("9", "2026-12-01 00:00:00"),
    ]  # fmt: skip
    assert costs(bigquery) == {START: Decimal("0.100000000000000001"), date(2026, 11, 30): Decimal("-0.5")}


def test_what_the_ledger_has_already_is_left_out(bigquery: BigQuery) -> None:
    services = ("Gemini API", "VERTEX AI", "Cloud SQL", None)
    bigquery.tables[TABLE] = [row("1", service=service) for service in services]
    assert costs(bigquery) == {START: 2}
    assert costs(bigquery, billing_export_excludes="none") == {START: 4}


def test_a_table_without_rows_has_no_costs(bigquery: BigQuery) -> None:
    assert costs(bigquery) == {}


def test_an_outcome_that_takes_its_time_is_waited_for(bigquery: BigQuery) -> None:
    bigquery.tables[TABLE] = [row("1")]
    bigquery.is_slow = True
    assert costs(bigquery) == {START: 1}


def test_the_query_has_parameters_and_a_limit_and_carries_no_credentials_over_http(bigquery: BigQuery) -> None:
    costs(bigquery)
    (query,) = bigquery.queries
    assert query["maximumBytesBilled"] == str(20 * 2**30)
    assert [one["name"] for one in query["queryParameters"]] == ["start", "end", "excluded"]
    assert "2026" not in query["query"]
    assert bigquery.authorizations == [None]


def test_the_query_is_paid_by_our_project_where_there_is_one(bigquery: BigQuery) -> None:
    costs(bigquery)
    costs(bigquery, google_cloud_project="lending-prod")
    assert bigquery.projects == ["finance-prod", "lending-prod"]


def test_another_currency_is_named_and_not_converted(bigquery: BigQuery) -> None:
    bigquery.tables[TABLE] = [row("0", currency="EUR"), row("1")]
    assert costs(bigquery) == {START: 1}
    bigquery.tables[TABLE] = [row("2", currency="EUR"), row("1")]
    unusable(
        bigquery, "BillingCurrency is EUR, and costs are added up in USD only: nothing is converted"
    )  # rather than a part of the costs


def test_a_cost_that_is_null_is_no_zero(bigquery: BigQuery) -> None:
    bigquery.tables[TABLE] = [row(None)]
    unusable(bigquery, "ChargePeriodStart or EffectiveCost is null in the table")


def test_a_missing_column_is_named(bigquery: BigQuery) -> None:
    bigquery.columns = ("ChargePeriodStart", "BillingCurrency", "ServiceName")
    unusable(bigquery, "there is no column EffectiveCost, as FOCUS has")


def test_a_missing_table_is_said_so(bigquery: BigQuery) -> None:
    unusable(bigquery, "BigQuery has no such table", table="finance-prod.gcp_billing.other")


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        (403, "accessDenied", "BigQuery lets us not read the table, or not run a query"),
        (400, "bytesBilledLimitExceeded", "the table is too large: a query would read more than 20 GiB"),
        (400, "invalidQuery", "BigQuery refuses the query"),
        (401, "authError", "BigQuery cannot be reached, or takes too long"),
    ],
)
def test_a_refusal_is_told_in_our_own_words(bigquery: BigQuery, status: int, reason: str, said: str) -> None:
    bigquery.refusal = (status, reason)
    unusable(bigquery, said)


def test_a_server_that_is_not_there_is_said_so(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.cost_report.billing_table.ANSWER_SECONDS", 0.2)
    unusable(BigQuery(url=f"http://{servers.LOOPBACK}:{free_port}"), "BigQuery cannot be reached, or takes too long")


@pytest.mark.parametrize(
    "table",
    ["", "table", "dataset.table", "P.d.t", "p.d.t`; DROP TABLE x", "proj.data`set.t", "proj.d.t OPTIONS", "proj..t",
     "proj.d.t\n", "proj.da-ta.t"],
)  # fmt: skip
def test_a_name_that_is_no_tables_never_reaches_a_query(bigquery: BigQuery, table: str) -> None:
    unusable(bigquery, "must name a table as bigquery://PROJECT.DATASET.TABLE", table=table)
    assert bigquery.queries == []


@pytest.mark.parametrize("table", ["proj.d.t", "example.com:proj-1.d_1.t-1", TABLE])
def test_names_of_tables_that_there_may_be(bigquery: BigQuery, table: str) -> None:
    bigquery.tables = {table: [row("1")]}
    assert costs(bigquery, table=table) == {START: 1}


def test_bigquery_is_loaded_where_it_is_needed_and_not_before() -> None:
    code = (
        f"HEAVY = {HEAVY}; import sys; "
        "import functions.cost_report.billing_export, functions.cost_report.billing_table; "
        "print([one for one in sys.modules if one.startswith(HEAVY)])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
