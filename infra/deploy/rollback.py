"""Roll back: what served before the last deploy serves again, at once and without a request lost."""

from collections.abc import Callable, Sequence

from infra.deploy.cloud import Change, Cloud, CloudFailed, NotThere, Service, Share
from infra.deploy.environment import Environment, Listed, Refused
from infra.deploy.lease import Holder, Overtaken
from infra.deploy.outcomes import Outcome, Say
from infra.deploy.records import Before, Record, annotated, open_records, record_of
from infra.deploy.restoring import restore, state
from infra.deploy.shares import ALL, in_words, serving, with_others_tags
from infra.deploy.signals import Stopped, stoppable, unstoppable


class Rollback:
    """One rollback of one environment."""

    def __init__(self, cloud: Cloud, environment: Environment, holder: Holder, say: Say) -> None:
        self._cloud = cloud
        self._environment = environment
        self._holder = holder
        self._say = say

    def run(self, functions: Sequence[Listed], *, from_others: bool = False, only_unfinished: bool = False) -> Outcome:
        """Put those of `functions` back that the last deploy changed.

        Raises:
            Refused: another deploy is at work; nothing was deployed that could be put back; or what served before is
                not ready any more. Nothing is changed.
            CloudFailed: the cloud does not say what there is.
        """

        def work() -> Outcome:
            records = self._of_last_deploy(functions, only_unfinished)
            if not records and only_unfinished:
                return Outcome.NOTHING_UNFINISHED
            if not records:
                raise Refused("nothing to roll back: no deploy is written down that was not put back; see --to")
            for service, record in records.items():
                for share in record.shares:
                    self._check_ready(service, share.revision)
            deploys = {record.deploy for record in records.values()}
            with unstoppable(self._say):
                failed = restore(self._cloud, list(records), deploys, self._say)
                return self._ended(list(records), is_whole=not failed)

        return self._holding(work, from_others)

    def to_revision(self, function: Listed, revision: str, *, from_others: bool = False) -> Outcome:
        """Give all requests of `function` to `revision`.

        Raises:
            Refused: another deploy is at work; there is no such revision, or it is not ready. Nothing is changed.
            CloudFailed: the cloud does not say what there is.
        """
        name = self._environment.service(function)

        def edit(service: Service) -> Change:
            before = tuple(Before(revision=one.revision, percent=one.percent) for one in serving(service))
            record = Record(
                deploy=self._holder.deploy, holder=self._holder.holder, since=self._holder.since, previous=before,
                candidate=revision, percent=ALL, stage="rolled-back",
            )  # fmt: skip
            shares = (Share(revision=revision, percent=ALL),)
            return Change(annotations=annotated(service.annotations, record), traffic=with_others_tags(service, shares))

        def work() -> Outcome:
            self._check_ready(name, revision)
            with unstoppable(self._say):
                try:
                    service = self._cloud.change(name, edit)
                except CloudFailed as error:
                    self._say(f"FAILED: {error}")
                    return self._ended([name], is_whole=False)
                self._say(f"{name}: requests go to {in_words(serving(service))}")
                return self._ended([name], is_whole=True)

        return self._holding(work, from_others)

    def _holding(self, work: Callable[[], Outcome], from_others: bool) -> Outcome:
        with stoppable():
            try:
                self._holder.take(from_others=from_others)
                return work()
            except Stopped as stopped:
                raise Refused(f"stopped by {stopped} before anything was changed") from None
            except Overtaken as error:
                self._say(f"FAILED: {error}")
                return Outcome.OVERTAKEN
            finally:
                with unstoppable(self._say):
                    self._holder.give_back(self._say)

    def _ended(self, services: Sequence[str], *, is_whole: bool) -> Outcome:
        if is_whole:
            return Outcome.RESTORED
        state(self._cloud, services, self._say)
        return Outcome.LEFT_IN_BETWEEN

    def _of_last_deploy(self, functions: Sequence[Listed], only_unfinished: bool) -> dict[str, Record]:
        """The records of the newest deploy that changed one of `functions`, by service; none where it was put back.

        Where deploys were left in between, all their records, for then nobody said which is the last.
        """
        services = {name: self._cloud.service(name) for name in map(self._environment.service, functions)}
        left = dict(open_records(services))
        found = {name: record for name, one in services.items() if (record := record_of(one)) is not None}
        if only_unfinished or not found:
            return left
        last = max(found.values(), key=lambda record: record.since).deploy
        done = {name: record for name, record in found.items() if record.deploy == last and record.stage == "promoted"}
        return {**left, **done}

    def _check_ready(self, service: str, revision: str) -> None:
        try:
            found = self._cloud.revision(service, revision)
        except NotThere:
            known = ", ".join(one.name for one in self._cloud.revisions(service) if one.is_ready)
            raise Refused(f"to: {service} has no revision {revision}; ready are {known or 'none'}") from None
        if not found.is_ready:
            raise Refused(f"{service}: {revision} is not ready: {found.reason}")
