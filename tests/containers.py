"""Images of infra/docker/Dockerfile, built by buildah and run by podman, for tests that take minutes.

Images and layers are kept in IMAGE_STORE (a folder of the machine's temporary one without it) from one run to the next.
Where the base cannot be pulled, one is made of Debian and a Python 3.13 of this machine, under the same name.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import servers

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = Path("infra") / "docker" / "Dockerfile"
CONTEXT = ("common", "functions", "local", "knowledge", "infra/docker", "infra/supply_chain")
CONTEXT_FILES = (
    "LICENSE",
    "pyproject.toml",
    "requirements.in",
    "requirements.txt",
    "requirements-audit.txt",
    ".dockerignore",
)
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LIBRARIES = "ca-certificates,libssl3,libffi8,libsqlite3-0,libbz2-1.0,liblzma5,libreadline8,zlib1g"
LOOPBACK = servers.LOOPBACK


def can_build() -> bool:
    """Whether the tools are here and may be used."""
    return os.geteuid() == 0 and all(shutil.which(tool) for tool in ("buildah", "podman", "runc"))


def copied_context(folder: Path) -> Path:
    """What an image is built of, copied to `folder`, where nobody changes it meanwhile."""
    for name in CONTEXT:
        ignored = shutil.ignore_patterns("__pycache__", "node_modules", "secrets", ".env")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in CONTEXT_FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A running container of ours, on the machine's own network; `port` is where it listens, on loopback."""

    name: str
    port: int
    store: "Store"

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def is_healthy(self) -> bool:
        """What its HEALTHCHECK says now."""
        return self.store.podman("healthcheck", "run", self.name, check=False).returncode == 0

    def run(self, *command: str) -> str:
        return self.store.podman("exec", self.name, *command).stdout

    def started_at(self) -> float:
        """When its process began, in seconds since the epoch."""
        asked = self.store.podman("inspect", "--format", "{{.State.StartedAt.UnixNano}}", self.name)
        return int(asked.stdout) / 1e9

    def seconds_to_stop(self) -> float:
        """How long it takes to end by itself after SIGTERM; the test fails where it does not within 30 s."""
        begun = time.monotonic()
        self.store.podman("kill", "--signal", "TERM", self.name)
        code = self.store.podman("wait", self.name).stdout.strip()
        assert code == "0", f"exit code {code}"
        return time.monotonic() - begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where images are, and the tools that work on them."""

    folder: Path

    @classmethod
    def prepared(cls) -> "Store":
        """The store with the Dockerfile's base in it."""
        folder = Path(os.environ.get("IMAGE_STORE") or Path(tempfile.gettempdir()) / "loancheck-images")
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder=folder)
        places = f'graphroot = "{folder / "graph"}"\nrunroot = "{folder / "run"}"\n'
        (folder / "storage.conf").write_text(f'[storage]\ndriver = "overlay"\n{places}')
        base = store.base
        if (
            store.podman("image", "exists", base, check=False).returncode
            and store.podman("pull", "--quiet", base, check=False).returncode
        ):
            store._make_base(base)
        return store

    @property
    def base(self) -> str:
        found = re.search(r"^FROM (python:\S+) AS python$", (ROOT / DOCKERFILE).read_text(), re.MULTILINE)
        assert found is not None
        return f"docker.io/library/{found[1].partition('@')[0]}"

    def build(self, context: Path, tag: str, *options: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Build `tag` of `context`; the same input gives the same image."""
        command = ["buildah", "bud", "--isolation", "chroot", "--network", "host", "--pull=never", "--format", "docker"]
        command += ["--timestamp", "0", "--file", str(context / DOCKERFILE), "--tag", f"localhost/{tag}", *options]
        return self._run([*command, str(context)], check=check)

    def inspected(self, tag: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.podman("image", "inspect", f"localhost/{tag}").stdout)[0]
        return found

    def podman(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self._run(["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", *arguments], check=check)

    def run_once(self, tag: str, *arguments: str, options: Sequence[str] = ()) -> str:
        """What a container that ends by itself wrote to stdout."""
        return self.podman("run", "--rm", *_CONTAINED, *options, f"localhost/{tag}", *arguments).stdout

    @contextlib.contextmanager
    def running(self, tag: str, *, options: Sequence[str] = ()) -> Iterator[Container]:
        """A container as compose.yaml runs it: nothing can be written but /tmp and volumes, no rights, no root."""
        port = servers.free_port()
        name = f"loancheck-test-{port}"
        given = [
            "--detach",
            "--name",
            name,
            *_CONTAINED,
            "--env",
            f"PORT={port}",
            "--env",
            f"HOST={LOOPBACK}",
            *options,
        ]
        self.podman("run", *given, f"localhost/{tag}")
        try:
            yield Container(name=name, port=port, store=self)
        finally:
            self.podman("rm", "--force", "--time", "0", name)

    def _run(self, command: Sequence[str], *, check: bool) -> "subprocess.CompletedProcess[str]":
        env = {**os.environ, "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf")}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.stderr[-3000:]}"
        return done

    def _make_base(self, name: str) -> None:
        """A stand-in for the base: Debian's libraries, and Python as that has it, without tests and bytecode."""
        root = self.folder / "base"
        debootstrap = servers.installed("debootstrap", package="debootstrap")
        self._run([debootstrap, "--variant=minbase", f"--include={LIBRARIES}", "bookworm", str(root)], check=True)
        shutil.copytree(_python_prefix(), root / "usr" / "local", symlinks=True, dirs_exist_ok=True)
        for path in sorted((root / "usr" / "local").rglob("*"), reverse=True):
            if path.is_dir() and path.name in {"test", "tests", "idle_test", "__pycache__"}:
                shutil.rmtree(path)
            elif path.name.startswith("libpython") and path.suffix == ".a":
                path.unlink()
        shares = [f"usr/share/{name}" for name in ("doc", "man", "locale", "info")]
        for left_behind in (*shares, "var/cache/apt", "var/lib/apt/lists"):  # the real one has none of it either
            shutil.rmtree(root / left_behind, ignore_errors=True)
        python = root / "usr" / "local" / "bin" / "python"
        python.unlink(missing_ok=True)
        python.symlink_to("python3.13")
        if CERTIFICATES.exists():  # what the machine trusts, for downloads while building
            shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
        self._run(["chroot", str(root), "/sbin/ldconfig"], check=True)
        archive = self.folder / "base.tar"
        self._run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        change = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.podman("import", "--change", change, str(archive), name)
        archive.unlink()
        shutil.rmtree(root)


# --ulimit: what a machine without systemd lets runc set.
_CONTAINED = (
    "--network", "host", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges",
    "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
)  # fmt: skip


def _python_prefix() -> Path:
    """Where a Python 3.13 of this machine is, but for Debian's own, whose files lie among all others."""
    candidates = [sys.executable, *filter(None, [shutil.which("python3.13")]), *_pyenv()]
    for candidate in candidates:
        asked = [candidate, "-c", "import sys; print(*sys.version_info[:2], sys.base_prefix)"]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
        if told[:2] == ["3", "13"] and told[2] != "/usr":
            return Path(told[2])
    servers.missing("a Python 3.13 for the base image, or a registry to pull it from")
    raise AssertionError


def _pyenv() -> list[str]:
    return [str(path) for path in sorted((Path.home() / ".pyenv" / "versions").glob("3.13.*/bin/python3.13"))]
