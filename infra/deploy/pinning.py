"""Requests that follow the newest revision are given to it by name, so that the next one gets none by being made.

A service is made so that its requests follow, and Cloud Functions leaves them as they are where Terraform's
`new_revisions_get_traffic` is false: https://github.com/GoogleCloudPlatform/magic-modules/pull/16981
"""

from collections.abc import Iterable

from infra.deploy.cloud import LATEST, Change, Cloud, Service
from infra.deploy.outcomes import Say
from infra.deploy.shares import in_words, serving, with_others_tags


def follows(service: Service) -> bool:
    """Whether some of its requests go to whichever revision is the newest."""
    return any(share.revision == LATEST and share.percent for share in service.traffic)


def pin(cloud: Cloud, services: Iterable[str], say: Say) -> None:
    """Who serves goes on to serve, by name.

    Raises:
        CloudFailed: one of `services` could not be read or written; nobody's requests go elsewhere by that.
    """

    def edit(service: Service) -> Change | None:
        if not follows(service):
            return None
        return Change(annotations=service.annotations, traffic=with_others_tags(service, serving(service)))

    for name in services:
        before = cloud.service(name)
        if follows(before):
            after = cloud.change(name, edit)
            say(f"{name}: requests stay with {in_words(serving(after))}, whatever is made next")
