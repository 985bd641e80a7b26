"""Push to a Pushgateway, for instances that nobody can scrape.

Each instance has a group of its own (`instance` beside `job`), so that none overwrites another, and takes it away when
it ends. The push runs in the thread of its delivery, never on a request's path.

Source: https://github.com/prometheus/pushgateway
"""

import atexit
import base64
import os
import re
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import OpenerDirector, Request, build_opener

from common.logging import get_logger
from common.no_redirects import NoRedirects
from common.once import once
from common.settings import Settings, settings
from common.telemetry.delivery import Delivery

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = get_logger(__name__)

Headers = list[tuple[str, str]]


class InvalidGateway(Exception):
    """PUSHGATEWAY_URL is no address of an HTTP server. It may hold a password, so nothing of it is told."""


class PushRefused(Exception):
    """The gateway answered with `status`, as 400 where another job pushes the same name with another type.

    The answer's body is not read: it may quote what was pushed.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A Pushgateway's address without credentials, and the header that carries them where there are any."""

    url: str
    authorization: str | None

    @classmethod
    def from_url(cls, url: str) -> "Gateway":
        """`url` may hold user:password@, each percent-encoded; without a scheme it is http.

        Raises:
            InvalidGateway: it names no HTTP server.
        """
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise InvalidGateway from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise InvalidGateway
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        address = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"
        return cls(url=address, authorization=_basic(parts.username, parts.password))


class Pusher:
    """Pushes `registry` as the group of this instance, and takes the group away."""

    def __init__(
        self, gateway: Gateway, *, job: str, place: str, registry: "CollectorRegistry", timeout: float
    ) -> None:
        """`place` is the revision or host; `timeout` bounds each wait for the gateway, in seconds; the
        delivery's end does not wait longer for a push than its own bound."""
        self._gateway = gateway
        self._job = job
        self._place = re.sub(r"[^A-Za-z0-9_.-]", "_", place)
        self._registry = registry
        self._timeout = timeout
        self._instance = (0, "")
        self._last_refusal: int | None = None
        self._is_ending = False

    @property
    def instance(self) -> str:
        """The name of this process, at no time that of another: also after a fork."""
        pid = os.getpid()
        if self._instance[0] != pid:
            self._instance = (pid, f"{self._place}-{pid}-{secrets.token_hex(4)}")
        return self._instance[1]

    def push(self) -> None:
        """Raises: PushRefused, OSError (TimeoutError among them), http.client.HTTPException."""
        from prometheus_client import pushadd_to_gateway

        try:
            pushadd_to_gateway(
                self._gateway.url, self._job, self._registry,
                grouping_key={"instance": self.instance}, timeout=self._timeout, handler=self._handler,
            )  # fmt: skip
        except PushRefused as refused:
            if refused.status != self._last_refusal:
                self._last_refusal = refused.status
                log.warning("metrics.push_refused", status=refused.status)
            raise
        self._last_refusal = None

    def delete(self) -> None:
        """Raises: as `push`."""
        from prometheus_client import delete_from_gateway

        delete_from_gateway(
            self._gateway.url, self._job,
            grouping_key={"instance": self.instance}, timeout=self._timeout, handler=self._handler,
        )  # fmt: skip

    def end(self) -> None:
        """No more pushes: what is pushed now would be deleted at once, or, worse, after it was deleted."""
        self._is_ending = True

    def has_work(self) -> bool:
        return not self._is_ending

    def _handler(
        self, url: str, method: str, timeout: float | None, headers: Headers, data: bytes
    ) -> Callable[[], None]:
        if self._gateway.authorization is not None:
            headers = [*headers, ("Authorization", self._gateway.authorization)]

        def handle() -> None:
            assert timeout is not None  # it is given with each call above
            status = _status_of(url, method, headers, data, timeout)
            if not 200 <= status < 300:
                raise PushRefused(status)

        return handle


@once
def _opener() -> OpenerDirector:
    return build_opener(NoRedirects)


def _status_of(url: str, method: str, headers: Headers, data: bytes, timeout: float) -> int:
    request = Request(url, data, dict(headers), method=method)  # noqa: S310  # `Gateway` takes http and https alone
    try:
        with _opener().open(request, timeout=timeout) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code
    except URLError as error:
        reason = error.reason  # TimeoutError and ConnectionRefusedError among others
        raise (reason if isinstance(reason, OSError) else error) from None


@once
def pusher() -> Delivery | None:
    """This instance's push, made at its first use; None where there is no gateway, or its address cannot be used."""
    found = settings()
    if found.pushgateway_url is None:
        return None
    try:
        return delivery_to(Gateway.from_url(found.pushgateway_url.get_secret_value()), found)
    except InvalidGateway:
        log.error("metrics.push_impossible", setting="PUSHGATEWAY_URL")
        return None


def delivery_to(gateway: Gateway, found: Settings) -> Delivery:
    """The delivery of this instance's metrics to `gateway`."""
    from common.metrics import REGISTRY

    to_gateway = Pusher(
        gateway,
        job=found.service_name,
        place=found.k_revision or socket.gethostname(),
        registry=REGISTRY,
        timeout=found.telemetry_timeout_seconds,
    )
    delivery = Delivery(
        "metrics",
        to_gateway.push,
        every_seconds=found.push_every_seconds,
        wait_seconds=found.telemetry_wait_ms / 1000,
        close=to_gateway.delete,
        has_work=to_gateway.has_work,
    )
    atexit.register(to_gateway.end)  # after the delivery's own, so it runs before it
    return delivery


def _basic(user: str | None, password: str | None) -> str | None:
    if user is None:
        return None
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"
