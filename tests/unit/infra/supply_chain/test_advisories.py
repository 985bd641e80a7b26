"""pip-audit against an OSV server on this machine: what is found, and what is not an answer."""

import contextlib
import datetime
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.supply_chain import tools
from infra.supply_chain.advisories import (
    IGNORED,
    KNOWN_BAD,
    Ignored,
    InvalidIgnored,
    check_advisories,
    read_ignored,
    valid_today,
)
from infra.supply_chain.locks import Pin
from infra.supply_chain.outcomes import State
from tests import servers

ADVISORY = "GHSA-0000-0000-0001"
TODAY = datetime.date(2026, 11, 28)
REASON = "Only its command line is affected, which we do not use."


def pin(name: str, version: str, marker: str = "") -> Pin:
    return Pin(name=name, version=version, marker=marker, hashes=("a" * 64,))


FLASK, NUMPY, NEWER_NUMPY = (
    pin("flask", "3.1.3"),
    pin("numpy", "2.4.6"),
    pin("numpy", "2.5.5", "sys_platform == 'win32'"),
)
IGNORED_ADVISORY = Ignored(id=ADVISORY, package="numpy", reason=REASON, until=TODAY)


@contextlib.contextmanager
def osv(*vulnerable: str) -> Iterator[tuple[list[str], list[str]]]:
    """pip-audit's options for an OSV server that knows one advisory for each of `vulnerable` (`name==version`), and
    the list of what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = query["package"]["name"]
            asked.append(f"{name}=={query['version']}")
            events = [{"introduced": "0"}, {"fixed": "99.1"}]
            package = {"name": name, "ecosystem": "PyPI"}
            affected = [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]
            advisory = {"id": ADVISORY, "summary": "Something", "affected": affected}
            body = json.dumps({"vulns": [advisory]} if asked[-1] in vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
            """Says nothing."""

    with ThreadingHTTPServer((servers.LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield options(server.server_port), asked
        finally:
            server.shutdown()
            thread.join()


def options(port: int) -> list[str]:
    return ["--vulnerability-service=osv", f"--osv-url=http://{servers.LOOPBACK}:{port}/v1/query"]


@pytest.mark.usefixtures("audit_tools")
def test_a_known_vulnerability_fails_with_its_id_and_the_version_that_mends_it() -> None:
    with osv(KNOWN_BAD, "numpy==2.4.6") as (service, _):
        outcome = check_advisories([FLASK, NUMPY], [], service)
    assert (outcome.state, outcome.findings) == (State.FAILED, (f"numpy 2.4.6: {ADVISORY}, fixed in 99.1",))


@pytest.mark.usefixtures("audit_tools")
def test_every_locked_version_is_asked_about_once_also_those_for_other_machines() -> None:
    with osv(KNOWN_BAD) as (service, asked):
        outcome = check_advisories([FLASK, NUMPY, NEWER_NUMPY, NUMPY], [], service)
    assert sorted(asked) == sorted([KNOWN_BAD, "flask==3.1.3", "numpy==2.4.6", "numpy==2.5.5"])
    assert (outcome.state, outcome.about) == (State.PASSED, "3 versions of packages asked about")


@pytest.mark.usefixtures("audit_tools")
def test_an_advisory_with_a_reason_is_let_pass() -> None:
    with osv(KNOWN_BAD, "numpy==2.4.6") as (service, _):
        assert check_advisories([NUMPY], [IGNORED_ADVISORY], service).state == State.PASSED


@pytest.mark.usefixtures("audit_tools")
def test_a_service_without_advisories_is_no_answer() -> None:
    with osv() as (service, asked):
        outcome = check_advisories([FLASK], [], service)
    assert (outcome.state, asked) == (State.UNANSWERED, [KNOWN_BAD])


@pytest.mark.usefixtures("audit_tools")
def test_a_service_that_cannot_be_reached_is_no_answer(free_port: int) -> None:
    outcome = check_advisories([FLASK], [], options(free_port))
    assert outcome.state == State.UNANSWERED
    assert outcome.about.startswith("the advisory service cannot be reached")


def test_a_package_that_the_service_does_not_have_is_named_and_has_not_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pip-audit itself ends with 0 here, and says that it knows of no vulnerability.
    known = {"name": "pyyaml", "version": "5.3", "vulns": [{"id": ADVISORY, "fix_versions": []}]}
    skipped = {"name": "flask", "skip_reason": "Dependency not found on PyPI and could not be audited: flask (3.1.3)"}
    (tmp_path / "known.json").write_text(json.dumps({"dependencies": [known]}))
    (tmp_path / "skipped.json").write_text(json.dumps({"dependencies": [skipped]}))
    script = tmp_path / "pip-audit"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *--no-deps*) cat {tmp_path}/known.json;; *) cat {tmp_path}/skipped.json;; esac'
    )
    script.chmod(0o700)
    monkeypatch.setattr(tools, "BIN", tmp_path)
    outcome = check_advisories([FLASK], [])
    assert (outcome.state, outcome.about) == (
        State.UNANSWERED,
        "the advisory service knows nothing about 1 of 1: flask",
    )


def test_every_ignored_advisory_has_a_reason_and_a_date() -> None:
    read_ignored(IGNORED.read_text())


def test_an_ignored_advisory_counts_again_from_its_date_on() -> None:
    assert valid_today([IGNORED_ADVISORY], TODAY - datetime.timedelta(days=1)) == [IGNORED_ADVISORY]
    assert valid_today([IGNORED_ADVISORY], TODAY) == []


def test_an_entry_of_the_ignored_is_read() -> None:
    text = f'[[ignored]]\nid = "{ADVISORY}"\npackage = "numpy"\nreason = "{REASON}"\nuntil = 2026-11-28\n'
    assert read_ignored(text) == [IGNORED_ADVISORY]


@pytest.mark.parametrize(
    "entry",
    [
        f'id = "{ADVISORY}"\npackage = "numpy"\nuntil = 2027-01-31',
        f'id = "{ADVISORY}"\npackage = "numpy"\nreason = "no"\nuntil = 2027-01-31',
        f'id = "{ADVISORY}"\npackage = "numpy"\nreason = "{REASON}"',
        f'id = "{ADVISORY}"\npackage = "numpy"\nreason = "{REASON}"\nuntil = "never"',
        f'id = "{ADVISORY}"\npackage = "numpy"\nreason = "{REASON}"\nuntil = 2027-01-31\nforever = true',
    ],
)
def test_an_ignored_advisory_without_reason_or_date_is_refused(entry: str) -> None:
    with pytest.raises(InvalidIgnored, match="entry 1"):
        read_ignored(f"[[ignored]]\n{entry}\n")
