"""What the Functions Framework and gunicorn themselves log about a function that lets everything escape."""

import json
import socket
import sys
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.emulators import environment

ROOT = Path(__file__).resolve().parents[2]
SSN, MAIL = "078-05-1120", "jane.roe@example.com"  # SSA withdrew the number
SOURCE = """
import logging, threading, warnings
from common.logging import get_logger, setup_logging
setup_logging(log_level="INFO", json_logs=True)

def answer(request):
    if request.path == "/live":
        return "alive"
    who = request.args["who"], request.headers["X-Who"], request.get_data(as_text=True)
    warnings.warn(f"seen {who}")
    thread = threading.Thread(target=int, args=who[:1])
    thread.start()
    thread.join()
    get_logger("mine").info("loan.seen", borrower=who)
    raise ValueError(f"cannot serve {who}") from KeyError(who)
"""


def test_gunicorns_access_log_is_masked(tmp_path: Path, free_port: int) -> None:
    source = tmp_path / "main.py"
    source.write_text(SOURCE)
    command = [
        str(Path(sys.executable).parent / "gunicorn"), "--bind", f"127.0.0.1:{free_port}", "--access-logfile", "-",
        f"functions_framework:create_app('answer', {str(source)!r})",
    ]  # fmt: skip
    settings = {name: value for name, value in environment(tmp_path).items() if name != "PORT"}
    url = f"http://127.0.0.1:{free_port}"
    log = tmp_path / "log"
    with servers.running(command, is_ready=lambda: servers.answers(f"{url}/live"), log=log, env=settings):
        httpx.get(f"{url}/live", params={"who": SSN, "mail": MAIL}, headers={"Referer": f"http://x/{MAIL}"}, timeout=30)
    written = log.read_text()
    assert '"component":"gunicorn.access"' in written
    assert "/live?who=[SSN]&mail=[EMAIL]" in written
    assert SSN not in written
    assert "jane.roe" not in written


@pytest.mark.parametrize("execution_id", ["", "true"])
def test_nothing_that_the_framework_logs_is_unmasked(tmp_path: Path, free_port: int, execution_id: str) -> None:
    source = tmp_path / "main.py"
    source.write_text(SOURCE)
    command = [
        str(Path(sys.executable).parent / "functions-framework"),
        "--source", str(source), "--target", "answer", "--host", "127.0.0.1", "--port", str(free_port),
    ]  # fmt: skip
    settings = {name: value for name, value in environment(tmp_path).items() if name != "PORT"}
    settings |= {"LOG_EXECUTION_ID": execution_id, "GUNICORN_LOG_LEVEL": "info"}
    url = f"http://127.0.0.1:{free_port}"
    log = tmp_path / "log"
    with servers.running(command, is_ready=lambda: servers.answers(f"{url}/live"), log=log, env=settings):
        response = httpx.post(f"{url}/loan", params={"who": SSN}, headers={"X-Who": MAIL}, content=MAIL, timeout=30)
        assert response.status_code == 500
        assert SSN not in response.text
        with socket.create_connection(("127.0.0.1", free_port)) as raw:
            raw.sendall(f"GET /?who={SSN} HTTP/9.9 {MAIL}\r\n\r\n".encode())
            assert b"400 Bad Request" in raw.recv(1_000)
    written = log.read_text()
    assert SSN not in written
    assert "jane.roe" not in written
    lines = [
        json.loads(line) for line in written.splitlines() if line
    ]  # with execution ids the framework adds empty ones
    by_component = {line["logging.googleapis.com/labels"]["component"]: line for line in lines}
    framework = by_component["answer"]
    assert framework["message"] == "Exception on /loan [POST]"
    assert "ValueError: cannot serve ('[SSN]', '[EMAIL]', '[EMAIL]')" in framework["stack_trace"]
    assert by_component["mine"]["borrower"] == ["[SSN]", "[EMAIL]", "[EMAIL]"]
    assert by_component["python"]["message"] == "exception.uncaught_in_thread"
    assert {"py.warnings", "gunicorn.error"} <= by_component.keys()
    if execution_id:
        assert by_component["mine"]["logging.googleapis.com/labels"]["execution_id"]
