"""Notices by mail: one plain-text message to all recipients, over SMTP with TLS unless the server is this machine.

Source: RFC 8314 (TLS for mail submission), RFC 3834 (automatic messages say that they are)
"""

import smtplib
import ssl
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP

from common.logging import component_logger
from common.notices.channels import ChannelName, NotSent, TimedOut
from common.notices.notice import Notice
from common.notices.targets import EmailTarget

TRANSIENT = range(400, 500)  # of a server's answers: not now
SERVICE_NOT_AVAILABLE = 421

log = component_logger("notices")


class EmailChannel:
    """Sends to all recipients of `target`. One that the server refuses does not keep it from the others."""

    name: ChannelName = "email"

    def __init__(self, target: EmailTarget) -> None:
        self._target = target
        self._domain = target.sender.rpartition("@")[2]

    def send(self, notice: Notice, *, put_at: datetime, timeout_seconds: float) -> None:
        message = self._message(notice, put_at).as_bytes()  # smtplib itself would write ">From" for "From"
        try:
            with self._connected(timeout_seconds) as server:
                refused = server.sendmail(self._target.sender, list(self._target.recipients), message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise NotSent("recipients refused", is_outage=any(code in TRANSIENT for code in codes)) from error
        except smtplib.SMTPNotSupportedError as error:
            raise NotSent("no STARTTLS, or no log-in", is_outage=False) from error
        except smtplib.SMTPResponseException as error:
            is_outage = error.smtp_code in TRANSIENT or error.smtp_code < 0  # -1: what came back was no answer
            raise NotSent(f"mail server: {error.smtp_code}", is_outage=is_outage) from error
        except ssl.SSLError as error:
            is_outage = not isinstance(error, ssl.SSLCertVerificationError)
            raise NotSent("mail server: TLS failed", is_outage=is_outage) from error
        except (OSError, smtplib.SMTPException) as error:
            if TimeoutError in {type(error), type(error.__context__)}:  # smtplib makes one of its own of it
                raise TimedOut("mail server") from error
            raise NotSent(f"mail server: {type(error).__name__}", is_outage=True) from error
        if refused:
            log.warning("notice.recipients_refused", kind=notice.kind, notice=notice.key, count=len(refused))

    def _connected(self, timeout_seconds: float) -> smtplib.SMTP:
        """Logged in where the target says so, and never before the line is encrypted."""
        target = self._target
        # The name in EHLO is the sender's domain: smtplib would look this machine's up, which may take seconds.
        if target.protection == "implicit":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                target.host, target.port, self._domain, timeout=timeout_seconds, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(target.host, target.port, self._domain, timeout=timeout_seconds)
        try:
            if target.protection == "starttls":
                server.starttls(context=ssl.create_default_context())
            if target.user:
                server.login(target.user, target.password)
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, notice: Notice, put_at: datetime) -> EmailMessage:
        """The same text and Message-ID each time, so that a second copy is told as one."""
        message = EmailMessage(policy=SMTP)
        message["Subject"] = notice.subject
        message["From"] = self._target.sender
        message["To"] = ", ".join(self._target.recipients)
        message["Date"] = put_at
        message["Message-ID"] = f"<{notice.id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{notice.body}\n", cte="quoted-printable")  # for servers of seven bits and short lines
        return message
