"""One request from its first line to its last byte: its server span, its measures and its line in the log."""

import time

from common import logging, tracing
from common.metrics import metrics_collector, push_due
from common.telemetry import semconv
from common.telemetry.delivery import one_wait
from common.telemetry.trace_context import Headers
from common.tracing import Attributes, server_span

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "_OTHER"  # OpenTelemetry's word for methods that HTTP does not know: they may be any text
NO_ROUTE = "-"

log = logging.component_logger("function")

_warm: dict[str, object] = {}


class Exchange:
    """Opened when a request comes, finished once, in the same context: its span and its log fields belong to that.

    `route` is the template, None where there is none; an address may hold anything, and stays out. It may be set
    until the end.
    """

    def __init__(self, function: str, *, method: str, headers: Headers, route: str | None, bytes_in: int) -> None:
        self.route = route
        self.started = time.monotonic()
        self._function = function
        self._method = method if method in METHODS else OTHER_METHOD
        self._bytes_in = bytes_in
        self._is_finished = False
        self._has_failed = False
        name = f"{self._method} {route}" if route else self._method
        self._span_scope = server_span(headers, name, self._attributes())
        self._span = self._span_scope.__enter__()
        self._in_progress = metrics_collector.in_progress(function)
        self._in_progress.__enter__()
        _count_cold_start(function)

    def fail(self, error: BaseException) -> None:
        """The request ends in a server error; `error` is counted by its class. A second call does nothing."""
        if not self._has_failed:
            self._has_failed = True
            self._span.fail(type(error).__name__)
            metrics_collector.record_error(self._function, type(error).__name__)

    def finish(self, status: int, bytes_out: int | None) -> None:
        """`bytes_out` is None where nobody counted. A second call does nothing."""
        if self._is_finished:
            return
        self._is_finished = True
        seconds = time.monotonic() - self.started
        route = self.route or NO_ROUTE
        self._span.set(semconv.HTTP_RESPONSE_STATUS_CODE, status)
        metrics_collector.record_http_request(self._function, route, self._method, status, seconds)
        self._in_progress.__exit__(None, None, None)
        log.info(
            "request.finished",
            method=self._method,
            route=self.route,
            status=status,
            bytes_in=self._bytes_in,
            bytes_out=bytes_out,
            duration_ms=round(seconds * 1000, 1),
        )
        self._span_scope.__exit__(None, None, None)
        with one_wait():
            tracing.flush_due()
            logging.flush_due()
            push_due()

    def _attributes(self) -> Attributes:
        attributes = {semconv.HTTP_REQUEST_METHOD: self._method, semconv.FAAS_NAME: self._function}
        return attributes | {semconv.HTTP_ROUTE: self.route} if self.route else attributes


def _count_cold_start(function: str) -> None:
    mark = object()
    if function not in _warm and _warm.setdefault(function, mark) is mark:  # one thread alone finds its own mark there
        metrics_collector.record_cold_start(function)
