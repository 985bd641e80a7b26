"""What a deploy needs of a cloud that runs services in revisions: a small seam, after Cloud Run's own words.

`google_run.py` is the adapter to Cloud Run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

LATEST = ""  # for a revision: the newest that is ready, whichever that is


class CloudFailed(Exception):
    """The cloud refused, or did not answer in spite of several attempts; the message says what was asked and why."""


class NotThere(CloudFailed):
    """There is no such service, revision or job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What part of the requests a revision gets, in whole percent; with a tag it has an address of its own besides."""

    revision: str
    percent: int
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as it was read. `tag_urls` are the addresses of tagged revisions by their tags."""

    name: str
    urls: tuple[str, ...]
    is_open: bool  # whether requests from outside of the cloud's network arrive
    annotations: Mapping[str, str]
    traffic: tuple[Share, ...]
    tag_urls: Mapping[str, str]
    latest_created: str
    latest_ready: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision; `reason` says why it is not ready."""

    name: str
    image: str
    is_ready: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a service is to have from now on. Neither makes a new revision."""

    annotations: Mapping[str, str]
    traffic: tuple[Share, ...]


Edit = Callable[[Service], Change | None]
"""What to change about a service as it is now; None for nothing. It may be asked again when others were faster."""


class Cloud(Protocol):
    """All methods raise `CloudFailed`, after as many attempts as make sense; `NotThere` where the thing is not."""

    def service(self, name: str) -> Service:
        """The service, as it is now."""
        ...

    def revision(self, service: str, name: str) -> Revision:
        """A revision of `service`."""
        ...

    def revisions(self, service: str) -> list[Revision]:
        """All revisions of `service`, newest first."""
        ...

    def change(self, name: str, edit: Edit) -> Service:
        """Read the service, and write what `edit` says, only if nobody else has written meanwhile: else read again.

        Returns when it is so. What `edit` raises is raised here.
        """
        ...

    def run_job(self, name: str, image: str, meanwhile: Callable[[], None]) -> None:
        """Give the job that container image, run it once, and wait for its end, calling `meanwhile` now and then.

        Raises:
            CloudFailed: it failed; or it could not be started.
        """
        ...
