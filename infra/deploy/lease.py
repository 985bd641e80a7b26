"""One deploy of an environment at a time: a lease with an end, written on one of its services.

The service's etag decides between two that come at once. Who ends without giving it back, as by kill -9, holds it no
longer than it lasts; who holds it makes it last while it goes on.
"""

import datetime
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.deploy.cloud import Change, Cloud, CloudFailed, Service
from infra.deploy.environment import Refused

ANNOTATION = "loancheck-deploy/lease"
SECONDS = 600.0  # three quarters are longer than any single thing that a deploy waits for without making it last

Now = Callable[[], datetime.datetime]


class Overtaken(Exception):
    """Another deploy holds the lease now: this one changes nothing any more."""


class Lease(BaseModel):
    """Who may change this environment, and until when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deploy: str
    holder: str
    since: datetime.datetime
    until: datetime.datetime

    def __str__(self) -> str:
        return f"{self.holder} holds it since {_minute(self.since)} until {_minute(self.until)}"


def lease_on(service: Service) -> Lease | None:
    """The lease on `service`, be it over or not.

    Raises:
        CloudFailed: the annotation is not as a deploy writes it.
    """
    text = service.annotations.get(ANNOTATION)
    if text is None:
        return None
    try:
        return Lease.model_validate_json(text)
    except ValidationError:
        raise CloudFailed(
            f"{service.name}: its annotation {ANNOTATION} is not as a deploy writes it; remove it by hand"
        ) from None


class Holder:
    """One deploy, as the holder of its environment's lease.

    Where `holder` does one thing after the other, as the steps of a workflow's job, what an earlier one of its steps
    still holds is its own: it was killed.
    """

    def __init__(
        self,
        cloud: Cloud,
        service: str,
        *,
        deploy: str,
        holder: str,
        now: Now,
        seconds: float = SECONDS,
        is_sequential: bool = False,
    ) -> None:
        self.deploy = deploy
        self.holder = holder
        self.now = now
        self.since = now()
        self._is_sequential = is_sequential
        self._cloud = cloud
        self._service = service
        self._lasts = datetime.timedelta(seconds=seconds)
        self._until = self.since

    def check_free(self, service: Service) -> None:
        """Nothing, where no lease is on `service`, one that is over, or one's own.

        Raises:
            Refused: somebody else holds it.
        """
        lease = lease_on(service)
        if lease is None or lease.until <= self.now() or lease.deploy == self.deploy:
            return
        if not (self._is_sequential and lease.holder == self.holder):
            raise Refused(f"another deploy is at work: {lease}; nothing is changed")

    def take(self, *, from_others: bool = False) -> Lease | None:
        """Take the lease; what was there before and is over, or was taken `from_others`, is returned.

        Raises:
            Refused: somebody holds it.
            CloudFailed: it could not be written.
        """
        before: list[Lease | None] = []

        def edit(service: Service) -> Change:
            lease = lease_on(service)
            if not from_others:
                self.check_free(service)
            before.append(lease if lease is None or lease.deploy != self.deploy else None)
            return self._written(service)

        self._cloud.change(self._service, edit)
        return before[0]

    def keep(self) -> None:
        """Make the lease last on, where a quarter of it is over.

        Raises:
            Overtaken: another has it now.
            CloudFailed: it could not be written.
        """
        if self.now() + self._lasts * 3 / 4 < self._until:
            return

        def edit(service: Service) -> Change:
            self._check_mine(service)
            return self._written(service)

        self._cloud.change(self._service, edit)

    def check(self) -> None:
        """Nothing, where the lease is this deploy's still.

        Raises:
            Overtaken: another has it now.
        """
        self._check_mine(self._cloud.service(self._service))

    def give_back(self, say: Callable[[str], None]) -> None:
        """End the lease, if it is this deploy's; where the cloud does not take that, it is said."""

        def edit(service: Service) -> Change | None:
            lease = lease_on(service)
            if lease is None or lease.deploy != self.deploy:
                return None
            left = {name: value for name, value in service.annotations.items() if name != ANNOTATION}
            return Change(annotations=left, traffic=service.traffic)

        try:
            self._cloud.change(self._service, edit)
        except CloudFailed as error:
            say(f"The lease could not be given back; it ends by itself. ({error})")

    def _written(self, service: Service) -> Change:
        self._until = self.now() + self._lasts
        lease = Lease(deploy=self.deploy, holder=self.holder, since=self.since, until=self._until)
        return Change(annotations={**service.annotations, ANNOTATION: lease.model_dump_json()}, traffic=service.traffic)

    def _check_mine(self, service: Service) -> None:
        lease = lease_on(service)
        if lease is None or lease.deploy != self.deploy:
            raise Overtaken(f"the lease is gone{f': {lease}' if lease else ''}")


def _minute(time: datetime.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
