"""Serves a WSGI application with the threaded worker that runs functions in production, inside this process.

In production gunicorn's master forks that worker. Here nothing is forked, since libraries that are loaded before
(the embedder, Chroma) have threads of their own, and a fork would lose them.
"""

import atexit
import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from local.refusal import Refused

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS = 32  # more than MAX_CONCURRENT_REQUESTS, so that no key alone holds up all others
BACKLOG = 256
STOP_SECONDS = 1  # what a request in flight may take after SIGTERM or Ctrl-C


class CannotListen(Refused):
    """The port cannot be opened; the message says why, and what to do."""


def reserve(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port` (0: a free one), not yet listening.

    Raises:
        CannotListen: in use, not allowed, or no such host.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with contextlib.ExitStack() as closing:
            bound = closing.enter_context(socket.socket(family, socket.SOCK_STREAM))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            closing.pop_all()
            return bound
    except OSError as error:
        raise _cannot_listen(error, host, port) from None


def serve(app: "WSGIApplication", bound: socket.socket, on_open: Callable[[str], None]) -> None:
    """Open the port, call `on_open` with its URL, and answer until SIGTERM or SIGINT.

    Must run in the main thread. Requests in flight get `STOP_SECONDS`; where one takes longer, the process ends
    without waiting for it: what it had not committed is as if it had never come.

    Raises:
        CannotListen: another process took the port since it was reserved.
    """
    host, port = bound.getsockname()[:2]
    try:
        bound.listen(BACKLOG)
    except OSError as error:
        raise _cannot_listen(error, host, port) from None
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    application = _Application(app)
    logger = application.cfg.logger_class(application.cfg)
    worker = _Worker(1, os.getppid(), [bound], application, 0, application.cfg, logger)
    on_open(url_of(host, port))
    worker.init_process()  # returns when the worker has stopped
    if worker.nr_conns:  # a thread still works, and the interpreter would wait for it
        leave()


def leave() -> NoReturn:
    """End the process as at its end, telemetry sent, but for the threads that still work: nobody waits for them."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(0)


def url_of(host: str, port: int) -> str:
    """Where a client on this machine reaches a server that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{reachable}:{port}"


def _cannot_listen(error: OSError, host: str, port: int) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(
            f"port {port} on {host} is in use: choose another with PORT, as in PORT={port + 1} make run"
        )
    return CannotListen(f"port {port} on {host} cannot be opened ({error.strerror}): check HOST and PORT")


class _Application(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    """gunicorn's settings, as the framework sets them for production but for the time a stop may take."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        super().__init__()

    def load_config(self) -> None:
        chosen = {
            "threads": THREADS,
            "timeout": 0,
            "graceful_timeout": STOP_SECONDS,
            "loglevel": "error",
            "limit_request_line": 0,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> "WSGIApplication":
        return self._app


class _Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """gunicorn's worker without a master: nobody forks it, watches it or outlives it."""

    def is_parent_alive(self) -> bool:
        return True  # a shell that ends after `make run &` does not end the emulator

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Ctrl-C ends like SIGTERM; pressed again, at once."""
        if not self.alive:
            os._exit(128 + sig)
        self.handle_exit(sig, frame)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        # A kept-alive connection without a request in it is not waited for.
        self.method_queue.defer(self.murder_keepalived, True)
