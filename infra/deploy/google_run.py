"""Cloud Run, through version 2 of its Admin API over REST, by Google's own client library.

Reads and writes are tried again where the API is busy or away, and written only over the etag that was read: where
somebody else was faster, it is read again and decided anew. Source: https://cloud.google.com/run/docs/reference/rest/v2
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from google.api_core import exceptions
from google.api_core.operation import Operation
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import run_v2
from google.cloud.run_v2.services.jobs.transports import JobsRestTransport
from google.cloud.run_v2.services.revisions.transports import RevisionsRestTransport
from google.cloud.run_v2.services.services.transports import ServicesRestTransport
from google.protobuf.field_mask_pb2 import FieldMask  # type: ignore[import-untyped]  # it ships no types
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RequestException, Timeout

from infra.deploy.cloud import LATEST, CloudFailed, Edit, NotThere, Revision, Service, Share

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

ENDPOINT = "https://run.googleapis.com"

Answer = TypeVar("Answer")

_PASSING = (
    exceptions.ServiceUnavailable, exceptions.TooManyRequests, exceptions.InternalServerError, exceptions.BadGateway,
    exceptions.GatewayTimeout, NoConnection, Timeout, TransportError,
)  # fmt: skip
_LATEST_TYPE = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
_REVISION_TYPE = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
_ASKED = re.compile(r"^[A-Z]+ https?://\S+: ")  # what the client puts before the API's own words
_SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED
_FAILED = run_v2.Condition.State.CONDITION_FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited between attempts and looks, and for all of them, in seconds."""

    first_seconds: float = 1.0
    longest_seconds: float = 10.0
    attempts_seconds: float = 90.0
    change_seconds: float = 240.0
    job_seconds: float = 3600.0
    call_seconds: float = 30.0


class GoogleRun:
    """The services and jobs of one project and region: `parent` is projects/P/locations/R."""

    def __init__(
        self, parent: str, credentials: "Credentials", *, endpoint: str = ENDPOINT, patience: Patience | None = None
    ) -> None:
        self._parent = parent
        self._patience = patience or Patience()
        here: dict[str, Any] = {"host": endpoint, "credentials": credentials}  # Any: what each transport takes
        self._services = run_v2.ServicesClient(transport=ServicesRestTransport(**here))
        self._revisions = run_v2.RevisionsClient(transport=RevisionsRestTransport(**here))
        self._jobs = run_v2.JobsClient(transport=JobsRestTransport(**here))

    def service(self, name: str) -> Service:
        """The service, as it is now."""
        return _service(self._asked(f"read service {name}", lambda: self._read(name)))

    def revision(self, service: str, name: str) -> Revision:
        """A revision of `service`."""
        path = f"{self._parent}/services/{service}/revisions/{name}"
        return _revision(
            self._asked(
                f"read revision {name} of {service}",
                lambda: self._revisions.get_revision(name=path, retry=None, timeout=self._patience.call_seconds),
            )
        )

    def revisions(self, service: str) -> list[Revision]:
        """All revisions of `service`, newest first."""
        path = f"{self._parent}/services/{service}"
        found = self._asked(
            f"list the revisions of {service}",
            lambda: list(self._revisions.list_revisions(parent=path, retry=None, timeout=self._patience.call_seconds)),
        )
        return [_revision(one) for one in sorted(found, key=lambda one: one.create_time, reverse=True)]

    def change(self, name: str, edit: Edit) -> Service:
        """See `Cloud.change`. Annotations and traffic alone are written, so no new revision is made."""

        def attempt() -> Operation | Service:
            found = self._read(name)
            change = edit(_service(found))
            if change is None:
                return _service(found)
            found.annotations = dict(change.annotations)
            found.traffic = [_target(share) for share in change.traffic]
            request = run_v2.UpdateServiceRequest(
                service=found, update_mask=FieldMask(paths=["annotations", "traffic"])
            )
            return self._services.update_service(request=request, retry=None, timeout=self._patience.call_seconds)

        what = f"change service {name}"
        answer = self._asked(what, attempt, also=(exceptions.Conflict,))
        if isinstance(answer, Service):
            return answer
        changed: run_v2.Service = self._result(what, answer, self._patience.change_seconds)
        if changed.terminal_condition.state == _FAILED:
            raise CloudFailed(f"{what}: {changed.terminal_condition.message or 'it did not become ready'}")
        return _service(changed)

    def run_job(self, name: str, image: str, meanwhile: Callable[[], None]) -> None:
        """See `Cloud.run_job`."""
        path = f"{self._parent}/jobs/{name}"

        def set_image() -> Operation | None:
            job = self._jobs.get_job(name=path, retry=None, timeout=self._patience.call_seconds)
            container = job.template.template.containers[0]
            if container.image == image:
                return None
            container.image = image
            return self._jobs.update_job(job=job, retry=None, timeout=self._patience.call_seconds)

        what = f"give job {name} its image"
        changing = self._asked(what, set_image, also=(exceptions.Conflict,))
        if changing is not None:
            self._result(what, changing, self._patience.change_seconds)
        what = f"run job {name}"
        running = self._asked(
            what, lambda: self._jobs.run_job(name=path, retry=None, timeout=self._patience.call_seconds)
        )
        execution: run_v2.Execution = self._result(what, running, self._patience.job_seconds, meanwhile)
        failed = [one for one in execution.conditions if one.type_ == "Completed" and one.state != _SUCCEEDED]
        if failed or execution.failed_count or execution.succeeded_count < max(1, execution.task_count):
            reason = failed[0].message if failed and failed[0].message else "its task failed"
            raise CloudFailed(f"{what}: {reason}{f' (log: {execution.log_uri})' if execution.log_uri else ''}")

    def _read(self, name: str) -> run_v2.Service:
        path = f"{self._parent}/services/{name}"
        return self._services.get_service(name=path, retry=None, timeout=self._patience.call_seconds)

    def _asked(self, what: str, call: Callable[[], Answer], *, also: tuple[type[Exception], ...] = ()) -> Answer:
        """What `call` gives, tried again on faults that pass, and on those of `also`."""
        again = Retry(
            predicate=lambda error: isinstance(error, (*_PASSING, *also)),
            initial=self._patience.first_seconds,
            maximum=self._patience.longest_seconds,
            timeout=self._patience.attempts_seconds,
        )
        try:
            return again(call)()
        except exceptions.NotFound:
            raise NotThere(f"{what}: there is none of that name in {self._parent}") from None
        except exceptions.RetryError as error:
            raise CloudFailed(f"{what}: still {_in_words(error.cause)} after many attempts") from error
        except (exceptions.GoogleAPICallError, GoogleAuthError, RequestException) as error:
            raise CloudFailed(f"{what}: {_in_words(error)}") from error

    def _result(
        self, what: str, operation: Operation, seconds: float, meanwhile: Callable[[], None] = lambda: None
    ) -> Any:  # Any: what the operation says that it gives
        """What a long-running operation comes to."""
        deadline = time.monotonic() + seconds
        pause = self._patience.first_seconds / 4
        while not self._asked(what, operation.done):
            if time.monotonic() > deadline:
                raise CloudFailed(f"{what}: not done after {seconds:g} s")
            meanwhile()
            time.sleep(pause)
            pause = min(pause * 1.5, self._patience.longest_seconds)
        try:
            return operation.result()  # type: ignore[no-untyped-call]  # theirs has no types
        except exceptions.GoogleAPICallError as error:  # what the operation came to, not the way to it
            raise CloudFailed(f"{what}: {_in_words(error)}") from error


