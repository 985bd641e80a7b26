"""Whatever is logged in a process comes out as a masked line of ours; each case in a process of its own, since the
configuration is the process's."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

SECRET = "Jane Roe, 078-05-1120, jane.roe@example.com"  # a number that SSA withdrew
SHOWN = "Jane Roe, [SSN], [EMAIL]"
ROOT = Path(__file__).parents[3]
START = f"""
import logging, sys, threading, warnings
from common.logging import *
SECRET = {SECRET!r}
setup_logging(log_level=LEVEL, json_logs=True)
"""
Lines = list[dict[str, Any]]


def run(script: str, *, level: str = "INFO", **settings: str) -> "subprocess.CompletedProcess[str]":
    """What `script` did in a process after production's set-up. Nothing unmasked came out of it."""
    start = START.replace("LEVEL", repr(level))
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COVERAGE")}
    command = [sys.executable, "-W", "always", "-c", start + textwrap.dedent(script)]
    done = subprocess.run(
        command, cwd=ROOT, env=kept | settings, capture_output=True, text=True, timeout=60, check=False
    )
    for canary in ("078-05", "jane.roe", "078051120"):
        assert canary not in done.stdout + done.stderr
    return done


def lines_of(script: str, *, level: str = "INFO", **settings: str) -> Lines:
    """The lines that `script` wrote to stdout; on stderr it must have written nothing."""
    done = run(script, level=level, **settings)
    assert (done.stderr, done.returncode) == ("", 0)
    return [json.loads(line) for line in done.stdout.splitlines()]


def component(line: dict[str, Any]) -> str:
    name: str = line["logging.googleapis.com/labels"]["component"]
    return name


def test_a_librarys_message_is_kept_and_masked() -> None:
    (line,) = lines_of("logging.getLogger('chromadb.api').warning('bad input: %s', SECRET)")
    assert (line["message"], line["severity"], component(line)) == (f"bad input: {SHOWN}", "WARNING", "chromadb.api")
    assert line["logging.googleapis.com/sourceLocation"] == {"file": "<string>", "line": 6, "function": "<module>"}


def test_extras_are_masked_by_value_and_by_name() -> None:
    (line,) = lines_of("""
        given = {"loan": {"borrower": [SECRET], "api_token": "s3cr3t-words"}, "severity": "none", "ssn": 78051120}
        logging.getLogger("x").warning("hello", extra=given)
        assert given["loan"]["borrower"] == [SECRET]
        """)
    assert line["loan"] == {"borrower": [SHOWN], "api_token": "[SECRET]"}
    assert (line["severity"], line["severity_"]) == ("WARNING", "none")


def test_a_traceback_is_masked_with_its_causes_groups_and_notes() -> None:
    (line,) = lines_of("""
        try:
            try:
                raise ValueError(SECRET)
            except ValueError as cause:
                cause.add_note("note: " + SECRET)
                raise ExceptionGroup(SECRET, [KeyError(SECRET), OSError(SECRET)]) from cause
        except ExceptionGroup:
            logging.getLogger("somebody").exception("failed for %s", SECRET, stack_info=True)
        """)
    assert (line["severity"], line["message"]) == ("ERROR", f"failed for {SHOWN}")
    for part in ("ValueError: Jane", "note: Jane", "KeyError", "OSError", "direct cause", "Stack (most recent call"):
        assert part in line["stack_trace"]


def test_arguments_that_do_not_fit_are_written_beside_the_message() -> None:
    (line,) = lines_of("logging.getLogger('x').warning('%d of %d', SECRET)")
    assert line["message"] == f"%d of %d {SHOWN}"


def test_levels_in_between_count_as_the_named_one_below() -> None:
    lines = lines_of("for level in (35, 25, 45, 60): logging.getLogger('x').log(level, 'hello')")
    assert [line["severity"] for line in lines] == ["WARNING", "INFO", "ERROR", "CRITICAL"]


def test_installed_libraries_are_heard_from_a_warning_on() -> None:
    script = """
        import httpx, logging.config
        code = compile("log.info('chatter'); log.warning('trouble')", httpx.__file__, "exec")
        exec(code, {"log": logging.getLogger("httpx")})
        """
    assert [line["message"] for line in lines_of(script)] == ["trouble"]


