"""A function that waits, as for a model: /5, /20 and /100 wait so many milliseconds. MONITORED=1 monitors it."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import flask


def waiting(request: flask.Request) -> flask.Response:
    time.sleep(int(request.path.strip("/")) / 1000)
    return flask.Response('{"status": "waited"}', content_type="application/json")


if os.environ.get("MONITORED"):
    from common.logging import setup_logging
    from common.monitoring import setup_monitoring
    from common.tracing import setup_tracing

    setup_logging()
    setup_tracing()
    waiting = setup_monitoring(waiting)
