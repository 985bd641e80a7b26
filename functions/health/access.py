"""Who may see details: outside development nobody, as long as requests carry no proof of who asks."""

from http import HTTPStatus

import flask

from common.function import Correlation, Route
from common.problems import AssistantError
from common.settings import settings

DETAILS_SCOPE = "health:read"


class Forbidden(AssistantError):
    """The request has not the scope that its route declares."""

    type = "/problems/forbidden"
    title = "This request may not do that"
    status = HTTPStatus.FORBIDDEN


def guard_details(_request: flask.Request, route: Route, _correlation: Correlation) -> None:
    """
    Raises:
        Forbidden: details are asked for outside development.
    """
    if route.scope == DETAILS_SCOPE and settings().environment != "development":
        raise Forbidden
