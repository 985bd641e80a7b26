"""From an open span to an exporter, with the OpenTelemetry SDK: sampled, held, queued, cleaned, sent.

Imported only when spans go somewhere. A caller that records its trace gets our part of it; every other trace is
decided by the ratio and its id, also where the caller does not record it, for on Cloud Run that is the front end, which
records a tenth of a request a second. A caller may so have each of its traces recorded; a ratio over its ids would not
hinder it, for it makes the ids as well. What bounds the cost is the queue: what does not fit is counted.
"""

import concurrent.futures.thread  # noqa: F401  # see `_before_pools_end`
import os
import socket
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.context.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import AlwaysRecordSampler, ParentBased, TraceIdRatioBased

from common.logging import get_logger
from common.settings import Settings
from common.telemetry import semconv
from common.telemetry.delivery import Delivery
from common.telemetry.trace_cleaning import clean
from common.telemetry.trace_exporters import create_exporter
from common.telemetry.trace_holding import Holding
from common.telemetry.trace_sdk import MAX_RAW_CHARACTERS, RandomIds, RecordedSpan, SdkTracer
from common.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace.export import SpanExporter

log = get_logger(__name__)

MAX_QUEUED = 4096  # spans
BATCH = 128  # spans in one export: encoding them takes a few milliseconds, in which requests may wait for the GIL
TURN = 8  # spans that are cleaned before requests get a turn
EVERY_SECONDS = 5.0


class ExportFailed(Exception):
    """The exporter gave up on a batch."""


class Pipeline(SpanProcessor):
    """Takes each span that ends, ours and those that libraries make with the SDK; a delivery sends them, through what
    `make_exporter` makes there."""

    def __init__(
        self,
        settings: Settings,
        service_name: str,
        make_exporter: "Callable[[Settings], SpanExporter]" = create_exporter,
    ) -> None:
        self._settings = settings
        self._service_name = service_name
        self._make_exporter = make_exporter
        self._queue: deque[ReadableSpan | RecordedSpan] = deque()
        self._holding = Holding(_count_dropped)
        self._exporter: SpanExporter | None = None
        self._resource: Resource | None = None
        self._is_stopped = False
        self.delivery = Delivery(
            "traces",
            self._send,
            every_seconds=EVERY_SECONDS,
            wait_seconds=settings.telemetry_wait_ms / 1000,
            close=self._close,
            has_work=lambda: bool(self._queue),
            forget=self._forget,
        )
        by_ratio = TraceIdRatioBased(settings.trace_sample_ratio)
        self.provider = TracerProvider(
            sampler=AlwaysRecordSampler(ParentBased(by_ratio, remote_parent_not_sampled=by_ratio)),
            resource=Resource({}),  # the right one is put in when a span leaves: in the process that sends it
            shutdown_on_exit=False,
            id_generator=RandomIds(),
            span_limits=SpanLimits(max_span_attribute_length=MAX_RAW_CHARACTERS),
        )
        self.provider.add_span_processor(self)
        self.tracer = SdkTracer(settings.trace_sample_ratio, self._began, self._ended)
        _before_pools_end(self)

    def serve_libraries(self) -> None:
        """Have instrumented libraries make their spans here too, unless the program has given them a provider."""
        if isinstance(otel.get_tracer_provider(), otel.ProxyTracerProvider):
            otel.set_tracer_provider(self.provider)

    def make_ready(self) -> None:
        """Have the exporter made, if it will be needed, by sending what there is; bounded."""
        if self._exporter is None and self._queue:
            self.delivery.flush()

    def close(self) -> None:
        """Send what is left, bounded; what could not be sent, and spans that end later, are counted as dropped."""
        self.delivery.close()
        self._is_stopped = True
        left = len(self._queue)
        self._queue.clear()
        if left:
            _count_dropped(left)

    def _began(self, span: RecordedSpan) -> None:
        """A span of ours, of a trace that is not sampled."""
        self._holding.opened(span.get_span_context(), span.parent_context())

    def _ended(self, span: RecordedSpan) -> None:
        if span.context.sampled:
            self._enqueue(span)
        else:
            for one in self._holding.ended(span.readable()):
                self._enqueue(one)

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:  # noqa: ARG002  # the SDK's
        context = span.get_span_context()
        if not context.trace_flags.sampled:
            self._holding.opened(context, span.parent)

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        assert context is not None  # every ended span has one
        spans = [span] if context.trace_flags.sampled else self._holding.ended(span)
        for one in spans:
            self._enqueue(one)

    def _enqueue(self, span: ReadableSpan | RecordedSpan) -> None:
        if self._is_stopped or len(self._queue) >= MAX_QUEUED:
            _count_dropped(1)
            return
        self._queue.append(span)
        if len(self._queue) % BATCH == 0:
            self.delivery.wake()
        else:
            self.delivery.start()

    def _forget(self) -> None:
        """In a forked child: what is queued is the parent's, who sends it, and so are its connections."""
        self._queue.clear()
        self._holding.clear()
        self._exporter = None
        self._resource = None

    def _send(self) -> None:
        """Send what is queued, in batches, until `Settings.telemetry_timeout_seconds` are over.

        Raises:
            ExportFailed: a batch is lost; those behind it stay for the next time. So with what the exporter raises.
        """
        # Instrumented libraries make no spans of their own for what the exporter does with them.
        otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        deadline = time.monotonic() + self._settings.telemetry_timeout_seconds
        exporter = self._usable_exporter()
        while self._queue and time.monotonic() < deadline:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if exporter is None:
                _count_dropped(len(batch))
            else:
                _export(exporter, self._clean_all(batch))

    def _usable_exporter(self) -> "SpanExporter | None":
        if self._exporter is None and not self._is_stopped:
            try:
                self._exporter = self._make_exporter(self._settings)
            except Exception as error:  # noqa: BLE001  # as missing credentials: said once, and no more is recorded
                log.error("tracing.exporter_unusable", error_type=type(error).__name__)
                self._is_stopped = True
        return self._exporter

    def _clean_all(self, batch: list[ReadableSpan | RecordedSpan]) -> list[ReadableSpan]:
        """Gives the GIL away now and then: the interpreter would take it only after 5 ms, a request's latency.

        A span that cannot be cleaned stays here, and is counted: the others have no part in it.
        """
        cleaned = []
        for number, span in enumerate(batch):
            try:
                cleaned.append(self._clean(span.readable() if isinstance(span, RecordedSpan) else span))
            except Exception:  # noqa: BLE001  # an attribute of somebody's own class may raise anything
                _count_dropped(1)
            if number % TURN == 0:
                time.sleep(0)
        return cleaned

    def _clean(self, span: ReadableSpan) -> ReadableSpan:
        if self._resource is None:
            self._resource = _resource(self._settings, self._service_name)
        cleaned, left_out = clean(span, self._resource, with_content=self._settings.trace_content)
        if left_out:
            _count_dropped(left_out, "attributes")
        return cleaned

    def _close(self) -> None:
        if self._exporter is not None:
            self._exporter.shutdown()


