"""Memory, CPU and start are read from the kernel's files, of which a test can make its own."""

import time
from pathlib import Path

import pytest

from common.telemetry.system_metrics import Memory, SystemCollector, memory_in_use, started_at

MIB = 1024 * 1024
MACHINE = 8192 * MIB
RESIDENT = 50 * MIB


class Kernel:
    """/proc and /sys/fs/cgroup of a machine of 8 GiB, on which this process has 50 MiB resident."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.cgroups = folder / "cgroup"
        self.write(self.proc / "meminfo", f"MemTotal:       {MACHINE // 1024} kB\nMemFree:  12 kB\n")
        self.write(self.proc / "self/status", f"Name:\tpython\nVmRSS:\t   {RESIDENT // 1024} kB\nSeccomp:\n")

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def belongs_to(self, lines: str) -> None:
        self.write(self.proc / "self/cgroup", lines)

    def v2(self, folder: str, *, used: int, limit: int | str, cache: int = 0) -> None:
        place = self.cgroups / folder
        self.write(place / "memory.current", f"{used}\n")
        self.write(place / "memory.max", f"{limit}\n")
        self.write(place / "memory.stat", f"anon 1\ninactive_file {cache}\n")

    def v1(self, folder: str, *, used: int, limit: int, cache: int = 0) -> None:
        place = self.cgroups / "memory" / folder
        self.write(place / "memory.usage_in_bytes", f"{used}\n")
        self.write(place / "memory.limit_in_bytes", f"{limit}\n")
        self.write(place / "memory.stat", f"cache 1\ninactive_file 7\ntotal_inactive_file {cache}\n")

    def memory(self) -> Memory | None:
        return memory_in_use(self.proc, self.cgroups)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_a_container_of_cgroup_v2_counts_without_file_cache_that_can_go(kernel: Kernel) -> None:
    kernel.belongs_to("0::/\n")
    kernel.v2("", used=300 * MIB, limit=512 * MIB, cache=80 * MIB)
    assert kernel.memory() == Memory(220 * MIB, 512 * MIB)


def test_a_container_of_cgroup_v1_counts_the_same(kernel: Kernel) -> None:
    kernel.belongs_to("5:cpu,cpuacct:/x\n4:memory:/docker/abc\n1:name=systemd:/x\n")
    kernel.v1("docker/abc", used=300 * MIB, limit=512 * MIB, cache=80 * MIB)
    assert kernel.memory() == Memory(220 * MIB, 512 * MIB)


@pytest.mark.parametrize("membership", ["0::/docker/abc\n", "4:memory:/docker/abc\n"])
def test_a_container_that_knows_itself_by_the_hosts_path_finds_its_files_at_the_root(
    kernel: Kernel, membership: str
) -> None:
    kernel.belongs_to(membership)
    kernel.v2("", used=10 * MIB, limit=512 * MIB)
    kernel.v1("", used=10 * MIB, limit=512 * MIB)
    assert kernel.memory() == Memory(10 * MIB, 512 * MIB)


def test_a_limit_of_a_cgroup_further_up_holds(kernel: Kernel) -> None:
    kernel.belongs_to("0::/pod/container\n")
    kernel.v2("pod/container", used=100 * MIB, limit="max")
    kernel.v2("pod", used=150 * MIB, limit=256 * MIB)
    assert kernel.memory() == Memory(150 * MIB, 256 * MIB)


def test_a_process_and_a_cgroup_named_by_any_bytes_are_read_all_the_same(kernel: Kernel) -> None:
    (kernel.proc / "self/status").write_bytes(b"Name:\tpyth\xffn\nVmRSS:\t  4 kB\n")
    (kernel.proc / "self/cgroup").write_bytes(b"0::/na\xffme\n")
    assert kernel.memory() == Memory(4096, MACHINE)


def test_of_two_limits_the_smaller_one_holds(kernel: Kernel) -> None:
    kernel.belongs_to("0::/pod/container\n")
    kernel.v2("pod/container", used=100 * MIB, limit=512 * MIB)
    kernel.v2("pod", used=150 * MIB, limit=256 * MIB)
    assert kernel.memory() == Memory(150 * MIB, 256 * MIB)


def test_without_a_limit_it_is_the_process_and_the_machine(kernel: Kernel) -> None:
    kernel.belongs_to("0::/session\n4:memory:/session\n")
    kernel.v2("session", used=3000 * MIB, limit="max")
    kernel.v1("session", used=3000 * MIB, limit=9223372036854771712)
    assert kernel.memory() == Memory(RESIDENT, MACHINE)


def test_a_limit_beyond_the_machine_is_none(kernel: Kernel) -> None:
    kernel.belongs_to("0::/\n")
    kernel.v2("", used=3000 * MIB, limit=2 * MACHINE)
    assert kernel.memory() == Memory(RESIDENT, MACHINE)


def test_a_machine_without_cgroups_gives_the_process(kernel: Kernel) -> None:
    assert kernel.memory() == Memory(RESIDENT, MACHINE)


@pytest.mark.parametrize("file", ["memory.current", "memory.max", "memory.stat"])
@pytest.mark.parametrize("text", ["", "much\n", None])
def test_a_cgroup_that_cannot_be_read_is_as_none(kernel: Kernel, file: str, text: str | None) -> None:
    kernel.belongs_to("0::/\nnonsense\n")
    kernel.v2("", used=10 * MIB, limit=512 * MIB)
    (kernel.cgroups / file).unlink()
    if text is not None:
        (kernel.cgroups / file).write_text(text)
    assert kernel.memory() == Memory(RESIDENT, MACHINE)


def test_used_memory_is_never_below_nothing(kernel: Kernel) -> None:
    kernel.belongs_to("0::/\n")
    kernel.v2("", used=10 * MIB, limit=512 * MIB, cache=11 * MIB)  # the two files are of two moments
    assert kernel.memory() == Memory(0, 512 * MIB)


def test_a_path_that_leaves_the_tree_finds_nothing(kernel: Kernel) -> None:
    kernel.belongs_to("0::/../../..\n")
    assert kernel.memory() == Memory(RESIDENT, MACHINE)


def test_where_the_container_alone_can_be_read_it_is_given(kernel: Kernel) -> None:
    (kernel.proc / "meminfo").unlink()
    kernel.belongs_to("0::/\n")
    kernel.v2("", used=10 * MIB, limit=512 * MIB)
    assert kernel.memory() == Memory(10 * MIB, 512 * MIB)


def test_elsewhere_than_on_linux_there_are_no_figures_of_memory(tmp_path: Path) -> None:
    names = [family.name for family in SystemCollector(tmp_path / "proc", tmp_path / "cgroup").collect()]
    assert names == ["assistant_cpu_seconds", "assistant_start_time_seconds"]


def test_everything_is_read_when_somebody_asks(kernel: Kernel) -> None:
    kernel.belongs_to("0::/\n")
    collector = SystemCollector(kernel.proc, kernel.cgroups)
    for used in (10 * MIB, 20 * MIB):
        kernel.v2("", used=used, limit=512 * MIB)
        values = {family.name: family.samples[0].value for family in collector.collect()}
        assert values["assistant_memory_bytes"] == used
        assert values["assistant_memory_limit_bytes"] == 512 * MIB


def test_the_start_is_the_boot_and_the_ticks_since(kernel: Kernel) -> None:
    after_name = " ".join(["S", *["0"] * 18, "12300", "0"])  # state is the first field after the name, start the 20th
    kernel.write(kernel.proc / "self/stat", f"42 (a) b (c)) {after_name}\n")
    kernel.write(kernel.proc / "stat", "cpu  1 2 3\nbtime 1700000000\nctxt 9\n")
    assert started_at(kernel.proc) == 1700000123.0


@pytest.mark.parametrize("stat", ["", "42 (python) S 1 2", "42 (python) " + "x " * 30])
def test_a_start_that_cannot_be_read_is_when_the_module_was_loaded(kernel: Kernel, stat: str) -> None:
    kernel.write(kernel.proc / "self/stat", stat)
    kernel.write(kernel.proc / "stat", "btime 1700000000\n")
    assert time.time() - 3600 < started_at(kernel.proc) <= time.time()


def test_this_process_has_a_start_memory_and_cpu_time() -> None:
    values = {family.name: family.samples[0].value for family in SystemCollector().collect()}
    assert 0 < values["assistant_memory_bytes"] < values["assistant_memory_limit_bytes"]
    assert values["assistant_cpu_seconds"] > 0
    assert time.time() - 3600 < values["assistant_start_time_seconds"] <= time.time() + 1