def _in_words(error: BaseException | None) -> str:
    if isinstance(error, exceptions.GoogleAPICallError):
        code = int(error.code) if error.code is not None else error.grpc_status_code
        return f"{code} {_ASKED.sub('', ' '.join(str(error.message).split()))}"
    return type(error).__name__


def _target(share: Share) -> run_v2.TrafficTarget:
    if share.revision == LATEST:
        return run_v2.TrafficTarget(type_=_LATEST_TYPE, percent=share.percent, tag=share.tag)
    return run_v2.TrafficTarget(type_=_REVISION_TYPE, revision=share.revision, percent=share.percent, tag=share.tag)


def _service(found: run_v2.Service) -> Service:
    return Service(
        name=_last(found.name),
        urls=tuple(dict.fromkeys([*found.urls, found.uri])),
        is_open=found.ingress == run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL,
        annotations=dict(found.annotations),
        traffic=tuple(
            Share(
                revision=LATEST if one.type_ == _LATEST_TYPE else _last(one.revision), percent=one.percent, tag=one.tag
            )
            for one in found.traffic
        ),
        tag_urls={one.tag: one.uri for one in found.traffic_statuses if one.tag},
        latest_created=_last(found.latest_created_revision),
        latest_ready=_last(found.latest_ready_revision),
    )


def _revision(found: run_v2.Revision) -> Revision:
    ready = next((one for one in found.conditions if one.type_ == "Ready"), None)
    is_ready = ready is not None and ready.state == _SUCCEEDED
    reason = "" if is_ready else (ready.message if ready is not None else "") or "its state is not known yet"
    image = found.containers[0].image if found.containers else ""
    return Revision(name=_last(found.name), image=image, is_ready=is_ready, reason=reason)


def _last(path: str) -> str:
    return path.rpartition("/")[2]
