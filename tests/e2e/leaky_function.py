"""A function of somebody's who takes no care at all: everything that comes in goes into logs, warnings and errors."""

import logging
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import flask

from common.logging import get_logger, setup_logging
from common.monitoring import setup_monitoring
from common.tracing import setup_tracing, trace_sync

setup_logging(log_level="DEBUG", json_logs=True)
setup_tracing(service_name="leaky")


@trace_sync()
def look_up(applicant: str) -> None:
    try:
        raise KeyError(applicant)
    except KeyError as error:
        error.add_note(f"while looking for {applicant}")
        raise ValueError(f"no such applicant: {applicant}") from error


@setup_monitoring
def leaky(request: flask.Request) -> str:
    body = request.get_data(as_text=True)
    logging.getLogger("leaky.child").warning("got %s from %s", body, dict(request.headers))
    logging.getLogger("leaky").info(
        "query", extra={"nested": {"deep": [{"applicant": body}], "args": dict(request.args)}}
    )
    get_logger("leaky").info(
        "query.received", applicant=body, headers=dict(request.headers), query=request.query_string
    )
    warnings.warn(f"odd: {body}", stacklevel=1)
    if request.path == "/raise":
        look_up(body)
    try:
        look_up(body)
    except ValueError:
        logging.getLogger("leaky").exception("could not look up %r", body)
    return "ok"
