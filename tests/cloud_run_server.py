"""A local server that speaks version 2 of Cloud Run's Admin API over REST, so that tests run through the real client.

    with CloudRunServer() as server:
        server.add_service("lcc-dev-query")
        server.add_revision("lcc-dev-query", url="http://127.0.0.1:8080")  # the first one gets all requests
        server.faults.append(Fault(method="PATCH", path="services/", status=503, times=1))
        ... server.url, server.serving("lcc-dev-query") ...

As the API does, it answers changes with an operation that is done some looks later, takes a change only over the etag
that was read, and wants shares that make 100 in all, of revisions that are there.

Source of the shapes: https://cloud.google.com/run/docs/reference/rest/v2
"""

import contextlib
import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

LOOPBACK = "127.0.0.1"
PROJECT = "example-lending"
REGION = "us-central1"
TYPES = "type.googleapis.com/google.cloud.run.v2"
STATUSES = {403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
# Enumerations go as numbers: the client asks for that.
LATEST, REVISION = 1, 2
ALL, INTERNAL_ONLY, INTERNAL_AND_BALANCER = 1, 2, 3
FAILED, SUCCEEDED = 3, 4
_FOREIGN = re.compile(r"(run|cloud)\.googleapis\.com|(serving|autoscaling)\.knative\.dev")

Json = dict[str, Any]  # Any: as the API has it
Thing = TypeVar("Thing")


@dataclass(kw_only=True)
class Fault:
    """Answer calls of `method` whose path holds `path` with `status`: `times` of them, after the first `skip`.

    With `operation` the call is taken, and its operation ends with that error and without effect. With `before`, that
    is done before the call is looked at, as by somebody else who is faster. Once `until` is so, the fault is over.
    """

    method: str
    path: str
    status: int = 503
    times: float = 1
    skip: int = 0
    operation: str | None = None
    before: Callable[[], None] | None = None
    until: Callable[[], bool] = lambda: False


class Refusal(Exception):
    """An error as the API answers it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class CloudRunServer:
    """Listens on 127.0.0.1 from the start of its `with` block."""

    def __init__(self, *, looks: int = 1) -> None:
        self.faults: list[Fault] = []
        self.calls: list[tuple[str, str]] = []  # method and path, of all that came
        self.images: list[str] = []  # that the job ran with
        self.job: Callable[[str], str | None] = lambda _image: None  # the job's work: why it failed, or None
        self.parent = f"projects/{PROJECT}/locations/{REGION}"
        self._looks = looks  # at an operation, until it is done
        self._lock = threading.RLock()
        self._services: dict[str, Json] = {}
        self._revisions: dict[str, dict[str, Json]] = {}
        self._urls: dict[str, str] = {}
        self._jobs: dict[str, Json] = {}
        self._operations: dict[str, Json] = {}
        self._server = ThreadingHTTPServer((LOOPBACK, 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add_service(self, name: str, *, ingress: int = ALL) -> None:
        """A service without revisions yet."""
        path = f"{self.parent}/services/{name}"
        self._services[name] = {
            "name": path,
            "generation": "1",
            "annotations": {},
            "ingress": ingress,
            "template": {"containers": [{"image": "as Terraform wrote it"}]},
            "traffic": [],
            "trafficStatuses": [],
            "uri": f"https://{name}-ab12cd34-uc.a.run.app",
            "urls": [f"https://{name}-123456789.{REGION}.run.app", f"https://{name}-ab12cd34-uc.a.run.app"],
            "terminalCondition": {"type": "Ready", "state": SUCCEEDED},
        }
        self._revisions[name] = {}
        self._touch(self._services[name])

    def add_revision(self, service: str, *, url: str = "", image: str = "", why_not_ready: str = "") -> str:
        """A new revision's name, as `terraform apply` makes it: a later one gets no requests, but such as follow."""
        with self._lock:
            number = len(self._revisions[service]) + 1
            name = f"{service}-{number:05}-abc"
            ready = {"type": "Ready", "state": FAILED if why_not_ready else SUCCEEDED, "message": why_not_ready}
            self._revisions[service][name] = {
                "name": f"{self.parent}/services/{service}/revisions/{name}",
                "createTime": f"2026-11-01T00:00:{number:02}Z",
                "containers": [{"image": image or f"{REGION}-docker.pkg.dev/{PROJECT}/images/{service}:{number}"}],
                "conditions": [{"type": "Active", "state": SUCCEEDED}, ready],
            }
            self._urls[name] = url
            found = self._services[service]
            found["latestCreatedRevision"] = name
            if not why_not_ready:
                found["latestReadyRevision"] = name
            if number == 1:
                found["traffic"] = [{"type": REVISION, "revision": name, "percent": 100}]
            self._route(found)
            self._touch(found)
            return name

    def forget(self, service: str) -> None:
        """No revision any more: the next one is the first."""
        with self._lock:
            self._revisions[service].clear()

    def add_job(self, name: str) -> None:
        job = {
            "name": f"{self.parent}/jobs/{name}",
            "template": {"template": {"containers": [{"image": "before"}]}},
        }
        self._jobs[name] = job
        self._touch(job)

    def serving(self, service: str) -> dict[str, int]:
        """Who gets requests, and how many of a hundred."""
        with self._lock:
            return {
                one["revision"]: one["percent"]
                for one in self._services[service]["trafficStatuses"]
                if one.get("percent")
            }

    def tags(self, service: str) -> dict[str, str]:
        """The revisions with an address of their own, by tag."""
        with self._lock:
            return {one["tag"]: one["revision"] for one in self._services[service]["trafficStatuses"] if one.get("tag")}

    def annotation(self, service: str, name: str) -> Json | None:
        """What JSON stands there."""
        with self._lock:
            text = self._services[service]["annotations"].get(name)
            return None if text is None else json.loads(text)

    def annotate(self, service: str, name: str, value: str) -> None:
        """As somebody else does it, at any time."""
        with self._lock:
            self._services[service]["annotations"][name] = value
            self._touch(self._services[service])

    def follow_latest(self, service: str) -> None:
        """All requests to the newest revision that is ready, as a service is made where nobody says else."""
        with self._lock:
            found = self._services[service]
            found["traffic"] = [{"type": LATEST, "percent": 100}]
            self._route(found)
            self._touch(found)

    def wipe(self, service: str) -> None:
        """Its annotations, as somebody does who writes the whole service anew."""
        with self._lock:
            self._services[service]["annotations"] = {}
            self._touch(self._services[service])

    def generation_of_template(self, service: str) -> int:
        """How many revisions there are: one more for each change of a template."""
        return len(self._revisions[service])

    def url_of(self, revision: str) -> str:
        return self._urls[revision]

    def count(self, method: str, path: str) -> int:
        """Calls so far of that method whose path holds `path`."""
        return sum(called == method and path in where for called, where in list(self.calls))

    # What the API does

    def _answer(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> Json:
        self.calls.append((method, path))
        fault = self._fault(method, path)
        if fault is not None and fault.before is not None:
            fault.before()
        elif fault is not None and fault.operation is None:
            raise Refusal(fault.status, "scripted by the test")
        with self._lock:
            return self._act(method, path.removeprefix(f"/v2/{self.parent}/"), query, body, fault)

    def _act(self, method: str, path: str, query: dict[str, list[str]], body: Json, fault: Fault | None) -> Json:
        match (method, *path.split("/")):
            case "GET", "services", name:
                return _of(self._services, name)
            case "PATCH", "services", name:
                return self._patch(name, query.get("updateMask", [""])[0].split(","), body, fault)
            case "GET", "services", name, "revisions":
                return {"revisions": list(_of(self._revisions, name).values())}
            case "GET", "services", name, "revisions", revision:
                return _of(_of(self._revisions, name), revision)
            case "GET", "jobs", name:
                return _of(self._jobs, name)
            case "PATCH", "jobs", name:
                return self._replace_job(name, body)
            case "POST", "jobs", name if name.endswith(":run"):
                return self._run(name.removesuffix(":run"), fault)
            case "GET", "operations", name:
                return self._look(name)
        raise Refusal(404, f"{method} {path}: not known here")

    def _patch(self, name: str, mask: list[str], body: Json, fault: Fault | None) -> Json:
        found = _of(self._services, name)
        self._check_etag(found, body)
        if not set(mask) <= {"annotations", "traffic"}:
            raise Refusal(400, f"a deploy changes {mask}, and so would make a revision")
        if any(_FOREIGN.match(key) for key in body.get("annotations", {})):
            raise Refusal(400, "annotations: that namespace is the system's")
        self._check_traffic(name, body["traffic"])
        if fault is not None and fault.operation is not None:
            return self._operation("Service", lambda: found, error=fault.operation)
        for field in mask:
            found[field] = body.get(field, {})
        self._touch(found)

        def routed() -> Json:
            self._route(found)
            return found

        return self._operation("Service", routed)

    def _check_traffic(self, service: str, traffic: list[Json]) -> None:
        if sum(one.get("percent", 0) for one in traffic) != 100:
            raise Refusal(400, "traffic: must be 100 percent in all")
        for one in traffic:
            if one["type"] != LATEST and one["revision"] not in self._revisions[service]:
                raise Refusal(400, f"traffic: revision {one['revision']} does not exist")
        tags = [one["tag"] for one in traffic if one.get("tag")]
        if len(tags) != len(set(tags)):
            raise Refusal(400, "traffic: a tag is given twice")

    def _route(self, service: Json) -> None:
        """From now on requests go as the service's traffic says."""
        service["trafficStatuses"] = [
            {
                **one,
                "revision": one.get("revision") or service["latestReadyRevision"],
                **({"uri": self._urls[one["revision"]]} if one.get("tag") else {}),
            }
            for one in service["traffic"]
        ]

    def _replace_job(self, name: str, body: Json) -> Json:
        found = _of(self._jobs, name)
        self._check_etag(found, body)
        found["template"] = body["template"]
        self._touch(found)
        return self._operation("Job", lambda: found)

    def _run(self, name: str, fault: Fault | None) -> Json:
        image = _of(self._jobs, name)["template"]["template"]["containers"][0]["image"]
        self.images.append(image)

        def executed() -> Json:
            why = self.job(image)
            counts = {"failedCount": 1} if why else {"succeededCount": 1}
            completed = {"type": "Completed", "state": FAILED if why else SUCCEEDED, "message": why or ""}
            path = f"{self.parent}/jobs/{name}/executions/{name}-abc"
            return {"name": path, "job": name, "taskCount": 1, **counts, "conditions": [completed]}

        return self._operation("Execution", executed, error=fault.operation if fault else None)

    def _operation(self, kind: str, finish: Callable[[], Json], *, error: str | None = None) -> Json:
        name = uuid.uuid4().hex
        self._operations[name] = {"kind": kind, "finish": finish, "error": error, "looks": self._looks}
        return {"name": f"{self.parent}/operations/{name}", "metadata": {"@type": f"{TYPES}.{kind}"}}

    def _look(self, name: str) -> Json:
        found = _of(self._operations, name)
        path = f"{self.parent}/operations/{name}"
        if found["looks"] > 0:
            found["looks"] -= 1
            return {"name": path}
        if found["error"]:
            return {"name": path, "done": True, "error": {"code": 13, "message": found["error"]}}
        if "response" not in found:
            found["response"] = {"@type": f"{TYPES}.{found['kind']}", **found["finish"]()}
        return {"name": path, "done": True, "response": found["response"]}

    def _fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.method == method and fault.path in path and fault.times > 0 and not fault.until():
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def _check_etag(self, found: Json, body: Json) -> None:
        if body.get("etag") not in (None, found["etag"]):
            message = f"version {body['etag']} was specified but current version is {found['etag']}"
            raise Refusal(409, f"Conflict for resource '{found['name']}': {message}.")

    def _touch(self, found: Json) -> None:
        found["etag"] = f'"{uuid.uuid4().hex[:16]}"'

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65_536  # head and body in one go: apart, the second would wait for an acknowledgement

            def _do(self) -> None:
                address = urlsplit(self.path)
                content = self.rfile.read(int(self.headers.get("content-length") or 0))
                try:
                    body = json.loads(content) if content else {}
                    status = 200
                    answer = server._answer(self.command, address.path, parse_qs(address.query), body)
                except Refusal as refusal:
                    status = refusal.status
                    name = STATUSES.get(status, "UNAVAILABLE" if status >= 500 else "INVALID_ARGUMENT")
                    answer = {"error": {"code": status, "message": str(refusal), "status": name}}
                with server._lock:
                    sent = json.dumps(answer).encode()
                with contextlib.suppress(ConnectionError):  # the client may have been killed
                    self.send_response(status)
                    self.send_header("content-type", "application/json; charset=UTF-8")
                    self.send_header("content-length", str(len(sent)))
                    self.end_headers()
                    self.wfile.write(sent)

            def do_GET(self) -> None:
                self._do()

            def do_PATCH(self) -> None:
                self._do()

            def do_POST(self) -> None:
                self._do()

            def log_message(self, *_arguments: object) -> None:
                """Quiet."""

        return Handler


def _of(things: dict[str, Thing], name: str) -> Thing:
    if name not in things:
        raise Refusal(404, f"Resource '{name}' was not found.")
    return things[name]
