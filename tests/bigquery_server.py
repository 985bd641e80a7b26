"""A fake of BigQuery's REST API, by the requests that google-cloud-bigquery makes for one query.

The query is really run: SQLite understands it once three words of BigQuery's are put into its own (`_in_sqlite`), and
the parameters are bound, never pasted in. Costs are kept as text and added up as decimals.
Source: https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/query
"""

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COLUMNS = ("ChargePeriodStart", "EffectiveCost", "BillingCurrency", "ServiceName")
Row = Mapping[str, str | None]


@dataclass
class BigQuery:
    """A running server. `tables` are rows by PROJECT.DATASET.TABLE; `queries` and `authorizations` are what came.

    `refusal` is the status and the reason of the error that each query gets; with `is_slow` a query is not done when
    it is first answered, and its outcome is to be fetched.
    """

    url: str = ""
    tables: dict[str, Sequence[Row]] = field(default_factory=dict)
    columns: Sequence[str] = COLUMNS
    refusal: tuple[int, str] | None = None
    is_slow: bool = False
    queries: list[dict[str, Any]] = field(default_factory=list)  # Any: JSON
    projects: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)


class _Refused(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bigquery: BigQuery

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(body)
        try:
            if self.bigquery.refusal is not None:
                raise _Refused(*self.bigquery.refusal, "Refused: secret-project")
            done = self._outcome(body)
            self._answer(200, {**_job(self.bigquery), "jobComplete": False} if self.bigquery.is_slow else done)
        except _Refused as refused:
            self._refuse(refused)

    def do_GET(self) -> None:
        """The job, and its outcome, of the last query."""
        if "/jobs/" in self.path:
            state = {
                "status": {"state": "DONE"},
                "configuration": {"query": {"query": "", "destinationTable": _NOWHERE}},
            }
            self._answer(200, {**_job(self.bigquery), **state})
        else:
            self._answer(200, self._outcome(self.bigquery.queries[-1]))

    def log_message(self, *_: object) -> None:
        """Nothing: a test reads what it needs from `BigQuery`."""

    def _note(self, body: dict[str, Any]) -> None:
        _, _, rest = self.path.partition("/bigquery/v2/projects/")
        self.bigquery.projects.append(rest.partition("/")[0])
        self.bigquery.queries.append(body)
        self.bigquery.authorizations.append(self.headers.get("Authorization"))

    def _outcome(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["useLegacySql"] is False
        assert body["parameterMode"] == "NAMED"
        name, query = _in_sqlite(body["query"])
        if name not in self.bigquery.tables:
            raise _Refused(404, "notFound", f"Not found: Table {name}")
        found = _run(query, _parameters(body), self.bigquery.tables[name], self.bigquery.columns)
        types = {"day": "DATE", "currency": "STRING", "cost": "BIGNUMERIC"}
        return {
            **_job(self.bigquery),
            "kind": "bigquery#queryResponse",
            "jobComplete": True,
            "schema": {"fields": [{"name": one, "type": kind, "mode": "NULLABLE"} for one, kind in types.items()]},
            "totalRows": str(len(found)),
            "rows": [{"f": [{"v": value} for value in row]} for row in found],
        }

    def _refuse(self, refused: _Refused) -> None:
        one = {"message": str(refused), "domain": "global", "reason": refused.reason}
        error = {"code": refused.status, "message": str(refused), "errors": [one]}
        self._answer(refused.status, {"error": error})

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


_NOWHERE = {"projectId": "p", "datasetId": "_anonymous", "tableId": "anonymous"}


def _job(bigquery: BigQuery) -> dict[str, Any]:
    return {"jobReference": {"projectId": bigquery.projects[-1], "jobId": "job_1", "location": "US"}}


def _in_sqlite(query: str) -> tuple[str, str]:
    """The table's name, and the query as SQLite has it."""
    found = re.search(r"FROM `([^`]+)`", query)
    assert found is not None
    ours = query.replace(f"`{found[1]}`", "bill")
    ours = ours.replace("SUM(CAST(EffectiveCost AS BIGNUMERIC))", "decimal_sum(EffectiveCost)")
    return found[1], ours.replace("UNNEST(@excluded)", "(SELECT value FROM json_each(@excluded))")


def _parameters(body: dict[str, Any]) -> dict[str, str]:
    found = {}
    for one in body["queryParameters"]:
        if one["parameterType"]["type"] == "ARRAY":
            assert one["parameterType"]["arrayType"]["type"] == "STRING"
            found[one["name"]] = json.dumps([each["value"] for each in one["parameterValue"]["arrayValues"]])
        else:
            assert one["parameterType"]["type"] == "DATE"
            found[one["name"]] = one["parameterValue"]["value"]
    return found


def _run(query: str, parameters: dict[str, str], rows: Sequence[Row], columns: Sequence[str]) -> list[Any]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.create_aggregate("decimal_sum", 1, _DecimalSum)  # type: ignore[arg-type]  # typeshed: int only
        database.execute(f"CREATE TABLE bill ({', '.join(f'{name} TEXT' for name in columns)})")
        values = [tuple(row[name] for name in columns) for row in rows]
        database.executemany(f"INSERT INTO bill VALUES ({', '.join('?' for _ in columns)})", values)
        try:
            return database.execute(query, parameters).fetchall()
        except sqlite3.OperationalError as error:  # no such column: NAME
            name = str(error).rpartition(" ")[2]
            raise _Refused(400, "invalidQuery", f"Unrecognized name: {name} at [2:8]") from None


class _DecimalSum:
    """As BigQuery's SUM: null where there is nothing but null."""

    def __init__(self) -> None:
        self._sum: Decimal | None = None

    def step(self, value: str | None) -> None:
        if value is not None:
            self._sum = (self._sum or Decimal(0)) + Decimal(value)

    def finalize(self) -> str | None:
        return None if self._sum is None else f"{self._sum:f}"


@contextmanager
def bigquery_server(tables: dict[str, Sequence[Row]]) -> Iterator[BigQuery]:
    """A server with these tables, until the end of the block."""
    bigquery = BigQuery(tables=tables)
    handler = type("Handler", (_Handler,), {"bigquery": bigquery})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        bigquery.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield bigquery
        finally:
            server.shutdown()
            thread.join()
