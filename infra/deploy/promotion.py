"""Promote: candidates get their first requests as tests, then more and more of everybody's, or everything goes back."""

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from infra.deploy import golden, smoke
from infra.deploy.callers import Headers, NoToken
from infra.deploy.candidates import Move, candidates
from infra.deploy.cloud import Change, Cloud, CloudFailed, Service, Share
from infra.deploy.environment import Environment, Listed, Refused
from infra.deploy.lease import Holder, Overtaken
from infra.deploy.outcomes import Outcome, Say
from infra.deploy.pinning import follows, pin
from infra.deploy.records import Before, Record, annotated, record_of, unfinished
from infra.deploy.restoring import restore, state
from infra.deploy.shares import ALL, CANDIDATE_TAG, beside, in_words, with_others_tags
from infra.deploy.signals import Stopped, stoppable, unstoppable
from infra.deploy.watching import Limits, Measurements, Reading, faults

BASELINE = datetime.timedelta(minutes=15)  # of what served before, so that it can be compared when it serves no more
QUESTIONS_FOR = "query"  # the function that golden questions are for


class CandidateFailed(Exception):
    """A candidate does not do what it should; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a promotion goes: its steps in percent of the requests, and how long each is watched."""

    steps: tuple[int, ...] = (10, 50, 100)
    watch_seconds: float = 300.0
    poll_seconds: float = 30.0
    routed_seconds: float = smoke.ROUTED_SECONDS
    limits: Limits = field(default_factory=Limits)
    questions: tuple[golden.Question, ...] = ()
    migrates: bool = True
    is_inside: bool = False  # whether this machine is in the cloud's network, where services that are not open answer