def _export(exporter: "SpanExporter", spans: list[ReadableSpan]) -> None:
    """All of them arrive, or all are counted."""
    have_left = not spans
    try:
        have_left = have_left or exporter.export(spans) is SpanExportResult.SUCCESS
    finally:
        if not have_left:
            _count_dropped(len(spans))
    if not have_left:
        raise ExportFailed


def _before_pools_end(pipeline: Pipeline) -> None:
    """Make the exporter ready before the interpreter ends the pools of `concurrent.futures`.

    That comes before `atexit`, and after it the import of the gRPC exporter fails. A process that lives for less than
    a second needs this. Pools registered before us, by the import above, end after us.
    """
    reference = weakref.ref(pipeline)

    def make_ready() -> None:
        found = reference()
        if found is not None:
            found.make_ready()

    threading._register_atexit(make_ready)  # type: ignore[attr-defined]  # private; the pools themselves use it


def _count_dropped(count: int, channel: str = "traces") -> None:
    from common.metrics import metrics_collector

    metrics_collector.record_telemetry_dropped(channel, count)


def _resource(settings: Settings, service_name: str) -> Resource:
    instance = f"{settings.k_revision or socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
    attributes = {
        semconv.SERVICE_NAME: service_name,
        semconv.SERVICE_VERSION: VERSION,
        semconv.SERVICE_INSTANCE_ID: instance,
        semconv.DEPLOYMENT_ENVIRONMENT_NAME: settings.environment,
        semconv.TELEMETRY_SDK_LANGUAGE: "python",
        semconv.TELEMETRY_SDK_NAME: "opentelemetry",
    }
    if settings.k_service is not None:
        attributes |= {
            semconv.CLOUD_PROVIDER: "gcp",
            semconv.CLOUD_PLATFORM: "gcp_cloud_run",
            semconv.FAAS_NAME: settings.k_service,
            semconv.FAAS_INSTANCE: instance,
        }
        if settings.k_revision is not None:
            attributes[semconv.FAAS_VERSION] = settings.k_revision
    if settings.google_cloud_project is not None:
        attributes |= {
            semconv.CLOUD_ACCOUNT_ID: settings.google_cloud_project,
            semconv.GCP_PROJECT_ID: settings.google_cloud_project,
        }
    return Resource(attributes)
