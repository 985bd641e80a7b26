"""Sends requests to other instances of a function, without one that fails: the step between two revisions.

    python -m infra.nginx.switch --state /run/loancheck --config /etc/loancheck/nginx.conf query=10.0.0.7:8080

Requests that came before go on where they are. When this has returned, none is left there: the old instances may stop.
"""

import argparse
import http.client
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.nginx.generate import upstreams

WAIT_SECONDS = 320.0  # longer than worker_shutdown_timeout
_POLL_SECONDS = 0.05
_LIVE_SECONDS = 10.0  # a cold start takes less
_BLOCK = re.compile(r"^upstream (\w+) \{\n((?:    server [^;\n]+;\n)+)\}$", re.MULTILINE)
_INSTANCE = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})")
_PORTS = range(1, 65_536)


class CannotSwitch(Exception):
    """Everything is as before: the message says in one line what was wrong with nginx or with the new instances."""


class StillServing(Exception):
    """New requests go to the new instances, but some are still with the old ones, which must not be stopped yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """An nginx on this machine: its binary, its configuration, and the folder of its state (-p)."""

    binary: str
    config: Path
    state: Path

    @property
    def upstreams(self) -> Path:
        return self.config.parent / "site" / "upstreams.conf"

    def command(self, *arguments: str) -> list[str]:
        return [self.binary, "-p", f"{self.state}/", "-c", str(self.config), *arguments]

    def master(self) -> int:
        """The process id of the one that reloads.

        Raises:
            CannotSwitch: its state does not tell, or it has ended.
        """
        file = self.state / "nginx.pid"
        written = _read(file).strip()
        if not written.isdecimal():
            raise CannotSwitch(f"{file}: holds no process id")
        if not _workers(int(written)):
            raise CannotSwitch(f"{file}: no nginx runs as process {written}")
        return int(written)

    def take_configuration(self) -> None:
        """Check what is written, and have it taken.

        Raises:
            CannotSwitch: in nginx's own words, where it has some.
        """
        for arguments in (("-t",), ("-s", "reload")):
            command = self.command(*arguments)
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # the operator's own
            except OSError as error:
                raise CannotSwitch(f"{self.binary}: cannot be run ({type(error).__name__})") from error
            if done.returncode:
                said = "; ".join(done.stderr.split("\n")).strip("; ")
                raise CannotSwitch(said or f"{self.binary} {' '.join(arguments)}: exit code {done.returncode}")


def switch(nginx: Nginx, instances: Mapping[str, Sequence[str]], *, wait_seconds: float = WAIT_SECONDS) -> None:
    """Send the requests of each function named in `instances` to these (HOST:PORT); the others stay where they are.

    Raises:
        CannotSwitch: no such configuration, no nginx that runs, no such function, an address of another form, nobody
            there who says that he is alive, or nginx does not take it.
        StillServing: requests from before were still being answered after `wait_seconds`.
    """
    _read(nginx.config)
    before = _read(nginx.upstreams)
    master = nginx.master()
    after = upstreams(_changed(before, instances))
    _write(nginx.upstreams, after)
    try:
        old = _workers(master)
        nginx.take_configuration()
    except BaseException:  # an interruption too
        _write(nginx.upstreams, before)
        raise
    deadline = time.monotonic() + wait_seconds
    while old & _workers(master):
        if time.monotonic() > deadline:
            raise StillServing(f"requests were still being answered after {wait_seconds:g} s")
        time.sleep(_POLL_SECONDS)


def _changed(text: str, instances: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    found = {name: re.findall(r"server ([^;\s]+);", block) for name, block in _BLOCK.findall(text)}
    for name, addresses in instances.items():
        if name not in found:
            raise CannotSwitch(f"{name}: there is no such function; there are {', '.join(found)}")
        for address in addresses:
            if not (form := _INSTANCE.fullmatch(address)):
                raise CannotSwitch(f"{name}: {address!r} is not HOST:PORT")
            if int(form[1]) not in _PORTS:
                raise CannotSwitch(f"{name}: {address!r}: the port must be from 1 to 65535")
            _check_live(name, address)
    return found | dict(instances)


def _check_live(name: str, address: str) -> None:
    connection = http.client.HTTPConnection(address, timeout=_LIVE_SECONDS)
    try:
        connection.request("GET", "/live")
        status = connection.getresponse().status
    except (OSError, UnicodeError, http.client.HTTPException) as error:  # UnicodeError: of a host that is no name
        raise CannotSwitch(f"{name}: {address} does not answer ({type(error).__name__})") from error
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        raise CannotSwitch(f"{name}: {address} answers {status} to /live")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeError) as error:
        raise CannotSwitch(f"{path}: cannot be read ({type(error).__name__})") from error


def _write(path: Path, text: str) -> None:
    """Whole or not at all: nginx may be reloaded by somebody else meanwhile."""
    beside = path.with_suffix(".new")
    try:
        beside.write_text(text)
        beside.replace(path)
    except OSError as error:
        raise CannotSwitch(f"{path}: cannot be written ({type(error).__name__})") from error


def _workers(master: int) -> frozenset[int]:
    """The process ids of its workers, those included that serve what came before a reload."""
    return frozenset(pid for pid in _process_ids() if _parent_of(pid) == master)


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _parent_of(pid: int) -> int | None:
    """None where that process has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[1])  # after the name, which may hold anything: state, parent


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, help="nginx's folder, as in its -p")
    parser.add_argument("--config", type=Path, required=True, help="nginx.conf, as in its -c")
    parser.add_argument("--binary", default="nginx")
    parser.add_argument("instances", nargs="+", metavar="FUNCTION=HOST:PORT", help="several of one: once for each")
    given = parser.parse_args(arguments)
    instances: dict[str, list[str]] = {}
    for one in given.instances:
        name, _, address = one.partition("=")
        instances.setdefault(name, []).append(address)
    try:
        switch(Nginx(binary=given.binary, config=given.config, state=given.state), instances)
    except (CannotSwitch, StillServing) as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command for people
        return 1 if isinstance(error, CannotSwitch) else 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
