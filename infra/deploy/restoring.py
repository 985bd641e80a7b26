"""Everything back to the revisions that served before: by the deploy that failed, or by another process later."""

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

from infra.deploy.cloud import Change, Cloud, CloudFailed, Service, Share
from infra.deploy.outcomes import Say
from infra.deploy.records import annotated, record_of
from infra.deploy.shares import in_words, serving, with_others_tags

NOTHING: Mapping[str, Sequence[Share]] = MappingProxyType({})


def restore(
    cloud: Cloud,
    services: Sequence[str],
    deploys: Set[str],
    say: Say,
    *,
    remembered: Mapping[str, Sequence[Share]] = NOTHING,
) -> Mapping[str, str]:
    """Give the requests of each service back to what its record says, where that is of one of `deploys`.

    The candidate's tag goes. A service that has no such record is left alone, for those deploys did not change it. One
    that cannot be changed does not keep the others from it: what failed is returned, by service. Where a record was
    wiped off, as by somebody who wrote the service anew, what is `remembered` of it holds.
    """
    failed: dict[str, str] = {}
    for name in services:
        try:
            say(_restored(cloud, name, deploys, remembered.get(name)))
        except CloudFailed as error:
            failed[name] = str(error)
            say(f"{name}: NOT put back: {error}")
    return failed


def state(cloud: Cloud, services: Sequence[str], say: Say) -> None:
    """Say exactly who serves, service by service; of what cannot be read, too, that it cannot."""
    for name in services:
        try:
            say(f"{name}: serving {in_words(serving(cloud.service(name)))}")
        except CloudFailed as error:
            say(f"{name}: not known who serves: {error}")


def _restored(cloud: Cloud, name: str, deploys: Set[str], remembered: Sequence[Share] | None) -> str:
    put_back: list[Sequence[Share]] = []

    def edit(service: Service) -> Change | None:
        record = record_of(service)
        put_back.clear()
        if record is None and remembered is not None:
            put_back.append(remembered)
            return Change(annotations=service.annotations, traffic=with_others_tags(service, remembered))
        if record is None or record.deploy not in deploys or record.stage == "rolled-back":
            return None
        put_back.append(record.shares)
        return Change(
            annotations=annotated(service.annotations, record.model_copy(update={"stage": "rolled-back"})),
            traffic=with_others_tags(service, record.shares),
        )

    cloud.change(name, edit)
    if not put_back:
        return f"{name}: unchanged"
    return f"{name}: requests go to {in_words(put_back[0])} again"
