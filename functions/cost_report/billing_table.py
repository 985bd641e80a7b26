"""The cloud's costs by day out of a BigQuery table in FOCUS columns, such as Google's own export of its bill."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from common.settings import Settings
from functions.cost_report.billing_rows import (
    COLUMNS,
    CURRENCY,
    BillingExportUnusable,
    Wanted,
    in_another_currency,
)

if TYPE_CHECKING:
    from google.api_core.exceptions import BadRequest
    from google.cloud.bigquery import Client, QueryJobConfig
    from google.cloud.bigquery.table import RowIterator

MAX_BYTES_BILLED = 20 * 2**30  # of one query: a report must not become a cost itself
ANSWER_SECONDS = 30.0

# Neither the project, which may be EXAMPLE.COM:PROJECT, nor the other two hold what could end a quoted name.
_TABLE = re.compile(r"([a-z][a-z0-9:.-]{2,100}[a-z0-9])\.([A-Za-z0-9_]{1,1024})\.([A-Za-z0-9_-]{1,1024})")

# BIGNUMERIC, for EffectiveCost may be a float there, and costs of a day are added up exactly.
_QUERY = """
SELECT DATE(ChargePeriodStart) AS day, BillingCurrency AS currency, SUM(CAST(EffectiveCost AS BIGNUMERIC)) AS cost
FROM `{table}`
WHERE DATE(ChargePeriodStart) >= @start AND DATE(ChargePeriodStart) < @end
  AND LOWER(COALESCE(ServiceName, '')) NOT IN UNNEST(@excluded)
GROUP BY day, currency
"""


def costs_of_table(name: str, wanted: Wanted, chosen: Settings) -> Mapping[date, Decimal]:
    """Costs in USD by day of the table `name` (PROJECT.DATASET.TABLE), added up over there.

    Raises:
        BillingExportUnusable: there is none of that name or BigQuery does not answer; or it is in another currency,
            lacks a column or is too large.
    """
    table = _TABLE.fullmatch(name)
    if table is None:
        raise BillingExportUnusable("must name a table as bigquery://PROJECT.DATASET.TABLE")
    costs: dict[date, Decimal] = {}
    with _told_by_bigquery(), closing(_client(chosen, project=table[1])) as client:
        for row in _asked(client, _QUERY.format(table=name), _config(wanted)):
            if row["cost"] is None or row["day"] is None:
                raise BillingExportUnusable("ChargePeriodStart or EffectiveCost is null in the table")
            if row["currency"] != CURRENCY and row["cost"] != 0:
                raise BillingExportUnusable(in_another_currency(row["currency"]))
            costs[row["day"]] = costs.get(row["day"], Decimal(0)) + row["cost"]
    return costs


def _client(chosen: Settings, *, project: str) -> "Client":
    """With the application default credentials, but over plain http without any: that is a local server."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client

    endpoint = chosen.bigquery_endpoint
    nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
    is_local = (endpoint or "").startswith("http://")
    return Client(
        project=chosen.google_cloud_project or project,  # which pays for the query
        credentials=nobody if is_local else None,
        client_options={"api_endpoint": endpoint} if endpoint else None,
    )


def _config(wanted: Wanted) -> "QueryJobConfig":
    from google.cloud.bigquery import ArrayQueryParameter, QueryJobConfig, ScalarQueryParameter

    return QueryJobConfig(
        maximum_bytes_billed=MAX_BYTES_BILLED,
        query_parameters=[
            ScalarQueryParameter("start", "DATE", wanted.start),
            ScalarQueryParameter("end", "DATE", wanted.end),
            ArrayQueryParameter("excluded", "STRING", sorted(wanted.excluded)),
        ],
    )


def _asked(client: "Client", query: str, config: "QueryJobConfig") -> "RowIterator":
    """The library's own limits are ten minutes: nobody waits that long for a report."""
    from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY, DEFAULT_RETRY

    return client.query_and_wait(
        query,
        job_config=config,
        api_timeout=ANSWER_SECONDS,
        wait_timeout=ANSWER_SECONDS,
        retry=DEFAULT_RETRY.with_timeout(ANSWER_SECONDS),
        job_retry=DEFAULT_JOB_RETRY.with_timeout(ANSWER_SECONDS),
    )


@contextmanager
def _told_by_bigquery() -> Iterator[None]:
    from google.api_core.exceptions import BadRequest, Forbidden, NotFound

    try:
        yield
    except BillingExportUnusable:
        raise
    except NotFound as error:
        raise BillingExportUnusable("BigQuery has no such table") from error
    except Forbidden as error:
        raise BillingExportUnusable("BigQuery lets us not read the table, or not run a query") from error
    except BadRequest as error:
        raise BillingExportUnusable(_why_refused(error)) from error
    except Exception as error:  # google.auth, google.api_core and requests have no common class
        raise BillingExportUnusable("BigQuery cannot be reached, or takes too long") from error


def _why_refused(error: "BadRequest") -> str:
    if any(one.get("reason") == "bytesBilledLimitExceeded" for one in error.errors):
        return f"the table is too large: a query would read more than {MAX_BYTES_BILLED // 2**30} GiB"
    unknown = [name for name in COLUMNS if name in error.message]
    return f"there is no column {', '.join(unknown)}, as FOCUS has" if unknown else "BigQuery refuses the query"
