"""Two revisions of functions behind a real nginx: the switch from one to the other is noticed by nobody."""

import itertools
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from infra.nginx.switch import Nginx, StillServing, main, switch
from tests import servers
from tests.api_keys import new_key
from tests.proxies import BEHIND_BALANCER, ECHO, FUNCTIONS, ROOT, Site, another_caller, function, site

REQUESTS = 5_000
CLIENTS = 4
QUERY_EVERY = 250  # requests of a client's
SWITCHES = 3
SWITCHED = ("health", "query")

pytestmark = pytest.mark.servers


def at(port: int) -> list[str]:
    return [f"{servers.LOOPBACK}:{port}"]


def command(nginx: Nginx, *changes: str) -> list[str]:
    return ["--state", str(nginx.state), "--config", str(nginx.config), "--binary", nginx.binary, *changes]


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on stderr, which is one line and no more."""
    (line,) = capsys.readouterr().err.splitlines()
    return line


def script(path: Path, line: str) -> Path:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


def ended_process() -> int:
    """The id of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def revision(stack: ExitStack, data: Path) -> dict[str, int]:
    """New instances of the functions that are switched, which end with `stack`: their ports by name."""
    listed = [one for one in FUNCTIONS if one["name"] in SWITCHED]
    return {
        one["name"]: stack.enter_context(function(ROOT / one["source"], one["entry_point"], data)) for one in listed
    }


class Load:
    """Clients that keep their connections and ask one thing after the other until they are done.

    What is idempotent is asked once more where a kept connection was closed just as it was taken up again, as browsers
    and libraries do (RFC 9110, section 9.2.2) and as nginx counts on at a reload. Such a request never reached nginx:
    else the access log would have it, and one line more than there are answers.
    """

    def __init__(self, running: Site, key: str) -> None:
        self.site = running
        self.key = key
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []
        self.asked_again = 0
        self.is_done = threading.Event()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def run(self) -> None:
        with self.site.client() as client, self.site.client() as asking:
            while (number := next(self._numbers)) <= REQUESTS or not self.is_done.is_set():
                status = self._query(asking) if number % QUERY_EVERY == 0 else self._live(client)
                with self._lock:
                    self.statuses[status] += 1

    @property
    def answered(self) -> int:
        return self.statuses.total()

    def _live(self, client: httpx.Client) -> int:
        try:
            return client.get("/health/live", headers=another_caller()).status_code
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            with self._lock:
                self.asked_again += 1
        try:
            return client.get("/health/live", headers=another_caller()).status_code
        except httpx.HTTPError as error:
            return self._failed(error)

    def _query(self, client: httpx.Client) -> int:
        headers = {
            "X-API-Key": self.key,
            "Connection": "close",
            **another_caller(),
        }  # asked once, so never on a kept one
        try:
            return client.post("/api/query", json={"message": "hello"}, headers=headers).status_code
        except httpx.HTTPError as error:
            return self._failed(error)

    def _failed(self, error: httpx.HTTPError) -> int:
        with self._lock:
            self.failures.append(repr(error))
        return 0

    def wait_for(self, answered: int) -> None:
        servers.wait_for(lambda: self.answered >= answered, f"{answered} answers")


