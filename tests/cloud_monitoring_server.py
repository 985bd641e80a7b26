"""A local server that speaks google.monitoring.v3.MetricService, so that tests run through the real client.

    with CloudMonitoringServer() as server:
        server.figures["lcc-dev-query-00002-abc"] = Figures(requests=200, server_errors=10, p95_ms=80, p99_ms=120)
        ... server.target ...

It answers what Cloud Run's request_count and request_latencies come to over the whole of the time asked for.
Source of the shapes: https://cloud.google.com/monitoring/api/ref_v3/rpc/google.monitoring.v3
"""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc  # type: ignore[import-untyped]  # it ships no types
from google.cloud.monitoring_v3.types import Aggregation, ListTimeSeriesRequest, ListTimeSeriesResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is said of one revision, over whatever time it is asked for."""

    requests: int = 200
    server_errors: int = 0
    p95_ms: float = 100
    p99_ms: float = 200


NOTHING = Figures(requests=0)


class CloudMonitoringServer:
    """Listens on 127.0.0.1 from the start of its `with` block."""

    def __init__(self) -> None:
        self.status: Any = None  # Any: a grpc.StatusCode, answered to everything; grpc is untyped
        self.figures: dict[str, Figures] = {}  # by revision; of another, `otherwise`
        self.otherwise = Figures()
        self.on_read: Callable[[str], None] = lambda _revision: None
        self.requests: list[ListTimeSeriesRequest] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(
            self._list_time_series,
            request_deserializer=ListTimeSeriesRequest.deserialize,
            response_serializer=ListTimeSeriesResponse.serialize,
        )
        service = grpc.method_handlers_generic_handler(
            "google.monitoring.v3.MetricService", {"ListTimeSeries": handler}
        )
        self._server.add_generic_rpc_handlers((service,))
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(0).wait()

    def _list_time_series(self, request: ListTimeSeriesRequest, context: Any) -> ListTimeSeriesResponse:
        self.requests.append(request)
        if self.status is not None:
            context.abort(self.status, "scripted")
        where = dict(re.findall(r'([\w.]+) = "([^"]+)"', request.filter))
        assert where["resource.type"] == "cloud_run_revision"
        if request.aggregation.alignment_period.total_seconds() < 60:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The alignment period must be at least 60 seconds.")
        revision = where["resource.labels.revision_name"]
        self.on_read(revision)
        found = self.figures.get(revision, self.otherwise)
        if found.requests == 0:
            return ListTimeSeriesResponse()
        return ListTimeSeriesResponse(time_series=_series(where["metric.type"], request, found))


def _series(metric: str, request: ListTimeSeriesRequest, found: Figures) -> list[dict[str, Any]]:
    interval = {"start_time": request.interval.start_time, "end_time": request.interval.end_time}
    if metric == "run.googleapis.com/request_count":
        assert list(request.aggregation.group_by_fields) == ["metric.labels.response_code_class"]
        counts = {"2xx": found.requests - found.server_errors, "5xx": found.server_errors}
        return [
            {
                "metric": {"type": metric, "labels": {"response_code_class": name}},
                "points": [{"interval": interval, "value": {"int64_value": count}}],
            }
            for name, count in counts.items()
            if count
        ]
    assert metric == "run.googleapis.com/request_latencies"
    by_reducer = {
        Aggregation.Reducer.REDUCE_PERCENTILE_95: found.p95_ms,
        Aggregation.Reducer.REDUCE_PERCENTILE_99: found.p99_ms,
    }
    value = by_reducer[request.aggregation.cross_series_reducer]
    return [{"metric": {"type": metric}, "points": [{"interval": interval, "value": {"double_value": value}}]}]
