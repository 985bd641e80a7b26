"""Cloud Monitoring: what Cloud Run itself counts and times of each revision's requests.

Source of the metrics: https://cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-run. A figure is taken each minute,
and may be seen up to three minutes later.
"""

import datetime
import math
from collections.abc import Iterable

from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.cloud import monitoring_v3

from infra.deploy.cloud import CloudFailed
from infra.deploy.watching import Reading

_COUNT = "run.googleapis.com/request_count"
_LATENCY = "run.googleapis.com/request_latencies"
_CLASS = "response_code_class"
_MINUTE = 60  # the shortest period that figures are put together by
_PASSING = if_exception_type(
    exceptions.ServiceUnavailable, exceptions.DeadlineExceeded, exceptions.InternalServerError,
    exceptions.ResourceExhausted, exceptions.Aborted,
)  # fmt: skip

_Aggregation = monitoring_v3.Aggregation
_Reducer = monitoring_v3.Aggregation.Reducer  # its members are numbers to mypy


class GoogleMonitoring:
    """The figures of the services of one project and region."""

    def __init__(
        self,
        client: monitoring_v3.MetricServiceClient,
        *,
        project: str,
        region: str,
        first_seconds: float = 1.0,
        attempts_seconds: float = 60.0,
    ) -> None:
        self._client = client
        self._project = project
        self._region = region
        self._again = Retry(predicate=_PASSING, initial=first_seconds, maximum=10, timeout=attempts_seconds)

    def reading(self, service: str, revision: str, since: datetime.datetime, until: datetime.datetime) -> Reading:
        """See `Measurements.reading`. The time is a minute at least, and ends at `until`."""

        def series(metric: str, reducer: int, by: tuple[str, ...] = ()) -> list[monitoring_v3.TimeSeries]:
            return self._series(metric, service, revision, since, until, reducer, by)

        by_class: dict[str, int] = {}
        for one in series(_COUNT, _Reducer.REDUCE_SUM, (f"metric.labels.{_CLASS}",)):
            name = one.metric.labels[_CLASS]
            by_class[name] = by_class.get(name, 0) + sum(point.value.int64_value for point in one.points)
        return Reading(
            requests=sum(by_class.values()),
            server_errors=by_class.get("5xx", 0),
            p95_ms=_highest(series(_LATENCY, _Reducer.REDUCE_PERCENTILE_95)),
            p99_ms=_highest(series(_LATENCY, _Reducer.REDUCE_PERCENTILE_99)),
        )

    def _series(
        self,
        metric: str,
        service: str,
        revision: str,
        since: datetime.datetime,
        until: datetime.datetime,
        reducer: int,
        by: tuple[str, ...],
    ) -> list[monitoring_v3.TimeSeries]:
        seconds = max(_MINUTE, math.ceil((until - since).total_seconds()))
        where = {
            "metric.type": metric,
            "resource.type": "cloud_run_revision",
            "resource.labels.location": self._region,
            "resource.labels.service_name": service,
            "resource.labels.revision_name": revision,
        }
        request = monitoring_v3.ListTimeSeriesRequest(
            name=f"projects/{self._project}",
            filter=" AND ".join(f'{field} = "{value}"' for field, value in where.items()),
            interval=monitoring_v3.TimeInterval(start_time=until - datetime.timedelta(seconds=seconds), end_time=until),
            aggregation=_Aggregation(
                alignment_period=datetime.timedelta(seconds=seconds),
                per_series_aligner=_Aggregation.Aligner.ALIGN_DELTA,
                cross_series_reducer=reducer,
                group_by_fields=by,
            ),
        )
        try:
            return list(self._again(lambda: list(self._client.list_time_series(request, retry=None, timeout=30)))())
        except exceptions.RetryError as error:
            raise CloudFailed(f"read the figures of {revision}: still {type(error.cause).__name__}") from error
        except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
            raise CloudFailed(f"read the figures of {revision}: {' '.join(str(error).split())}") from error


def _highest(found: Iterable[monitoring_v3.TimeSeries]) -> float | None:
    """None where nothing was measured."""
    return max((point.value.double_value for one in found for point in one.points), default=None)
