"""What there is to deploy: for each function the newest revision, where it does not serve yet."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.deploy.cloud import Cloud, Revision, Service, Share
from infra.deploy.environment import Environment, Listed, Refused
from infra.deploy.records import Record, open_records
from infra.deploy.shares import ALL, serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One function's way from what served before to its candidate.

    `inherited` is the record of a deploy that began such a way and came to no end.
    """

    function: Listed
    service: Service
    previous: tuple[Share, ...]
    candidate: Revision
    inherited: Record | None = None

    @property
    def name(self) -> str:
        return self.function.name


def candidates(cloud: Cloud, environment: Environment, functions: Sequence[Listed]) -> tuple[Move, ...]:
    """The moves that are to be made, none where each newest revision serves alone.

    What an unfinished deploy wrote down as serving before it is what served before, whoever gets requests now.

    Raises:
        Refused: a candidate is not ready; or a function that is not among `functions` was left in between.
        CloudFailed: the cloud does not say.
    """
    services = {one.name: cloud.service(environment.service(one)) for one in environment.functions}
    begun = open_records(services)
    left = [one.name for one in environment.functions if one not in functions and one.name in begun]
    if left:
        raise Refused(
            f"function: an earlier deploy left {', '.join(left)} in between: deploy that too, or "
            "loancheck deploy rollback --unfinished"
        )
    moves = [_move(cloud, one, services[one.name], begun.get(one.name)) for one in functions]
    found = tuple(one for one in moves if one is not None)
    for one in found:
        if not one.candidate.is_ready:
            raise Refused(f"{one.name}: {one.candidate.name} is not ready: {one.candidate.reason}")
    return found


def _move(cloud: Cloud, function: Listed, service: Service, record: Record | None) -> Move | None:
    previous = record.shares if record is not None else serving(service)
    newest = service.latest_created
    if not previous:
        raise Refused(f"{function.name}: no revision of {service.name} gets requests: terraform apply has to end first")
    if record is None and previous == (Share(revision=newest, percent=ALL),):
        return None
    return Move(
        function=function,
        service=service,
        previous=previous,
        candidate=cloud.revision(service.name, newest),
        inherited=record,
    )
