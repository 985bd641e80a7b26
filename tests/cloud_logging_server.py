"""A local server that speaks google.logging.v2.LoggingServiceV2, so that tests run through the real client.

    with CloudLoggingServer() as server:
        server.status = grpc.StatusCode.UNAVAILABLE  # what the next calls are answered with; None: taken
        server.hangs = True  # the next calls get no answer before the server stops
        ... server.client(), server.entries ...

Source of the shapes: https://cloud.google.com/logging/docs/reference/v2/rpc/google.logging.v2
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc  # type: ignore[import-untyped]  # it ships no types
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport
from google.cloud.logging_v2.types import LogEntry, WriteLogEntriesRequest, WriteLogEntriesResponse


class CloudLoggingServer:
    """Listens on 127.0.0.1 from the start of its `with` block."""

    def __init__(self) -> None:
        self.status: Any = None  # Any: a grpc.StatusCode; grpc is untyped
        self.hangs = False
        self.requests: list[WriteLogEntriesRequest] = []
        self._arrived = threading.Condition()
        self._stopping = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(
            self._write_log_entries,
            request_deserializer=WriteLogEntriesRequest.deserialize,
            response_serializer=WriteLogEntriesResponse.serialize,
        )
        service = grpc.method_handlers_generic_handler(
            "google.logging.v2.LoggingServiceV2", {"WriteLogEntries": handler}
        )
        self._server.add_generic_rpc_handlers((service,))
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.stop(0).wait()

    def client(self) -> LoggingServiceV2Client:
        """The real client, connected to this server."""
        return client(self.target)

    @property
    def entries(self) -> list[LogEntry]:
        """All entries that were taken, in their order."""
        with self._arrived:
            return [entry for request in self.requests for entry in request.entries]

    def wait_for(self, count: int, seconds: float = 10) -> list[LogEntry]:
        """The entries, once there are `count` or `seconds` have passed."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self.entries) >= count, seconds)
        return self.entries

    def _write_log_entries(self, request: WriteLogEntriesRequest, context: Any) -> WriteLogEntriesResponse:
        if self.hangs:
            self._stopping.wait(60)
        if self.status is not None:
            context.abort(self.status, "scripted")
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        return WriteLogEntriesResponse()


def client(target: str) -> LoggingServiceV2Client:
    """The real client for a server at `target` (host:port), without TLS and credentials."""
    return LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=grpc.insecure_channel(target)))
