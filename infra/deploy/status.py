"""Who serves now, what waits to be deployed, and whether a deploy is at work."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from infra.deploy.cloud import Cloud, Share
from infra.deploy.environment import Environment, Listed
from infra.deploy.lease import Lease, lease_on
from infra.deploy.records import Record, record_of
from infra.deploy.shares import serving


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionState:
    """One function. `candidate` is None where the newest revision serves."""

    function: str
    service: str
    serving: tuple[Share, ...]
    candidate: str | None
    candidate_is_ready: bool | None
    last: Record | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """An environment. `lease` is that of the deploy at work, if there is one."""

    functions: tuple[FunctionState, ...]
    lease: Lease | None


def status(cloud: Cloud, environment: Environment, functions: Sequence[Listed], now: datetime.datetime) -> Status:
    """How `functions` stand.

    Raises:
        CloudFailed: the cloud does not say.
    """
    lease = lease_on(cloud.service(environment.lease_service))
    return Status(
        functions=tuple(_state(cloud, environment, one) for one in functions),
        lease=lease if lease is not None and lease.until > now else None,
    )


def _state(cloud: Cloud, environment: Environment, function: Listed) -> FunctionState:
    service = cloud.service(environment.service(function))
    serves = serving(service)
    record = record_of(service)
    is_moving = record is not None and record.stage == "moving"
    newest = service.latest_created
    waits = is_moving or all(share.revision != newest for share in serves)
    return FunctionState(
        function=function.name,
        service=service.name,
        serving=serves,
        candidate=newest if waits else None,
        candidate_is_ready=cloud.revision(service.name, newest).is_ready if waits else None,
        last=record,
    )