@pytest.mark.slow
def test_no_request_fails_while_revisions_are_switched_and_the_old_ones_stopped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = new_key(data, role="analyst")

    with ExitStack() as old_ones:
        instances = revision(old_ones, data)
        with (
            site(tmp_path, instances, server=BEHIND_BALANCER) as running,
            ThreadPoolExecutor(CLIENTS) as threads,
        ):
            load = Load(running, key)
            clients = [threads.submit(load.run) for _ in range(CLIENTS)]
            ports = [set(instances.values())]
            for number in range(1, SWITCHES + 1):
                with ExitStack() as stack:
                    instances = revision(stack, data)
                    ports.append(set(instances.values()))
                    load.wait_for(number * REQUESTS // (SWITCHES + 1))
                    switch(running.nginx, {name: at(port) for name, port in instances.items()})
                    old_ones.close()  # stops the old revision, while requests go on
                    old_ones.push(stack.pop_all())
            load.is_done.set()
            for one in clients:
                one.result()
            servers.wait_for(lambda: len(running.lines()) >= load.answered, "the last lines of the access log")
            lines = running.lines()
    asked = Counter(line["httpRequest"]["status"] for line in lines)
    by_revision = [sum(int(line["upstream"].rpartition(":")[2] or 0) in group for line in lines) for group in ports]
    print(f"{load.statuses} {load.asked_again=} {by_revision=} queries={REQUESTS // QUERY_EVERY}")
    assert load.failures == []
    assert load.asked_again <= CLIENTS * SWITCHES
    assert load.statuses.keys() == {200}
    assert load.answered >= REQUESTS
    assert asked == load.statuses  # nginx saw what the clients saw, and nothing else
    assert sum(by_revision) == load.answered
    assert min(by_revision) > 0


@pytest.fixture(scope="module")
def echoes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The ports of two instances of a function of the tests' own."""
    data = tmp_path_factory.mktemp("echoes")
    with function(ECHO, "proxied", data) as old, function(ECHO, "proxied", data) as new:
        yield old, new


def test_a_request_in_flight_ends_where_it_began_and_is_waited_for(tmp_path: Path, echoes: tuple[int, int]) -> None:
    old, new = echoes
    with (
        site(tmp_path, {"query": old}) as running,
        running.client() as client,
        client.stream("GET", "/api/query/stream") as response,
    ):
        lines = response.iter_lines()
        assert next(lines) == "event: first"
        with pytest.raises(StillServing):
            switch(running.nginx, {"query": at(new)}, wait_seconds=0.2)
        with running.client() as other:
            assert other.get("/api/query").status_code == 200
        httpx.get(f"http://{servers.LOOPBACK}:{old}/api/query/let-go-on")
        assert 'data: "last"' in list(lines)
        switch(running.nginx, {"query": at(new)})
        upstreams = [line["upstream"] for line in running.lines()]
    assert upstreams == at(new) + at(old)  # by when they ended


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("quary={new}", "quary: there is no such function; there are query, documents"),
        ("query=localhost", "query: 'localhost' is not HOST:PORT"),
        ("query=127.0.0.1:0", "query: '127.0.0.1:0': the port must be from 1 to 65535"),
        ("query=127.0.0.1:99999", "query: '127.0.0.1:99999': the port must be from 1 to 65535"),
        ("query=loans..example:8080", "does not answer (UnicodeError)"),
        ("query={new}; return 200", "is not HOST:PORT"),
        ("query=127.0.0.1:{nobody}", "does not answer (ConnectionRefusedError)"),
        ("documents=127.0.0.1:{new}", "unknown directive"),  # nginx's own word, for a file that somebody broke
    ],
)
def test_a_switch_that_cannot_be_is_refused_and_leaves_everything_as_it_was(
    change: str, said: str, tmp_path: Path, echoes: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = echoes
    with site(tmp_path, {"query": old}) as running:
        before = running.nginx.upstreams.read_text()
        if said == "unknown directive":
            running.nginx.config.write_text(running.nginx.config.read_text() + "nonsense on;\n")
        assert main(command(running.nginx, change.format(new=new, nobody=servers.free_port()))) == 1
        assert said in one_line(capsys)
        assert running.nginx.upstreams.read_text() == before
        with running.client() as client:
            assert client.get("/api/query").status_code == 200


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--state", "nowhere", "nowhere/nginx.pid: cannot be read (FileNotFoundError)"),
        ("--state", "empty", "empty/nginx.pid: holds no process id"),
        ("--state", "ended", "ended/nginx.pid: no nginx runs as process"),
        ("--config", "nowhere/nginx.conf", "nowhere/nginx.conf: cannot be read (FileNotFoundError)"),
        ("--config", "no-site/nginx.conf", "no-site/site/upstreams.conf: cannot be read (FileNotFoundError)"),
        ("--binary", "no-nginx", "no-nginx: cannot be run (FileNotFoundError)"),
        ("--binary", "silent-nginx", "silent-nginx -t: exit code 7"),
    ],
)
def test_an_nginx_that_is_not_as_named_is_told_in_one_line_and_nothing_is_changed(
    option: str, name: str, said: str, tmp_path: Path, echoes: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = echoes
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "nginx.pid").touch()
    (tmp_path / "ended").mkdir()
    (tmp_path / "ended" / "nginx.pid").write_text(f"{ended_process()}\n")
    (tmp_path / "no-site").mkdir()
    (tmp_path / "no-site" / "nginx.conf").touch()
    script(tmp_path / "silent-nginx", "exit 7")
    with site(tmp_path, {"query": old}) as running:
        before = running.nginx.upstreams.read_text()
        arguments = command(running.nginx, f"query={servers.LOOPBACK}:{new}")
        assert main([*arguments, option, str(tmp_path / name)]) == 1  # of two the last is taken
        assert said in one_line(capsys)
        assert running.nginx.upstreams.read_text() == before
        with running.client() as client:
            assert client.get("/api/query").status_code == 200


def test_instances_that_cannot_be_written_down_are_told_and_nothing_is_changed(
    tmp_path: Path, echoes: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = echoes
    with site(tmp_path, {"query": old}) as running:
        before = running.nginx.upstreams.read_text()
        running.nginx.upstreams.with_suffix(".new").mkdir()  # root, whom no mode keeps out, runs this too
        assert main(command(running.nginx, f"query={servers.LOOPBACK}:{new}")) == 1
        assert "upstreams.conf: cannot be written (IsADirectoryError)" in one_line(capsys)
        assert running.nginx.upstreams.read_text() == before


def test_a_switch_that_is_interrupted_before_nginx_took_it_changes_nothing(
    tmp_path: Path, echoes: tuple[int, int]
) -> None:
    old, new = echoes
    with site(tmp_path, {"query": old}) as running:
        before = running.nginx.upstreams.read_text()
        interrupting = replace(running.nginx, binary=str(script(tmp_path / "nginx-slow", "kill -INT $PPID; sleep 5")))
        switching = [sys.executable, "-m", "infra.nginx.switch", *command(interrupting, f"query=127.0.0.1:{new}")]
        done = subprocess.run(switching, cwd=ROOT, capture_output=True, text=True, check=False)
        assert "KeyboardInterrupt" in done.stderr
        assert running.nginx.upstreams.read_text() == before


def test_the_command_switches_one_function_to_several_instances_and_leaves_the_others(
    tmp_path: Path, echoes: tuple[int, int]
) -> None:
    old, new = echoes
    with site(tmp_path, {"query": old, "health": old}) as running:
        assert main(command(running.nginx, *(f"query={servers.LOOPBACK}:{port}" for port in echoes))) == 0
        with running.client() as client:
            assert {client.get("/api/query").status_code for _ in range(4)} == {200}
            assert client.get("/health").status_code == 404  # of the tests' function, which has no such route
        assert {line["upstream"] for line in running.lines()} == {*at(old), *at(new)}
