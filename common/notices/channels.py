"""The ways that a notice goes out by: a log line where nothing is set, mail, a webhook."""

from datetime import datetime
from typing import Literal, Protocol

from common.logging import component_logger
from common.notices.notice import Notice
from common.notices.targets import email_target, webhook_target
from common.settings import Settings

ChannelName = Literal["log", "email", "webhook"]

log = component_logger("notices")


class NotSent(Exception):
    """A channel did not take a notice. `reason` is in our own words, of at most 64 characters.

    `is_outage`: the same may work in a moment; otherwise a setting or the other side has to change first.
    """

    def __init__(self, reason: str, *, is_outage: bool) -> None:
        super().__init__(reason)
        self.reason = reason[:64]
        self.is_outage = is_outage


class TimedOut(NotSent):
    """Nobody can say whether it was taken. An outage, but no reason to send the same again in the next second."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: timed out", is_outage=True)


class Channel(Protocol):
    """One way out."""

    @property
    def name(self) -> ChannelName: ...

    def send(self, notice: Notice, *, put_at: datetime, timeout_seconds: float) -> None:
        """Hand `notice` over, once. `timeout_seconds` bounds each step of it, and whoever calls bounds the whole.

        Raises:
            NotSent: it was not taken, or nobody can say.
        """


class LogChannel:
    """The default: a line in the log, which a team has anyway."""

    name: ChannelName = "log"

    def send(self, notice: Notice, *, put_at: datetime, timeout_seconds: float) -> None:  # noqa: ARG002
        log.warning(
            "notice.given",
            kind=notice.kind,
            notice=notice.key,
            subject=notice.subject,
            lines=list(notice.lines),
            link=notice.link,
        )


def channels_for(settings: Settings) -> tuple[Channel, ...]:
    """Mail and webhook, whichever are set; the log where none is.

    Raises:
        InvalidSettings: as `common.notices.targets.check_targets`.
    """
    email, webhook = email_target(settings), webhook_target(settings)
    found: list[Channel] = []
    if email is not None:
        from common.notices.smtp import EmailChannel

        found.append(EmailChannel(email))
    if webhook is not None:
        from common.notices.webhook import WebhookChannel

        found.append(WebhookChannel(webhook))
    return tuple(found) or (LogChannel(),)