def test_code_beside_ours_is_heard_from_the_level_of_the_settings_on() -> None:
    script = "log = logging.getLogger('mine'); log.debug('no'); log.info('yes'); get_logger('own').info('yes.too')"
    assert [line["message"] for line in lines_of(script)] == ["yes", "yes.too"]
    assert lines_of(script, level="error") == []
    assert [line["message"] for line in lines_of(script, level="DEBUG")] == ["no", "yes", "yes.too"]


def test_an_unknown_level_is_refused_at_start() -> None:
    assert "ValueError: log_level is none of DEBUG" in run("", level="LOUD").stderr


def test_a_python_warning_is_a_line_too() -> None:
    (line,) = lines_of("warnings.warn(SECRET, UserWarning, stacklevel=1)")
    assert component(line) == "py.warnings"
    assert SHOWN in line["message"]


def test_setting_up_again_changes_nothing() -> None:
    script = """
        setup_logging(log_level="INFO", json_logs=True)
        setup_logging(log_level="INFO", json_logs=False)
        setup_logging(log_level="INFO", json_logs=True)
        logging.getLogger("gunicorn.error").error(SECRET)
        logging.getLogger("x").warning(SECRET)
        """
    assert [component(line) for line in lines_of(script)] == ["gunicorn.error", "x"]


@pytest.mark.parametrize("again", ["", "setup_logging(log_level='INFO', json_logs=True)"])
def test_gunicorns_lines_come_from_us_and_not_from_its_own_handlers(again: str) -> None:
    script = f"""
        from gunicorn.config import Config
        from gunicorn.glogging import Logger
        config = Config()
        config.set("accesslog", "-")
        log = Logger(config)
        {again}
        log.error("Error handling request /api?name=%s", SECRET)
        log.access_log.info("GET /api?ssn=078-05-1120&mail=jane.roe%%40example.com")
        """
    error, access = lines_of(script)
    assert (component(error), error["severity"]) == ("gunicorn.error", "ERROR")
    assert (component(access), access["message"]) == ("gunicorn.access", "GET /api?ssn=[SSN]&mail=[EMAIL]")


def test_the_frameworks_logger_gets_no_handler_of_its_own() -> None:
    (line,) = lines_of("import flask; flask.Flask('query').logger.error(SECRET)")
    assert component(line) == "query"


def test_handlers_that_print_write_nothing_whenever_they_came() -> None:
    script = """
        import logging.config
        logging.basicConfig(force=True)
        logging.getLogger("early").addHandler(logging.StreamHandler())
        setup_logging(log_level="INFO", json_logs=True)
        logging.basicConfig(force=True)
        logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
        logging.getLogger("early").warning(SECRET)
        logging.config.dictConfig({"version": 1, "root": {"level": "INFO", "handlers": []}})
        logging.getLogger("late").warning(SECRET)
        get_logger("ours").info("still.here")
        """
    assert [component(line) for line in lines_of(script)] == ["early", "late", "ours"]


def test_handlers_that_keep_records_get_masked_ones(tmp_path: Path) -> None:
    script = f"""
        kept = logging.FileHandler({str(tmp_path / "kept")!r})
        kept.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s %(loan)s"))
        kept.setLevel("WARNING")
        logging.getLogger().addHandler(kept)
        try:
            raise ValueError(SECRET)
        except ValueError:
            logging.getLogger("x").exception("for %s", SECRET, extra={{"loan": SECRET}})
        get_logger("ours").info("not.kept", loan="1")
        get_logger("ours").warning("some.event", loan="1")
        """
    assert len(lines_of(script)) == 3
    kept = (tmp_path / "kept").read_text()
    assert f"ERROR x for {SHOWN} {SHOWN}\nTraceback" in kept
    assert kept.endswith("WARNING ours some.event 1\n")
    assert "078-05" not in kept


