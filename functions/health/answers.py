"""From a health report to an answer: status code, shape and content type.

The answers are written without the models that describe them (`functions.health.models`): whoever asks whether a
process lives is not to wait for pydantic. A test holds the two together.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus

from common.function import Call, Reply
from common.health import ComponentHealth, HealthChecker, HealthReport, Status, init_health_checker, is_draining
from common.once import once
from common.version import VERSION
from functions.health.health_json import HEALTH_JSON, health_json

DRAINING = "draining"


@once
def checker() -> HealthChecker:
    """This instance's checker, of what the settings name."""
    return init_health_checker()


def health(call: Call[None]) -> Reply:
    """All components; 503 where questions cannot be answered."""
    report = checker().report()
    return reply(call, report.status, report)


def ready(call: Call[None]) -> Reply:
    """What answers need; 503 where it is not there, or where this process is about to end."""
    report = checker().report().of_needed()
    if is_draining():
        return reply(call, "unhealthy", report, detail=DRAINING)
    return reply(call, report.status, report)


def live(call: Call[None]) -> Reply:
    """This process alone."""
    if call.content_type == HEALTH_JSON:
        return Reply(content=health_json("healthy", {}), content_type=HEALTH_JSON)
    return Reply(content=_json({"status": "alive"}))


def reply(
    call: Call[None],
    status: Status,
    report: HealthReport,
    *,
    detail: str | None = None,
    process: Mapping[str, object] | None = None,
) -> Reply:
    """`report` under `status`, with what is known of the process and the facts of each component where `process` is
    given; or the same as `application/health+json` where the caller prefers that."""
    code = HTTPStatus.SERVICE_UNAVAILABLE if status == "unhealthy" else HTTPStatus.OK
    with_facts = process is not None
    if call.content_type == HEALTH_JSON:
        content = health_json(status, report.components, output=detail, with_facts=with_facts)
        return Reply(status=code, content=content, content_type=HEALTH_JSON)
    answer = {
        "status": status,
        **_known(detail=detail),
        "version": VERSION,
        "components": {name: _component(one, with_facts=with_facts) for name, one in report.components.items()},
        **_known(process=process),
    }
    return Reply(status=code, content=_json(answer))


def _component(one: ComponentHealth, *, with_facts: bool) -> dict[str, object]:
    known = {"status": one.status, **_known(detail=one.detail, duration_ms=one.duration_ms)}
    return known | {"facts": dict(one.facts)} if with_facts else known


def _known(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _json(answer: Mapping[str, object]) -> bytes:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()
