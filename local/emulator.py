"""All functions of `functions/functions.json` in one process on one port, with all state below DATA_DIR."""

import json
import shlex
import signal
import threading
from collections.abc import Callable

from common.logging import component_logger, frames_of, setup_logging
from common.problems import Unavailable
from common.security.principal import DEFAULT_TENANT
from common.settings import Settings
from local.catalogue import ROOT, load_catalogue

EXAMPLE_QUESTION = "What is the supervisory loan-to-value limit for raw land?"

log = component_logger("emulator")


def run(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, then return. `say` gets the words for the person at the terminal.

    The port is bound first, so that a port in use is found before any work, and opened last, so that the first
    question meets migrated tables and a loaded knowledge base.

    Raises:
        CannotListen: the port is in use or not to be had.
        NotWritable: DATA_DIR cannot hold state.
        DatabaseTooNew, SQLAlchemyError: as `local.state.prepare`.
        InvalidSettings: models or prices are configured in a way that cannot work, or ANONYMOUS in a way that must not.
    """
    from common.security import anonymous
    from local.server import leave, reserve, serve

    may_be_anonymous = anonymous.check_may_grant(settings)
    for number in (signal.SIGINT, signal.SIGTERM):  # until the server has its own: both end the start alike
        signal.signal(number, signal.default_int_handler)
    setup_logging(settings.log_level, settings.json_logs)
    warming = threading.Thread(target=_warm_up, name="warm-up")
    try:
        with reserve(settings.host, settings.port) as bound:
            from common.database.engine import DatabaseUnavailable
            from local.gateway import Gateway
            from local.state import check_settings, check_writable, load, prepare

            check_writable(settings.data_dir)
            check_settings()
            try:
                load(ROOT / "knowledge", prepare(settings), settings)
            except DatabaseUnavailable:  # nothing can be answered without it
                raise
            except Unavailable as error:  # a Chroma server that is down: answers will say so, and may come back
                log.warning("knowledge.not_loaded", reason=error.title)
            if may_be_anonymous:
                anonymous.grant(settings.host)
            gateway = Gateway(load_catalogue())
            serve(gateway, bound, lambda url: _opened(url, may_be_anonymous, warming, say))
    except KeyboardInterrupt:
        log.info("emulator.stopped", step="starting")
    else:
        log.info("emulator.stopped", step="serving")
    if warming.is_alive():  # it loads what nobody will ask for any more
        leave()


def welcome(url: str, *, needs_key: bool = False) -> str:
    """Where the emulator listens, and one question ready to paste into a shell."""
    body = shlex.quote(json.dumps({"message": EXAMPLE_QUESTION}))
    key = ' -H "X-API-Key: $LOANCHECK_KEY"' if needs_key else ""
    ask = f"  curl -s {url}/api/query{key} -H 'Content-Type: application/json' -d {body}\n"
    listens = f"LoanCollateralCheck listens on {url} (Ctrl-C ends it). "
    if not needs_key:
        return f"{listens}Ask it something:\n\n{ask}"
    make = "  LOANCHECK_KEY=$(loancheck keys create --role analyst | tail -n 1)\n"
    return f"{listens}It asks for a key; make one, and ask:\n\n{make}{ask}"


def _opened(url: str, is_anonymous: bool, warming: threading.Thread, say: Callable[[str], None]) -> None:
    say(welcome(url, needs_key=not is_anonymous))
    warming.start()


def _warm_up() -> None:
    """Load what the first question needs (embedder, index, router), so that it is as quick as the second."""
    try:
        from functions.query.answering import service

        service().retriever().retrieve(EXAMPLE_QUESTION, tenant=DEFAULT_TENANT)
    # Whatever it is, the first question meets it too, and its answer says so.
    except Exception as error:  # noqa: BLE001
        log.warning("emulator.not_warm", error_type=type(error).__name__, frames=frames_of(error))
    else:
        log.debug("emulator.warm")