def test_a_handler_that_fails_prints_nothing_and_is_counted() -> None:
    (line,) = lines_of("""
        from common.metrics import exposition
        class Broken(logging.Handler):
            def emit(self, record):
                try:
                    raise OSError(record.getMessage())
                except OSError:
                    self.handleError(record)
        logging.getLogger().addHandler(Broken())
        logging.getLogger("x").warning(SECRET)
        assert 'assistant_log_failures_total{reason="handler"} 1.0' in exposition(None)[0].decode()
        assert 'assistant_log_lines_total{severity="WARNING"} 1.0' in exposition(None)[0].decode()
        """)
    assert line["message"] == SHOWN


def test_a_handler_that_raises_leaves_the_caller_alone() -> None:
    script = """
        class Broken(logging.Handler):
            def emit(self, record):
                raise OSError(record.getMessage())
        logging.getLogger().addHandler(Broken())
        logging.getLogger("x").warning(SECRET)
        get_logger("x").warning("some.event")
        """
    assert len(lines_of(script)) == 2


def test_a_logger_without_handlers_that_keeps_to_itself_is_heard() -> None:
    script = "alone = logging.getLogger('alone'); alone.propagate = False; alone.warning(SECRET)"
    assert [component(line) for line in lines_of(script)] == ["alone"]


def test_uncaught_exceptions_are_masked_lines() -> None:
    done = run("raise ValueError(SECRET)")
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (1, "")
    assert (line["severity"], line["message"], line["error_type"]) == ("CRITICAL", "exception.uncaught", "ValueError")
    assert f"ValueError: {SHOWN}" in line["stack_trace"]


def test_exceptions_of_threads_and_finalizers_are_masked_lines() -> None:
    script = """
        def fail(*_):
            raise ValueError(SECRET)
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        leaving = threading.Thread(target=sys.exit)
        leaving.start()
        leaving.join()
        class Finalized:
            __del__ = fail
        Finalized()
        """
    assert [line["message"] for line in lines_of(script)] == ["exception.uncaught_in_thread", "exception.unraisable"]


def test_hooks_of_others_stay() -> None:
    script = """
        sys.excepthook = mine = lambda *_: None
        setup_logging(log_level="INFO", json_logs=True)
        assert sys.excepthook is mine
        """
    assert lines_of(script) == []


def test_our_own_lines_have_their_fields_and_their_place() -> None:
    lines = lines_of("""
        log = get_logger("query")
        log.info("retrieval.finished", passages=5, degraded=["model"], reason=SECRET, score=None)
        log.bind(model="m").warning("model.failed", error_type="ValueError")
        log.error("with %s arguments", 2)
        """)
    assert lines[0]["passages"] == 5
    assert (lines[0]["reason"], lines[0]["degraded"], "score" in lines[0]) == (SHOWN, ["model"], False)
    assert "logging.googleapis.com/sourceLocation" not in lines[0]
    assert (lines[1]["model"], lines[1]["logging.googleapis.com/sourceLocation"]["line"]) == ("m", 9)
    assert lines[2]["message"] == "with 2 arguments"


def test_every_method_of_the_logger_writes_at_its_level() -> None:
    lines = lines_of(
        """
        import asyncio
        log = get_logger("query")
        log.debug("one"); log.critical("two"); log.fatal("three"); log.warn("four"); log.log(25, "five"); log.info()
        try:
            1 / 0
        except ZeroDivisionError as error:
            log.exception("six")
            log.info("seven", exc_info=error)
        log.exception("eight")
        asyncio.run(log.ainfo("nine"))
        """,
        level="DEBUG",
    )
    lines = [line for line in lines if component(line) == "query"]
    assert [line["severity"] for line in lines] == [
        "DEBUG", "CRITICAL", "CRITICAL", "WARNING", "INFO", "INFO", "ERROR", "INFO", "ERROR", "INFO",
    ]  # fmt: skip
    assert [line["message"] for line in lines if "stack_trace" in line] == ["six", "seven"]


def test_fields_of_somebody_elses_code_are_kept_and_masked() -> None:
    (line,) = lines_of(
        "get_logger('mine').info(SECRET, borrower=SECRET, password='x y', message='m', n=4111111111111111)"
    )
    assert (line["message"], line["borrower"], line["password"], line["message_"]) == (SHOWN, SHOWN, "[SECRET]", "m")
    assert "4111" not in str(line["n"])


