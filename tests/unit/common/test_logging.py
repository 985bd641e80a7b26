"""What other libraries log comes out as lines of ours, without their words; each case in a process of its own, since
the configuration is the process's."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

SECRET = "Jane Roe, 078-05-1120"  # a number that SSA withdrew
ROOT = Path(__file__).parents[3]


def lines_of(script: str, *, level: str = "INFO") -> list[dict[str, Any]]:
    """What `script` wrote to stdout after production's set-up; on stderr it must have written nothing."""
    start = (
        "import logging, sys, warnings\nfrom common.logging import get_logger, setup_logging\n"
        f"SECRET = {SECRET!r}\nsetup_logging(production=True, level={level!r})\n"
    )
    command = [sys.executable, "-W", "always", "-c", start + textwrap.dedent(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert "Roe" not in done.stdout
    assert "078-05" not in done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_librarys_warning_is_a_line_of_ours_without_its_words() -> None:
    (line,) = lines_of("logging.getLogger('chromadb.api').warning('bad input: %s', SECRET)")
    assert (line["message"], line["severity"], line["component"]) == ("library.logged", "WARNING", "chromadb.api")
    assert line["frames"] == ["<string>:5:<module>"]


def test_an_exception_is_named_by_its_type_alone() -> None:
    (line,) = lines_of("""
        try:
            raise ValueError(SECRET)
        except ValueError:
            logging.getLogger("somebody").exception("failed for %s", SECRET)
        """)
    assert (line["severity"], line["error_type"]) == ("ERROR", "ValueError")


def test_records_that_cannot_be_formatted_and_strange_levels_do_no_harm() -> None:
    script = "logging.getLogger('x').log(35, '%d %d', SECRET); logging.getLogger('x').critical(SECRET, exc_info=True)"
    assert [line["severity"] for line in lines_of(script)] == ["WARNING", "CRITICAL"]


def test_what_is_below_a_warning_is_not_written() -> None:
    assert lines_of("logging.getLogger('x').setLevel(1); logging.getLogger('x').info(SECRET)") == []


def test_the_level_of_the_settings_holds_for_libraries_too() -> None:
    lines = lines_of("logging.getLogger('x').warning(SECRET); logging.getLogger('y').error(SECRET)", level="ERROR")
    assert [line["component"] for line in lines] == ["y"]


def test_a_python_warning_is_a_line_too() -> None:
    (line,) = lines_of("warnings.warn(SECRET, UserWarning, stacklevel=1)")
    assert line["component"] == "py.warnings"


def test_setting_up_again_changes_nothing() -> None:
    script = """
        setup_logging(production=True, level="INFO")
        logging.getLogger("gunicorn.error").error(SECRET)
        logging.getLogger("x").warning(SECRET)
        """
    assert [line["component"] for line in lines_of(script)] == ["gunicorn.error", "x"]


@pytest.mark.parametrize("again", ["", "setup_logging(production=True, level='INFO')"])
def test_gunicorns_own_handlers_write_nothing(again: str) -> None:
    script = f"""
        from gunicorn.config import Config
        from gunicorn.glogging import Logger
        config = Config()
        config.set("accesslog", "-")
        log = Logger(config)
        {again}
        log.error("Error handling request /api?name=%s", SECRET)
        log.access_log.info(SECRET)
        """
    (line,) = lines_of(script)
    assert (line["component"], line["severity"]) == ("gunicorn.error", "ERROR")


def test_the_frameworks_logger_gets_no_handler_of_its_own() -> None:
    (line,) = lines_of("import flask; flask.Flask('query').logger.error(SECRET)")
    assert line["component"] == "query"


def test_handlers_that_were_there_before_write_nothing() -> None:
    script = """
        logging.basicConfig(force=True)
        logging.getLogger("early").addHandler(logging.StreamHandler())
        setup_logging(production=True, level="INFO")
        logging.getLogger("early").warning(SECRET)
        """
    assert [line["component"] for line in lines_of(script)] == ["early"]


def test_a_logger_without_handlers_that_keeps_to_itself_is_heard() -> None:
    script = "alone = logging.getLogger('alone'); alone.propagate = False; alone.warning(SECRET)"
    assert [line["component"] for line in lines_of(script)] == ["alone"]


def test_our_own_lines_stay_as_they_are() -> None:
    (line,) = lines_of("get_logger('query').info('request.finished', status=200, message=SECRET)")
    assert (line["message"], line["status"], line["component"]) == ("request.finished", 200, "query")
