"""Where spans go, by setting. Every exporter is made in the delivery's thread, for importing one takes up to 0.2 s."""

import logging
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from common.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
TRACES_PATH = "/v1/traces"
LOG_EVERY_SECONDS = 60.0

# The loggers of the exporters' modules: what a parent logger filters does not hold for them.
TALKATIVE = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.cloud_trace",
)


class UnusableEndpoint(Exception):
    """`OTLP_ENDPOINT` is neither http(s):// nor grpc(s)://."""


def is_wanted(settings: Settings) -> bool:
    """Whether spans go anywhere."""
    return settings.trace_exporter != "none" or settings.jaeger_host is not None


class Occasionally(logging.Filter):
    """Lets one record a minute through. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._quiet_until = -LOG_EVERY_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  # the signature of all filters
        now = self._clock()
        if now < self._quiet_until:
            return False
        self._quiet_until = now + LOG_EVERY_SECONDS
        return True


_occasionally = Occasionally()


def _calm_exporters() -> None:
    """Exporters log each attempt that fails. A line a minute tells as much; failures are counted elsewhere."""
    for name in TALKATIVE:
        logging.getLogger(name).addFilter(_occasionally)  # once: a filter that is there is not added again


def create_exporter(settings: Settings) -> "SpanExporter":
    """The exporter that `settings` ask for; one export is bounded by `Settings.telemetry_timeout_seconds`.

    Raises:
        UnusableEndpoint: nothing can be reached by that address.
        google.auth.exceptions.DefaultCredentialsError: Cloud Trace, and no credentials here.
    """
    _calm_exporters()
    if settings.jaeger_host is not None:
        return _otlp(f"grpc://{settings.jaeger_host}:4317", settings.telemetry_timeout_seconds)
    if settings.trace_exporter == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if settings.trace_exporter == "cloud-trace":
        return cloud_trace(settings.google_cloud_project, _cloud_trace_client(), settings.telemetry_timeout_seconds)
    return _otlp(settings.otlp_endpoint or DEFAULT_ENDPOINT, settings.telemetry_timeout_seconds)


def _otlp(endpoint: str, timeout_seconds: float) -> "SpanExporter":
    parts = urlsplit(endpoint)
    if not parts.netloc or parts.scheme not in {"http", "https", "grpc", "grpcs"}:
        raise UnusableEndpoint
    if parts.scheme in {"grpc", "grpcs"}:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc

        return OverGrpc(endpoint=parts.netloc, insecure=parts.scheme == "grpc", timeout=timeout_seconds)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp

    path = parts.path.rstrip("/")
    url = parts._replace(path=path if path.endswith(TRACES_PATH) else path + TRACES_PATH).geturl()
    return OverHttp(endpoint=url, timeout=timeout_seconds)


def cloud_trace(project: str | None, client: object, timeout_seconds: float) -> "SpanExporter":
    """The Cloud Trace exporter over `client`, a `TraceServiceClient`; without `project` that of the credentials."""
    from opentelemetry.exporter.cloud_trace import CloudTraceSpanExporter

    # Google recommends OTLP to telemetry.googleapis.com in its place; we have both, by setting. The filters stay, for
    # the second warning comes with each export, and taking filters off again is not safe beside other threads.
    warnings.filterwarnings("ignore", message="CloudTraceSpanExporter is deprecated", category=DeprecationWarning)
    warnings.filterwarnings(
        "ignore",
        message=r"Deprecated since version 1\.4\.0",  # the SDK's BoundedDict, of which it makes use
        category=DeprecationWarning,
        module=r"opentelemetry\.exporter\.cloud_trace",
    )
    bounded = _BoundedClient(client, timeout_seconds)
    # Any: the package has no types
    return cast("SpanExporter", cast(Any, CloudTraceSpanExporter)(project_id=project, client=bounded))


def _cloud_trace_client() -> object:
    from google.cloud.trace_v2 import TraceServiceClient

    return TraceServiceClient()


class _BoundedClient:
    """The one method of `TraceServiceClient` that the exporter calls, without a bound of its own, given one."""

    def __init__(self, client: Any, timeout_seconds: float) -> None:  # Any: the exporter's own argument has no type
        from google.api_core import exceptions, retry

        self._client = client
        self._timeout_seconds = timeout_seconds
        self._retry = retry.Retry(
            predicate=retry.if_exception_type(exceptions.ServiceUnavailable), initial=0.1, timeout=timeout_seconds
        )

    def batch_write_spans(self, *, request: object) -> None:
        self._client.batch_write_spans(request=request, retry=self._retry, timeout=self._timeout_seconds)