def test_loggers_that_structlog_itself_makes_write_the_same_lines() -> None:
    (line,) = lines_of("import structlog; structlog.get_logger('theirs').info('loan.seen', borrower=SECRET)")
    assert (component(line), line["message"], line["borrower"]) == ("theirs", "loan.seen", SHOWN)


def test_component_loggers_are_named_after_their_part() -> None:
    script = "for name in COMPONENTS: component_logger(name).info('some.event')"
    assert [component(line) for line in lines_of("from common.logging import COMPONENTS\n" + script)] == [
        "function", "query", "router", "retrieval", "planner", "critique", "model", "knowledge", "documents",
        "database", "health", "security", "cost", "emulator", "retention", "notices",
    ]  # fmt: skip


def test_lines_of_one_request_share_its_context_and_its_trace() -> None:
    (inside, outside) = lines_of(
        """
        from common.tracing import server_span
        header = {"traceparent": "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"}
        with log_context(request_id="078-05-1120", function="query"), server_span(header, "POST /api/query"):
            logging.getLogger("x").warning("inside")
        logging.getLogger("x").warning("outside")
        """,
        GOOGLE_CLOUD_PROJECT="p",
    )
    assert inside["logging.googleapis.com/trace"] == "projects/p/traces/" + "ab" * 16
    assert len(inside["logging.googleapis.com/spanId"]) == 16
    assert "logging.googleapis.com/trace_sampled" in inside
    assert inside["logging.googleapis.com/labels"] == {"component": "x", "function": "query"}
    assert inside["request_id"] == "[SSN]"
    assert outside.keys() & {"request_id", "trace_id", "logging.googleapis.com/trace"} == set()


def test_parallel_threads_and_tasks_never_mix_their_context() -> None:
    lines = lines_of("""
        import asyncio
        from concurrent.futures import ThreadPoolExecutor
        log = get_logger("x")
        gate = threading.Barrier(16)
        def threaded(number):
            with log_context(request_id=f"thread-{number}"):
                for turn in range(5):
                    gate.wait(20)
                    log.info(f"thread-{number}")
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(threaded, range(16)))
        async def task(number):
            with log_context(request_id=f"task-{number}"):
                for turn in range(5):
                    await asyncio.sleep(0)
                    log.info(f"task-{number}")
        async def tasks():
            await asyncio.gather(*map(task, range(16)))
        asyncio.run(tasks())
        """)
    assert len(lines) == 160
    assert all(line["message"] == line["request_id"] for line in lines)


def test_a_generator_that_is_closed_elsewhere_keeps_its_context_to_itself() -> None:
    lines = lines_of("""
        import contextvars
        def stream():
            with log_context(request_id="stream"):
                get_logger("x").info("inside")
                yield
        generator = stream()
        contextvars.copy_context().run(next, generator)
        generator.close()
        get_logger("x").info("outside")
        """)
    assert [line.get("request_id") for line in lines] == ["stream", None]


def test_before_setup_our_lines_are_readable_and_masked() -> None:
    script = f"from common.logging import get_logger\nget_logger('x').warning('early.event', reason={SECRET!r})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "early.event" in done.stdout
    assert SHOWN in done.stdout


def test_readable_lines_tell_the_same() -> None:
    done = run("""
        setup_logging(json_logs=False)
        from common.tracing import span
        with span("x"):
            get_logger("query").info("request.finished", status=200)
        logging.getLogger("x").warning("for %s\\udc80", SECRET, exc_info=ValueError(SECRET))
        """)
    assert done.stderr == ""
    first, *rest = done.stdout.splitlines()
    for part in ("request.finished", "[info", "query", "status=200", "trace_id="):
        assert part in first
    assert f"for {SHOWN}\\udc80" in rest[0]
    assert rest[-1] == f"ValueError: {SHOWN}"


