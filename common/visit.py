"""What a request holds on to until its answer has left: its place among those in flight, and its Idempotency-Key."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import flask

from common.logging import component_logger, frames_of
from common.security.access import Admission

if TYPE_CHECKING:
    from common.security.idempotency import Ticket

log = component_logger("function")


def _new_nonce() -> str:
    return secrets.token_urlsafe(16)


@dataclass(kw_only=True)
class Visit:
    """One request's. `nonce` is what scripts and styles of a page must carry. Nothing here raises."""

    nonce: str = field(default_factory=_new_nonce)
    admission: Admission | None = None
    ticket: "Ticket | None" = None

    def settle(self, response: flask.Response) -> None:
        """`response` is on its way: it tells the limits, and is kept under its key. A stream does that at its end."""
        if self.admission is not None:
            response.headers.extend(self.admission.headers)
        if not response.is_streamed:
            is_passing = response.status_code == HTTPStatus.TOO_MANY_REQUESTS  # tomorrow the answer is another one
            if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and not is_passing:
                self.keep(response.status_code, response.content_type, response.get_data)
            self.leave()

    def keep(self, status: int, content_type: str | None, body: Callable[[], bytes]) -> None:
        """Keep the answer for whoever asks again with the same key, where there is one."""
        ticket = self.ticket
        if ticket is None:
            return
        try:
            ticket.finish(status, content_type, body())
            self.ticket = None
        # The work is done, and the caller gets its answer; only asking again will do the work again.
        except Exception as error:  # noqa: BLE001
            log.error("idempotency.not_kept", error_type=type(error).__name__, frames=frames_of(error))

    def leave(self) -> None:
        """Give everything back. An answer that was not kept, as a server error or a 429, may be tried for again."""
        ticket, self.ticket = self.ticket, None
        if ticket is not None:
            try:
                ticket.release()
            except Exception as error:  # noqa: BLE001  # its lease ends by itself
                log.error("idempotency.not_released", error_type=type(error).__name__, frames=frames_of(error))
        if self.admission is not None:
            self.admission.close()
