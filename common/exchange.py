"""One request from its first line to its last byte: its server span, its measures and its line in the log."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from http import HTTPStatus
from typing import Any

from werkzeug.exceptions import HTTPException

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

    def leave(self, error: BaseException, sent: int | None = None) -> None:
        """`error` leaves: Werkzeug's own is an answer, as that of `abort(404)`; any other ends in a server error.

        Where a status was `sent` before, the caller has that one; the error counts all the same.
        """
        status = sent or HTTPStatus.INTERNAL_SERVER_ERROR
        if sent is None and isinstance(error, HTTPException):
            status = error.get_response().status_code
        if sent is not None or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.fail(error)
        self.finish(status, None)

    def finish(self, status: int, bytes_out: int | None) -> None:
        """`bytes_out` is None where nobody counted. A second call does nothing."""
        if self._is_finished:
            return
        self._is_finished = True
        status = int(status)  # an HTTPStatus is no plain number to the log
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


class Streamed:
    """The pieces of an answer, made in their request's context. Its exchange ends with the last one, with an error, or
    when the server closes it, begun or not; `status` is that of the answer, None while there is none."""

    def __init__(
        self, pieces: Iterable[Any], exchange: Exchange, context: Context, status: Callable[[], int | None]
    ) -> None:
        self._pieces = pieces
        self._exchange = exchange
        self._context = context
        self._status = status
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:  # Any: bytes or, within Flask, text
        return self

    def __next__(self) -> Any:
        return self._context.run(self._next)

    def close(self) -> None:
        self._context.run(self._close)

    def _next(self) -> Any:
        try:
            if self._iterator is None:
                self._iterator = iter(self._pieces)
            return next(self._iterator)
        except StopIteration:
            self._finish()
            raise
        except BaseException as error:
            self._exchange.leave(error, self._status())
            raise

    def _close(self) -> None:
        try:
            close = getattr(self._pieces, "close", None)
            if close is not None:
                close()
        finally:
            self._finish()

    def _finish(self) -> None:
        self._exchange.finish(self._status() or HTTPStatus.INTERNAL_SERVER_ERROR, None)


def _count_cold_start(function: str) -> None:
    mark = object()
    if function not in _warm and _warm.setdefault(function, mark) is mark:  # one thread alone finds its own mark there
        metrics_collector.record_cold_start(function)