def test_the_log_file_gets_every_line_as_json(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "lines.jsonl"
    run("setup_logging(json_logs=False); get_logger('x').info('some.event', reason=SECRET)", LOG_FILE=str(path))
    (line,) = map(json.loads, path.read_text().splitlines())
    assert (line["message"], line["reason"]) == ("some.event", SHOWN)


def test_kinds_allowed_texts_and_pseudonyms_are_settings() -> None:
    script = "get_logger('x').info('some.event', reason='a@example.com, desk@example.com, 10.1.2.3')"
    (line,) = lines_of(script, MASK_KINDS="email", MASK_ALLOW="desk@example.com", PSEUDONYM_KEY="k" * 16)
    before, allowed, address = line["reason"].split(", ")
    assert before.startswith("[EMAIL:")
    assert (allowed, address) == ("desk@example.com", "10.1.2.3")


def test_the_api_needs_a_project() -> None:
    done = run("", LOG_TO="api")
    assert "GOOGLE_CLOUD_PROJECT" in done.stderr


STRANGE = """
class Broken:
    def __hash__(self): return 1
    def __str__(self): raise RuntimeError(SECRET)
    def __repr__(self): raise RuntimeError(SECRET)

class Endless(dict):
    def items(self):
        while True: yield SECRET, SECRET

cyclic = [SECRET]
cyclic.append(cyclic)
deep = SECRET
for _ in range(2_000): deep = [deep]
strange = [
    b"078-05-1120 \\xff", cyclic, Endless(), "x" * 5_000_000 + " " + SECRET, [SECRET] * 100_000, deep, Broken(),
    [Broken(), Broken], "\\ud800 " + SECRET, float("nan"), 10**5000, 2**70, {Broken(): 1, SECRET: 2, None: 3},
    memoryview(b"078-05-1120"), {SECRET}, range(10**9), Exception(SECRET), object, True,
]
"""


def test_strange_values_do_no_harm_wherever_they_are() -> None:
    script = """
for value in strange:
    logging.getLogger("x").warning(value)
    logging.getLogger("x").warning("%s", value)
    logging.getLogger("x").warning("%d", value)
    logging.getLogger("x").warning("hello", extra={"value": value})
    get_logger("x").info(value)
    get_logger("x").info("some.event", value=value, reason=value, outcome=value, degraded=[value])
    with log_context(request_id=value):
        get_logger("x").info("some.event")
    class Failed(Exception):
        def __str__(self): return str(value)
    logging.getLogger("x").warning("hello", exc_info=Failed())
get_logger("x").info("counted", count=len(strange))
"""
    *lines, last = lines_of(STRANGE + script)
    assert len(lines) == last["count"] * 8
    assert all(len(json.dumps(line)) < 256_000 for line in lines)


def test_a_message_of_ten_megabytes_is_cut_and_says_so() -> None:
    (line,) = lines_of("logging.getLogger('x').warning(SECRET + ' ' + 'x' * 10_000_000)")
    assert line["message"].startswith(SHOWN)
    assert line["message"].endswith(f"... [cut: {len(SECRET) + 10_000_001:,} characters]")


CLOSED = {
    "closed": "sys.stdout.close()",
    "none": "sys.stdout = None",
    "broken pipe": "import os; r, w = os.pipe(); os.close(r); os.dup2(w, 1)",
    "full": "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)",
}


@pytest.mark.parametrize("how", CLOSED.values(), ids=CLOSED)
def test_without_a_stdout_lines_go_to_stderr(how: str) -> None:
    done = run(f"""
        {how}
        get_logger("x").info("some.event", reason=SECRET)
        from common.metrics import exposition
        assert 'assistant_log_failures_total{{reason="stdout"}} 1.0' in exposition(None)[0].decode()
        assert 'assistant_log_lines_total{{severity="INFO"}} 1.0' in exposition(None)[0].decode()
        import os
        sys.stderr.flush()
        os._exit(0)
        """)
    assert json.loads(done.stderr)["reason"] == SHOWN


def test_without_any_stream_the_lost_line_is_counted() -> None:
    run("""
        sys.stdout = sys.stderr = None
        get_logger("x").info("some.event")
        from common.metrics import exposition
        assert 'assistant_log_failures_total{reason="lost"} 1.0' in exposition(None)[0].decode()
        """).check_returncode()


def test_importing_logging_loads_nothing_heavy() -> None:
    script = """
        import sys
        import common.logging
        loaded = {"rich", "orjson", "prometheus_client", "google.cloud.logging_v2", "grpc", "pydantic", "common.pii"}
        assert not loaded & sys.modules.keys(), loaded & sys.modules.keys()
        import rich
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=True)
