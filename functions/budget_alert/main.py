"""Function `budget_alert`: hears what Google Cloud's budgets say, tells people, and sets the governor's state."""

import sys
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started alone, the framework knows only this folder

from common.function import Call, Function, Reply, Route
from common.notices.targets import check_targets
from common.version import VERSION

if TYPE_CHECKING:
    from functions.budget_alert.models import PubSubCloudEvent, PubSubPush

MARGIN_SECONDS = 15.0  # for what is begun at the deadline: one more attempt at a notice, a wait for the database


def _receive(call: "Call[PubSubPush | PubSubCloudEvent]") -> Reply:
    from functions.budget_alert.alerting import receive

    receive(call.body, call.principal, call.correlation, call.deadline - MARGIN_SECONDS)
    return Reply(status=HTTPStatus.NO_CONTENT)


check_targets()
budget_alert = Function(
    name="budget_alert",
    title="LoanCollateralCheck: budget alert",
    version=VERSION,
    routes=[
        Route(
            method="POST",
            path="/events/budget",
            summary="Takes what a Google Cloud budget says, as Pub/Sub pushes it.",
            handler=_receive,
            request="functions.budget_alert.models:PubSubPush",
            forms=(("application/cloudevents+json", "functions.budget_alert.models:PubSubCloudEvent"),),
            status=HTTPStatus.NO_CONTENT,
            scope="events:receive",
            limit="120/minute",
        ),
    ],
).entry_point()
