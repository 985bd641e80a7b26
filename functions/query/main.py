"""Function `query`: message in, cited and priced answer out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started alone, the framework knows only this folder

from common.function import EVENT_STREAM, JSON, Call, EventStream, Function, Route
from common.settings import settings
from common.version import VERSION

if TYPE_CHECKING:
    from functions.query.models import QueryAnswer, QueryPreview, QueryRequest


def _answer(call: "Call[QueryRequest]") -> "QueryAnswer | QueryPreview | EventStream":
    from functions.query.answering import answer  # numpy, SQLAlchemy and onnxruntime come with the first question

    return answer(call)


query = Function(
    name="query",
    title="LoanCollateralCheck: query",
    version=VERSION,
    timeout_seconds=settings().query_timeout_seconds,
    routes=[
        Route(
            method="POST",
            path="/api/query",
            summary="Answers a question with citations, confidence and cost; or tells beforehand what it would cost.",
            handler=_answer,
            request="functions.query.models:QueryRequest",
            answer="functions.query.models:QueryResult",
            produces=(JSON, EVENT_STREAM),
            scope="query:ask",
            limit="60/minute",
        )
    ],
).entry_point()