class Promotion:
    """One promotion of one environment, from the lease to its end."""

    def __init__(
        self,
        cloud: Cloud,
        measurements: Measurements,
        environment: Environment,
        holder: Holder,
        plan: Plan,
        caller: Headers,
        say: Say,
    ) -> None:
        self._cloud = cloud
        self._measurements = measurements
        self._environment = environment
        self._holder = holder
        self._plan = plan
        self._caller = caller
        self._say = say
        self._addresses: dict[str, str] = {}  # of candidates, by function
        self._begun: dict[str, tuple[Share, ...]] = {}  # what served before, by service that was written to

    def run(self, functions: Sequence[Listed], *, from_others: bool = False) -> Outcome:
        """Promote the newest revisions of `functions`. It ends in one of the outcomes, whatever happens.

        Raises:
            Refused: another deploy is at work, a candidate is not ready, a function was left in between, or it failed
                before the first change: nothing is changed.
            CloudFailed: the cloud does not say what there is, before anything is changed.
        """
        if not from_others:
            self._holder.check_free(self._cloud.service(self._environment.lease_service))
        services = [self._environment.service(one) for one in self._environment.functions]
        has_candidates = bool(candidates(self._cloud, self._environment, functions))
        if not has_candidates and not any(follows(self._cloud.service(name)) for name in services):
            return Outcome.NOTHING_TO_DEPLOY
        moves: tuple[Move, ...] = ()
        with stoppable():
            try:
                former = self._holder.take(from_others=from_others)
                if former is not None:
                    self._say(f"The lease was {former.holder}'s, who did not give it back; it is taken over.")
                pin(self._cloud, services, self._say)
                moves = candidates(self._cloud, self._environment, functions)
                if moves:
                    self._promote(moves)
                outcome = Outcome.PROMOTED if moves else Outcome.NOTHING_TO_DEPLOY
            except (Exception, Stopped) as error:  # noqa: BLE001  # whatever it was, everything goes back
                with unstoppable(self._say):
                    outcome = self._failed(error, moves)
            finally:
                with unstoppable(self._say):
                    self._holder.give_back(self._say)
        return outcome

    def _is_overtaken(self) -> bool:
        try:
            self._holder.check()
        except Overtaken as error:
            self._say(f"{error}")
            return True
        except CloudFailed:
            return False  # what can be put back is; each record says whose it is
        return False

    def _promote(self, moves: Sequence[Move]) -> None:
        """All of it, from no requests to all requests.

        Raises:
            CandidateFailed, CloudFailed, NoToken, Overtaken, Stopped
        """
        for move in moves:
            self._holder.check()  # until it is written down there, nothing else keeps two deploys apart
            self._begun[move.service.name] = move.previous
            service = self._write(move, percent=0)
            self._addresses[move.name] = service.tag_urls.get(CANDIDATE_TAG, "")
            self._say(f"{move.name}: candidate {move.candidate.name}, serving {in_words(move.previous)}")
        self._migrate(moves)
        self._test(moves)
        for percent in self._plan.steps:
            since = self._holder.now()
            for move in moves:
                self._holder.keep()
                self._write(move, percent=percent)
            self._say(f"Candidates get {percent} % of the requests, watched for {self._plan.watch_seconds:g} s.")
            self._watch(moves, since)
        for move in moves:
            self._write(move, percent=ALL, stage="promoted")
            self._say(f"{move.name}: {move.candidate.name} serves")

    def _write(self, move: Move, *, percent: int, stage: Literal["moving", "promoted"] = "moving") -> Service:
        """Share the requests, and write down how far this is."""
        record = Record(
            deploy=self._holder.deploy,
            holder=self._holder.holder,
            since=self._holder.since,
            previous=tuple(Before(revision=one.revision, percent=one.percent) for one in move.previous),
            candidate=move.candidate.name,
            percent=percent,
            stage=stage,
        )
        shares = beside(move.previous, move.candidate.name, percent)
        if stage == "promoted":
            shares = (Share(revision=move.candidate.name, percent=ALL),)

        def edit(service: Service) -> Change:
            found = record_of(service)
            is_mine = found is not None and found.deploy == self._holder.deploy and found.stage != "rolled-back"
            if not is_mine and (percent > 0 or unfinished(service) not in (None, move.inherited)):
                raise Overtaken(f"{service.name} was changed by somebody else")
            return Change(annotations=annotated(service.annotations, record), traffic=with_others_tags(service, shares))

        return self._cloud.change(move.service.name, edit)

    def _migrate(self, moves: Sequence[Move]) -> None:
        image = image_for_migrations(moves)
        if not self._plan.migrates or image is None:
            why = "no candidate uses the database" if image is None else "not asked for"
            self._say(f"Migrations: none, {why}.")
            return
        self._say(f"Migrations: job {self._environment.migration_job} runs.")
        self._cloud.run_job(self._environment.migration_job, image, self._holder.keep)
        self._say("Migrations: done.")

    def _test(self, moves: Sequence[Move]) -> None:
        """Ask the candidates of `moves` at their own addresses, where they can be reached from here."""
        wrong: list[str] = []
        for move in moves:
            self._holder.keep()
            if not self._can_reach(move):
                self._say(f"{move.name}: not reachable from here: only its readiness was checked")
                continue
            found = list(smoke.faults(move.function, self._address(move), routed_seconds=self._plan.routed_seconds))
            wrong += [f"{move.name}: {one}" for one in found]
            self._say(f"{move.name}: {'first requests failed' if found else 'first requests answered'}")
        asked = next((one for one in moves if one.name == QUESTIONS_FOR and self._can_reach(one)), None)
        if asked is None:
            self._say(f"Golden questions: not asked, for no candidate of {QUESTIONS_FOR} can be reached from here.")
        elif not wrong:
            wrong += self._ask(asked)
        if wrong:
            raise CandidateFailed("; ".join(wrong))

    def _ask(self, move: Move) -> list[str]:
        headers = self._caller(move.service.urls)
        wrong: list[str] = []
        for fault in golden.faults(self._address(move), headers, self._plan.questions):
            self._holder.keep()
            wrong += [] if fault is None else [f"golden question {fault}"]
        asked = len(self._plan.questions)
        self._say(f"Golden questions: {asked - len(wrong)} of {asked} answered as they should be.")
        return wrong

    def _can_reach(self, move: Move) -> bool:
        return move.function.lets_anyone_connect and (move.service.is_open or self._plan.is_inside)

    def _address(self, move: Move) -> str:
        address = self._addresses[move.name]
        if not address:
            raise CandidateFailed(f"{move.name}: its candidate got no address of its own")
        return address.rstrip("/")

    def _watch(self, moves: Sequence[Move], since: datetime.datetime) -> None:
        """Look at the figures again and again until the step is over; a fault ends it at once."""
        deadline = time.monotonic() + self._plan.watch_seconds
        while True:
            self._holder.keep()
            readings = {move.name: self._judged(move, since) for move in moves}
            left = deadline - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(self._plan.poll_seconds, left))
        for move in moves:
            self._say(f"{move.name}: {readings[move.name]}")
        few = [move for move in moves if not self._plan.limits.is_enough(readings[move.name])]
        if few:
            names = ", ".join(move.name for move in few)
            self._say(f"Too few requests to judge by ({names}): the candidates are asked again instead.")
            self._test(few)

    def _judged(self, move: Move, since: datetime.datetime) -> Reading:
        now = self._holder.now()
        candidate = self._measurements.reading(move.service.name, move.candidate.name, since, now)
        former = self._measurements.reading(
            move.service.name, move.previous[0].revision, self._holder.since - BASELINE, now
        )
        time_limit_ms = 1000.0 * move.function.timeout_seconds
        wrong = list(faults(candidate, former, self._plan.limits, time_limit_ms))
        if wrong:
            raise CandidateFailed(f"{move.name}: {'; '.join(wrong)} (before: {former})")
        return candidate

    def _failed(self, error: BaseException, moves: Sequence[Move]) -> Outcome:
        """Everything back, and what that comes to."""
        if isinstance(error, Refused):
            raise error
        if not self._begun:
            raise Refused(f"{reason(error)}; nothing is changed") from error
        self._say(f"FAILED: {reason(error)}")
        is_overtaken = self._is_overtaken()  # an apply writes services anew too, and leaves the lease where it is
        services = [move.service.name for move in moves]
        dead = {move.inherited.deploy for move in moves if move.inherited is not None}
        mine = set() if is_overtaken else {self._holder.deploy, *dead}
        failed = restore(self._cloud, services, mine, self._say, remembered=self._begun)
        if failed or is_overtaken:
            state(self._cloud, services, self._say)
        if is_overtaken:
            return Outcome.OVERTAKEN
        return Outcome.LEFT_IN_BETWEEN if failed else Outcome.ROLLED_BACK


def image_for_migrations(moves: Sequence[Move]) -> str | None:
    """Of query's candidate, else of the first function that uses the database; None where none of them does."""
    users = [move for move in moves if "database" in move.function.uses]
    first = sorted(users, key=lambda move: move.name != QUESTIONS_FOR)[:1]
    return first[0].candidate.image if first else None


def reason(error: BaseException) -> str:
    """Why a deploy failed, in one line: faults of the program by their type alone, for their text may hold anything."""
    if isinstance(error, Stopped):
        return f"stopped by {error}"
    if isinstance(error, (CandidateFailed, CloudFailed, NoToken, Overtaken)):
        return " ".join(str(error).split())
    return f"unexpected {type(error).__name__}"
