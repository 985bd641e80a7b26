"""`application/health+json`, for tools that know it.

Source: https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check-06
"""

import json
from collections.abc import Mapping

from common.health import ComponentHealth, Status
from common.version import VERSION

HEALTH_JSON = "application/health+json"

_WORDS: Mapping[Status, str] = {"healthy": "pass", "degraded": "warn", "unhealthy": "fail"}
_TYPES = {"disk": "system", "gemini": "component"}  # everything else holds data


def health_json(
    status: Status,
    components: Mapping[str, ComponentHealth],
    *,
    output: str | None = None,
    with_facts: bool = False,
) -> bytes:
    """One check a component, `name:responseTime` where something was timed. `output` is left out where all is well."""
    body: dict[str, object] = {
        "status": _WORDS[status],
        "version": VERSION.partition(".")[0],
        "releaseId": VERSION,
        "checks": dict(_check(name, one, with_facts=with_facts) for name, one in components.items()),
    }
    if output is not None:
        body["output"] = output
    return json.dumps(body).encode()


def _check(name: str, component: ComponentHealth, *, with_facts: bool) -> tuple[str, list[dict[str, object]]]:
    check: dict[str, object] = dict(component.facts) if with_facts else {}
    check |= {
        "componentId": name,
        "componentType": _TYPES.get(name, "datastore"),
        "status": _WORDS[component.status],
        "time": component.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    if component.detail is not None:
        check["detail" if component.status == "healthy" else "output"] = component.detail
    if component.duration_ms is None:
        return name, [check]
    return f"{name}:responseTime", [check | {"observedValue": component.duration_ms, "observedUnit": "ms"}]
