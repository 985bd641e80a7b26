"""Function `retention`: deletes what has been kept as long as the settings say; a scheduler calls it daily."""

import sys
from http import HTTPStatus
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started alone, the framework knows only this folder

from common.function import Call, Function, Reply, Route
from common.version import VERSION

MARGIN_SECONDS = 30.0  # for what is begun at the deadline: a wait for the database, the audit


def _apply(call: Call[None]) -> Reply:
    from functions.retention.applying import apply_retention

    apply_retention(call.principal, call.correlation, call.deadline - MARGIN_SECONDS)
    return Reply(status=HTTPStatus.NO_CONTENT)


retention = Function(
    name="retention",
    title="LoanCollateralCheck: retention",
    version=VERSION,
    timeout_seconds=300.0,
    routes=[
        Route(
            method="POST",
            path="/events/retention",
            summary="Deletes conversations, kept answers and delivered notices whose time is over.",
            handler=_apply,
            status=HTTPStatus.NO_CONTENT,
            scope="events:receive",
            limit="10/minute",
        ),
    ],
).entry_point()
