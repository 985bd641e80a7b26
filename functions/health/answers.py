"""From a health report to an answer: status code, shape and content type."""

from http import HTTPStatus

from common.function import Call, Reply
from common.health import HealthChecker, HealthReport, init_health_checker, is_draining
from common.once import once
from common.version import VERSION
from functions.health.health_json import HEALTH_JSON, health_json
from functions.health.models import ComponentAnswer, DetailedAnswer, HealthAnswer, LiveAnswer

DRAINING = "draining"


@once
def checker() -> HealthChecker:
    """This instance's checker, of what the settings name."""
    return init_health_checker()


def health(call: Call[None]) -> Reply:
    """All components; 503 where questions cannot be answered."""
    report = checker().report()
    return reply(call, HealthAnswer(status=report.status, version=VERSION, components=_answers(report)), report)


def ready(call: Call[None]) -> Reply:
    """What answers need; 503 where it is not there, or where this process is about to end."""
    report = checker().report().of_needed()
    status, detail = ("unhealthy", DRAINING) if is_draining() else (report.status, None)
    answer = HealthAnswer(status=status, detail=detail, version=VERSION, components=_answers(report))
    return reply(call, answer, report)


def live(call: Call[None]) -> Reply:
    """This process alone."""
    if call.content_type == HEALTH_JSON:
        return Reply(content=health_json("healthy", {}), content_type=HEALTH_JSON)
    return Reply(body=LiveAnswer())


def reply(
    call: Call[None], answer: HealthAnswer | DetailedAnswer, report: HealthReport, *, with_facts: bool = False
) -> Reply:
    """`answer`, or the same as `application/health+json` where the caller prefers that."""
    code = HTTPStatus.SERVICE_UNAVAILABLE if answer.status == "unhealthy" else HTTPStatus.OK
    if call.content_type == HEALTH_JSON:
        content = health_json(answer.status, report.components, output=answer.detail, with_facts=with_facts)
        return Reply(status=code, content=content, content_type=HEALTH_JSON)
    return Reply(status=code, body=answer)


def _answers(report: HealthReport) -> dict[str, ComponentAnswer]:
    return {
        name: ComponentAnswer(status=one.status, detail=one.detail, duration_ms=one.duration_ms)
        for name, one in report.components.items()
    }
