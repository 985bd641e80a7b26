"""An environment on a local Cloud Run with two revisions of each function, and `loancheck deploy` on it."""

import contextlib
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from local import loancheck
from tests.cloud_monitoring_server import CloudMonitoringServer
from tests.cloud_run_server import ALL, INTERNAL_ONLY, PROJECT, CloudRunServer
from tests.emulators import ROOT, environment
from tests.instance import instance
from tests.light_revision import GOLDEN, LightRevision

PREFIX = "lcc-dev"
KEY = "lcc_test_key"
LISTED = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
SERVICES = {one["name"]: f"{PREFIX}-{one['name'].replace('_', '-')}" for one in LISTED}
QUERY, DOCUMENTS = SERVICES["query"], SERVICES["documents"]
JOB = f"{PREFIX}-migrate"
LEASE, RECORD = "loancheck-deploy/lease", "loancheck-deploy/state"
OLD, NEW = "00001-abc", "00002-abc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    said: str


@dataclass(kw_only=True)
class Deployed:
    """All functions deployed: `old` stands for the revisions that serve, `new` for those that do not yet."""

    run: CloudRunServer
    monitoring: CloudMonitoringServer
    old: LightRevision
    new: LightRevision
    folder: Path
    key: str = KEY

    def deploy(self, command: str, *arguments: str, **settings: str) -> Ended:
        """Run `loancheck deploy COMMAND` to its end: in this process, or beside it while that is at work itself."""
        if threading.current_thread() is threading.main_thread():
            return self._deployed_here(self._words(command, *arguments), settings)
        with self.started(command, *arguments, **settings) as process:
            said, _ = process.communicate(timeout=100)
            return Ended(code=process.returncode, said=said)

    @contextmanager
    def started(self, command: str, *arguments: str, **settings: str) -> "Iterator[subprocess.Popen[str]]":
        """`loancheck deploy COMMAND`, going on; killed at the end of the block if it is still there."""
        words = [sys.executable, "-m", "local.loancheck", *self._words(command, *arguments)]
        env = environment(self.folder / "data", GOOGLE_CLOUD_PROJECT=PROJECT, API_KEY=self.key, **settings)
        with subprocess.Popen(
            words, cwd=self.folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def serving(self) -> dict[str, dict[str, int]]:
        """Who serves, by service, each revision by its number."""
        return {
            name: {revision.removeprefix(f"{name}-"): percent for revision, percent in self.run.serving(name).items()}
            for name in SERVICES.values()
        }

    def is_untouched(self) -> bool:
        """Whether all is as before any deploy: requests, addresses, annotations."""
        return all(
            self.run.serving(name) == {f"{name}-{OLD}": 100}
            and not self.run.tags(name)
            and self.run.annotation(name, LEASE) is None
            and self.run.annotation(name, RECORD) is None
            for name in SERVICES.values()
        )

    def is_back(self) -> bool:
        """Whether what served before serves, and no deploy is at work."""
        return (
            all(self.run.serving(name) == {f"{name}-{OLD}": 100} for name in SERVICES.values())
            and not any(self.run.tags(name) for name in SERVICES.values())
            and self.run.annotation(QUERY, LEASE) is None
        )

    def is_promoted(self) -> bool:
        """Whether all candidates serve, and no deploy is at work."""
        return (
            all(self.run.serving(name) == {f"{name}-{NEW}": 100} for name in SERVICES.values())
            and not any(self.run.tags(name) for name in SERVICES.values())
            and self.run.annotation(QUERY, LEASE) is None
        )

    def _words(self, command: str, *arguments: str) -> list[str]:
        here = ["--run-endpoint", self.run.url, "--wait-seconds", "0.02"]
        if command == "promote":
            here += ["--monitoring-endpoint", self.monitoring.target, "--golden", str(self._golden())]
            here += ["--poll-seconds", "0.05", "--watch-seconds", "0.1", "--routed-seconds", "0.1"]
        return ["deploy", command, "--prefix", PREFIX, *here, *arguments]

    def _deployed_here(self, words: list[str], given: dict[str, str]) -> Ended:
        said = io.StringIO()
        with (
            instance(self.folder / "data", GOOGLE_CLOUD_PROJECT=PROJECT, API_KEY=self.key, **given),
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            patch.setattr(sys, "argv", ["loancheck", *words])
            with pytest.raises(SystemExit) as ended:
                loancheck.main()
        assert isinstance(ended.value.code, int)
        return Ended(code=ended.value.code, said=said.getvalue())

    def _golden(self) -> Path:
        path = self.folder / "golden.jsonl"
        path.write_text("\n".join(map(json.dumps, GOLDEN)))
        return path


@contextmanager
def deployed(folder: Path, *, with_candidates: bool = True) -> Iterator[Deployed]:
    """An environment as `terraform apply` leaves it: the first revisions serve, the second ones wait."""
    with ExitStack() as stack:
        found = Deployed(
            run=stack.enter_context(CloudRunServer()),
            monitoring=stack.enter_context(CloudMonitoringServer()),
            old=stack.enter_context(LightRevision()),
            new=stack.enter_context(LightRevision()),
            folder=folder,
        )
        for one in LISTED:
            name = SERVICES[one["name"]]
            found.run.add_service(name, ingress=INTERNAL_ONLY if one["callers"] == "google" else ALL)
            found.run.add_revision(name, url=found.old.url)
            if with_candidates:
                found.run.add_revision(name, url=found.new.url)
        found.run.add_job(JOB)
        (folder / "data").mkdir()
        yield found
