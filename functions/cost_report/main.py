"""Function `cost_report`: what was spent, by whom and why, what comes of it, and where to save."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started alone, the framework knows only this folder

from common.function import HTML, JSON, Call, Function, Reply, Route
from common.notices.targets import check_targets
from common.version import VERSION

if TYPE_CHECKING:
    from functions.cost_report.asked import RunAnswer, RunRequest


def _report(call: Call[None]) -> Reply:
    from functions.cost_report.answering import report  # SQLAlchemy comes with the first report

    return report(call)


def _run(call: "Call[RunRequest]") -> "RunAnswer":
    from functions.cost_report.running import run

    return run(call)


check_targets()
cost_report = Function(
    name="cost_report",
    title="LoanCollateralCheck: cost report",
    version=VERSION,
    timeout_seconds=300.0,
    routes=[
        Route(
            method="GET",
            path="/api/cost-report",
            summary="What a period has cost, by day and by whom, with forecast, savings and return; CSV is FOCUS 1.2.",
            handler=_report,
            query="functions.cost_report.asked:ReportQuery",
            answer="functions.cost_report.models:Report",
            produces=(JSON, HTML, "text/csv"),
            scope="costs:read",
            limit="30/minute",
        ),
        Route(
            method="POST",
            path="/api/cost-report/run",
            summary="Archives the report of a period that is over, looks for savings, tells people; for a scheduler.",
            handler=_run,
            request="functions.cost_report.asked:RunRequest",
            is_body_optional=True,
            answer="functions.cost_report.asked:RunAnswer",
            scope="events:receive",
            limit="10/minute",
        ),
    ],
).entry_point()
