"""Memory, CPU and start of this process, read when somebody asks and never between.

Memory is what the platform would kill for: where the container has a limit, its own count (cgroup v2 or v1) without
file cache that can go; elsewhere the process's resident memory and the machine's memory.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common.telemetry import metric_catalogue as catalogue

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Exposed

_LOADED_AT = time.time()
_NO_LIMIT = 1 << 60  # cgroup v1 writes "none" as the largest multiple of a page that a signed number holds


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in use, and bytes that may be used."""

    used: int
    limit: int


class SystemCollector:
    """Gives what it can read: elsewhere than on Linux there are no figures of memory."""

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._cgroups = cgroups

    def collect(self) -> "Iterable[Exposed]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        memory = memory_in_use(self._proc, self._cgroups)
        if memory is not None:
            yield GaugeMetricFamily(catalogue.MEMORY.name, catalogue.MEMORY.help, value=memory.used)
            yield GaugeMetricFamily(catalogue.MEMORY_LIMIT.name, catalogue.MEMORY_LIMIT.help, value=memory.limit)
        yield CounterMetricFamily(catalogue.CPU_SECONDS.name, catalogue.CPU_SECONDS.help, value=time.process_time())
        yield GaugeMetricFamily(catalogue.START_TIME.name, catalogue.START_TIME.help, value=started_at(self._proc))


def memory_in_use(proc: Path, cgroups: Path) -> Memory | None:
    """Of the container where it has a limit, else of the process; None where neither can be read."""
    machine = _of_process(proc)
    container = min(_containers(proc, cgroups), key=lambda one: one.limit, default=None)
    if container is None or (machine is not None and machine.limit <= container.limit):
        return machine
    return container


def started_at(proc: Path) -> float:
    """Seconds since 1970 at which this process began; where that cannot be read, when this module was loaded."""
    try:
        # The command's name, in parentheses, may hold anything; the start is the 20th field after it, in clock ticks.
        ticks = float(_text(proc / "self/stat").rpartition(")")[2].split()[19])
        booted = _fields(proc / "stat")["btime"]
    except (OSError, ValueError, IndexError, KeyError):
        return _LOADED_AT
    return booted + ticks / os.sysconf("SC_CLK_TCK")


def _of_process(proc: Path) -> Memory | None:
    try:
        return Memory(
            used=_fields(proc / "self/status")["VmRSS:"] * 1024, limit=_fields(proc / "meminfo")["MemTotal:"] * 1024
        )
    except (OSError, KeyError):
        return None


def _containers(proc: Path, cgroups: Path) -> Iterator[Memory]:
    """The count and limit of each cgroup around this process that has a limit."""
    for version, root, own in _memberships(proc, cgroups):
        # A container sees its own cgroup as the root, though the path may be the one that the host knows.
        for folder in (*_upwards(root, own), root):
            found = _read_v2(folder) if version == 2 else _read_v1(folder)
            if found is not None:
                yield found


def _memberships(proc: Path, cgroups: Path) -> Iterator[tuple[int, Path, str]]:
    try:
        lines = _text(proc / "self/cgroup").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, membership = line.partition(":")
        controllers, _, own = membership.partition(":")
        if number == "0":
            yield 2, cgroups, own
        elif "memory" in controllers.split(","):
            yield 1, cgroups / "memory", own


def _upwards(root: Path, own: str) -> Iterator[Path]:
    folder = Path(own.lstrip("/"))
    for part in (folder, *folder.parents):
        if part != Path():
            yield root / part


def _read_v2(folder: Path) -> Memory | None:
    return _read(folder, used="memory.current", limit="memory.max", cache="inactive_file")


def _read_v1(folder: Path) -> Memory | None:
    return _read(folder, used="memory.usage_in_bytes", limit="memory.limit_in_bytes", cache="total_inactive_file")


def _read(folder: Path, *, used: str, limit: str, cache: str) -> Memory | None:
    try:
        most = _text(folder / limit).strip()
        if most == "max" or int(most) >= _NO_LIMIT:
            return None
        in_use = int(_text(folder / used))
        return Memory(used=max(in_use - _fields(folder / "memory.stat")[cache], 0), limit=int(most))
    except (OSError, ValueError, KeyError):
        return None


def _fields(path: Path) -> dict[str, int]:
    """The lines of `path` that are a name and a whole number, perhaps with more after it."""
    fields = {}
    for line in _text(path).splitlines():
        name, *rest = line.split()
        if rest and rest[0].isdigit():
            fields[name] = int(rest[0])
    return fields


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")  # a process or a cgroup may be named by any bytes
