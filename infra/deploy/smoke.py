"""The first requests to a candidate, at an address of its own, before it gets any of other people's."""

import time
from collections.abc import Iterator

from infra.deploy.environment import Listed
from infra.deploy.probing import Reply, fetch

ROUTED_SECONDS = 60.0  # until a new tag's address leads to its revision everywhere
_POLL_SECONDS = 1.0


def faults(function: Listed, url: str, *, routed_seconds: float = ROUTED_SECONDS) -> Iterator[str]:
    """What is wrong with the revision of `function` at `url`: nothing, where it is alive and describes itself."""
    alive = _alive(f"{url}/live", routed_seconds)
    if alive.status != 200:
        yield f"/live: {alive}"
        return  # the rest would say the same again
    described = fetch(f"{url}/openapi.json")
    if described.status != 200 or "openapi" not in described.json():
        yield f"/openapi.json: {described}{' and no description' if described.status == 200 else ''}"
    if "/health" in function.paths:
        health = fetch(f"{url}/health")
        if health.status != 200:
            yield f"/health: {health}, {_unhealthy(health)}"


def _alive(url: str, seconds: float) -> Reply:
    """The first good answer, or the last of those in `seconds`: a cloud's own 404 or 503 is not the revision's."""
    deadline = time.monotonic() + seconds
    while (reply := fetch(url)).status != 200 and time.monotonic() < deadline:
        time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))
    return reply


def _unhealthy(health: Reply) -> str:
    parts = health.json().get("components")
    if not isinstance(parts, dict):
        return "which says no more"
    names = [name for name, part in parts.items() if isinstance(part, dict) and part.get("status") != "healthy"]
    return f"not healthy: {', '.join(names) or 'none by name'}"
