"""Function `health`: whether the product can answer, what is amiss, and whether this process runs."""

import sys
from http import HTTPStatus
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started alone, the framework knows only this folder

from common.function import JSON, Call, Function, Reply, Route
from common.version import VERSION
from functions.health.answers import health as _health
from functions.health.answers import live as _live
from functions.health.answers import ready as _ready
from functions.health.health_json import HEALTH_JSON

_BOTH = (JSON, HEALTH_JSON)
_OUT_OF_ORDER = (HTTPStatus.SERVICE_UNAVAILABLE,)


def _detailed(call: Call[None]) -> Reply:
    from functions.health.details import detailed

    return detailed(call)


health = Function(
    name="health",
    title="LoanCollateralCheck: health",
    version=VERSION,
    routes=[
        Route(
            method="GET",
            path="/health",
            summary="Whether questions can be answered, and what is amiss; 503 where they cannot.",
            handler=_health,
            answer="functions.health.models:HealthAnswer",
            also=_OUT_OF_ORDER,
            produces=_BOTH,
            scope="public",
            limit="none",
        ),
        Route(
            method="GET",
            path="/health/detailed",
            summary="The same, with what is configured and how large it is.",
            handler=_detailed,
            answer="functions.health.models:DetailedAnswer",
            also=_OUT_OF_ORDER,
            produces=_BOTH,
            scope="health:read",
            limit="60/minute",
        ),
        Route(
            method="GET",
            path="/health/live",
            summary="Whether this process runs.",
            handler=_live,
            answer="functions.health.models:LiveAnswer",
            produces=_BOTH,
            scope="public",
            limit="none",
        ),
        Route(
            method="GET",
            path="/health/ready",
            summary="Whether this process can take questions; 503 where it cannot.",
            handler=_ready,
            answer="functions.health.models:HealthAnswer",
            also=_OUT_OF_ORDER,
            produces=_BOTH,
            scope="public",
            limit="none",
        ),
    ],
).entry_point()
