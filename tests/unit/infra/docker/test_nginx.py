"""infra/docker/nginx.sh: nginx starts as in its container, and goes over to another instance without a failure."""

import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from tests import servers
from tests.certificates import make_certificate
from tests.compositions import FOLDER, composition, mounts_of, started

pytestmark = pytest.mark.servers

ANSWERING = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    url: str
    trust: ssl.SSLContext
    environment: dict[str, str]

    def go_over(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        script = ["sh", str(FOLDER / "nginx.sh"), *arguments]
        return subprocess.run(script, env=self.environment, capture_output=True, text=True, check=False)


@contextmanager
def revision(says: str, folder: Path) -> Iterator[int]:
    port = servers.free_port()
    command = [sys.executable, "-c", ANSWERING, str(port), says]
    with servers.running(command, is_ready=lambda: servers.listens(port), log=folder / f"{says}.log"):
        yield port


@contextmanager
def site(folder: Path, port_of_query: int) -> Iterator[Site]:
    """nginx as compose.yaml starts it, on a port of loopback, with `query` there and the others nowhere."""
    etc, certificate = folder / "etc" / "loancheck", make_certificate(folder)
    for source, target in mounts_of(started(composition("small"), "small")["nginx"]):
        copy = folder / target.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    port = servers.free_port()
    server, upstreams = etc / "site" / "server.conf", etc / "site" / "upstreams.conf"
    text = re.sub(r"/etc/loancheck/tls/\w+\.pem", str(certificate), server.read_text()).replace(
        "/dev/stdout", "access.log"
    )
    server.write_text(text.replace("listen 443", f"listen 127.0.0.1:{port}").replace("[::]:443", f"[::1]:{port}"))
    text = re.sub(r"server query:8080", f"server 127.0.0.1:{port_of_query}", upstreams.read_text())
    upstreams.write_text(re.sub(r"server [a-z-]+:8080", "server 127.0.0.1:9", text))
    with tempfile.TemporaryDirectory(prefix="nginx-") as state:
        Path(state).chmod(0o755)
        path = f"{Path(servers.nginx_binary()).parent}:{os.environ['PATH']}"
        env = {"PATH": path, "NGINX_CONFIGURATION": str(etc), "NGINX_STATE": state}
        command = ["sh", str(FOLDER / "nginx.sh")]
        with servers.running(command, is_ready=lambda: servers.listens(port), log=folder / "nginx.log", env=env):
            trust = ssl.create_default_context(cafile=certificate)
            yield Site(url=f"https://127.0.0.1:{port}", trust=trust, environment=env)


def test_requests_go_over_to_another_instance_and_none_fails(tmp_path: Path) -> None:
    answers: list[tuple[int, str]] = []
    is_over = Event()
    with revision("old", tmp_path) as old, revision("new", tmp_path) as new, site(tmp_path, old) as running:

        def ask() -> None:
            while not is_over.is_set():
                with httpx.Client(base_url=running.url, verify=running.trust) as client:  # as others come, each anew
                    answer = client.get("/api/query")
                    answers.append((answer.status_code, answer.text))

        thread = Thread(target=ask)
        thread.start()
        servers.wait_for(lambda: (200, "old") in answers, "an answer of the old revision")
        gone_over = running.go_over("query", f"127.0.0.1:{new}")
        count = len(answers)
        servers.wait_for(lambda: len(answers) > count + 3, "answers after it")
        is_over.set()
        thread.join()
    assert gone_over.returncode == 0, gone_over.stderr
    assert {status for status, _ in answers} == {200}
    assert {text for _, text in answers[count + 1 :]} == {"new"}


def test_what_nginx_does_not_take_changes_nothing(tmp_path: Path) -> None:
    with revision("old", tmp_path) as old, site(tmp_path, old) as running:
        unknown = running.go_over("no-such", "127.0.0.1:1")
        assert (unknown.returncode, unknown.stderr) == (2, "nginx.sh: no-such: there is no such function\n")
        assert running.go_over("query", "no-such-host.invalid:8080").returncode == 1
        assert httpx.get(f"{running.url}/api/query", verify=running.trust).text == "old"
        assert running.go_over("query", f"127.0.0.1:{old}").returncode == 0
