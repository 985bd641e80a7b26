"""A deploy as the pipeline makes it, to the first cited answer, with Terraform's own words about every function.

Real Terraform plans and applies on a stand-in for Google's provider (`tf-offline`, as in test_terraform.py; skipped
without). What it uploads is unpacked into an empty folder, and started as the buildpacks start it: by the Functions
Framework, with the entry point, the settings and the secrets that Terraform gave, and no package but those of
requirements.txt. The migrations run by the job's command; before they have, nothing is answered.

What cannot be had here is replaced, and nothing else:

| setting | here |
|---|---|
| DATABASE_URL (secret) | an empty PostgreSQL on this machine, in place of Cloud SQL |
| KMS_ENDPOINT | a local server with Cloud KMS's wire format; KMS_KEY is Terraform's |
| GOOGLE_ISSUERS, GOOGLE_CERTS_URL | a local issuer, for Google alone signs as Google; accounts are Terraform's |
| TRACE_EXPORTER | none: Cloud Trace wants Google's credentials |
| DATA_DIR | a folder for each function, for each has a /tmp of its own in the cloud |
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import servers
from tests.kms_server import KmsServer
from tests.token_issuer import TokenIssuer, token_issuer
from tests.unit.infra.test_terraform import EXAMPLE, PIPELINE, ROOT, offline, terraform

__all__ = ["offline", "terraform"]  # fixtures

Json = dict[str, Any]  # Any: as Terraform has it

SECONDS = 300
NOT_COPIED = (".git", ".venv*", ".*_cache", ".hypothesis", "node_modules", ".terraform*", "build", "__pycache__")
VARIABLES = [*EXAMPLE, *PIPELINE, "-var=new_revisions_get_traffic=false", "-input=false", "-no-color"]
# What somebody may have lying about, by the path it would have in the repository.
NOT_TO_SHIP = (
    ".env", ".venv/lib/python3.13/site-packages/common.py", "keys/key-encryption-key",
    "data/database/loan_collateral.db", "common/.env", "common/security/tls.key", "functions/query/loan_collateral.db",
    "functions/query/__pycache__/main.cpython-311.pyc", "functions/ca.pem",
)  # fmt: skip
QUESTION = "How long is a UCC financing statement effective?"
DOCUMENT = {
    "id": "ucc", "title": "UCC filings",
    "text": "A filed financing statement is effective for five years after the date of filing.",
}  # fmt: skip


class Stopwatch:
    """Seconds by phase, in the order in which they came."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 1)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The repository, with things in it that are nobody's business."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for name in NOT_TO_SHIP:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("not to ship")
    state = folder / "infra" / "terraform" / "state_override.tf"
    state.write_text('terraform {\n  backend "local" {\n    path = "test.tfstate"\n  }\n}\n')
    return folder


@pytest.mark.long
@pytest.mark.servers
@pytest.mark.timeout(2 * SECONDS)
def test_a_deploy_comes_to_a_cited_answer_in_less_than_five_minutes(
    offline: str, checkout: Path, tmp_path: Path, postgresql_server: servers.PostgreSQL
) -> None:
    watch, archive = Stopwatch(), tmp_path / "workspace"
    made = _applied(offline, checkout / "infra" / "terraform", watch)
    with watch.phase("build"):
        _unpack(made, checkout, archive)
        packages = _packages(tmp_path / "packages")
        _python(["-m", "compileall", "-q", "-f", "."], archive, packages, {})
    with _stand_ins(postgresql_server) as (kms, issuer, settings), contextlib.ExitStack() as running:
        kms.key = _environment(made, "query")["KMS_KEY"]
        with watch.phase("start"):
            started = {
                name: running.enter_context(_function(made, name, archive, packages, tmp_path, settings))
                for name in _functions(made)
            }
        operator = {name: _operator(issuer, made, name) for name in ("query", "documents")}
        asking = {"message": QUESTION}
        refused = started["query"].post("/api/query", json=asking, headers=operator["query"])
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/database-behind")
        with watch.phase("migrate"):
            _migrate(made, archive, packages, settings | {"DATA_DIR": str(tmp_path / "migrate")})
        with watch.phase("answer"):
            stored = started["documents"].post(
                "/api/documents", json={"documents": [DOCUMENT]}, headers=operator["documents"]
            )
            assert stored.status_code == 200, stored.text
            answer = started["query"].post("/api/query", json=asking, headers=operator["query"])
        assert (answer.status_code, answer.json()["answered"]) == (200, True), answer.text
        assert "five years" in answer.json()["answer"]
        assert [one["document_id"] for one in answer.json()["citations"]] == ["ucc"]
        assert started["query"].post("/api/query", json=asking).status_code == 401
        assert started["health"].get("/health").json()["status"] in {"healthy", "degraded"}
        assert {request.key for request in kms.requests} == {kms.key}
    sys.stdout.write(f"emulated deploy, seconds: {watch.seconds}, in all {sum(watch.seconds.values()):.0f}\n")
    assert sum(watch.seconds.values()) < SECONDS


# Terraform


def _applied(terraform: str, folder: Path, watch: Stopwatch) -> Json:
    """Everything that an apply of the plan made, as `terraform show -json` has it."""
    plan = folder / "test.tfplan"
    with watch.phase("init"):
        _terraform(terraform, folder, "init", "-input=false", "-no-color")
    with watch.phase("plan"):
        _terraform(terraform, folder, "plan", f"-out={plan}", *VARIABLES)
        plan.with_suffix(".json").write_text(_terraform(terraform, folder, "show", "-json", str(plan)))
        cost = [sys.executable, "-m", "infra.deploy.plan_cost", str(plan.with_suffix(".json"))]
        told = subprocess.run(cost, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"Idle cost: \*\*0\.00 -> 10\.48 USD a month", told)
    assert re.search(r"Resources: \d{3} to create, 0 to change, 0 to replace, 0 to destroy\.", told)
    assert "| query | none -> 1024Mi |" in told
    with watch.phase("apply"):
        _terraform(terraform, folder, "apply", "-input=false", "-no-color", str(plan))
        shown: Json = json.loads(_terraform(terraform, folder, "show", "-json"))
    return shown


def _terraform(terraform: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run([terraform, f"-chdir={folder}", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def _resources(made: Json, kind: str) -> dict[str, Json]:
    """The values of each by its key in for_each, or by its name where it has none."""
    found = [one for one in made["values"]["root_module"]["resources"] if one["type"] == kind]
    return {str(one.get("index", one["name"])): one["values"] for one in found if one["mode"] == "managed"}


def _functions(made: Json) -> dict[str, Json]:
    return _resources(made, "google_cloudfunctions2_function")


def _environment(made: Json, name: str) -> dict[str, str]:
    return dict(_functions(made)[name]["service_config"][0]["environment_variables"])


# The archive


def _unpack(made: Json, checkout: Path, archive: Path) -> None:
    """Into an empty folder what was uploaded, once it is seen to be the code and nothing else."""
    (uploaded,) = [one for name, one in _resources(made, "google_storage_bucket_object").items() if name == "source"]
    path = checkout / "infra" / "terraform" / uploaded["source"]
    assert uploaded["name"] == f"source-{hashlib.sha256(path.read_bytes()).hexdigest()}.zip"
    for function in _functions(made).values():
        assert function["build_config"][0]["source"][0]["storage_source"][0]["object"] == uploaded["name"]
    with zipfile.ZipFile(path) as zipped:
        names = {name for name in zipped.namelist() if not name.endswith("/")}
        zipped.extractall(archive)
    assert {name.split("/")[0] for name in names} == {"common", "functions", "requirements.txt", "LICENSE"}
    assert names.isdisjoint(NOT_TO_SHIP)
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "common", "functions", "requirements.txt", "LICENSE"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    assert {name for name in tracked if name and (ROOT / name).is_file()} <= names


def _packages(folder: Path) -> Path:
    """A folder with the installed packages of requirements.txt, and no other: neither ours nor those of tests."""
    locked = {
        re.sub(r"[-_.]+", "-", name).lower()
        for name in re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    }
    wanted: set[Path] = set()
    others: set[Path] = set()
    for found in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
        files = {Path(str(file)) for file in found.files or () if ".." not in file.parts}
        (wanted if name in locked else others).update(files)
        site = Path(str(found.locate_file("")))
    _link(Path(), site, folder, wanted, {parent for file in others for parent in file.parents})
    return folder


def _link(here: Path, site: Path, target: Path, wanted: set[Path], shared: set[Path]) -> None:
    """Link what is wanted in `here`: whole folders, but for those that others have files in too."""
    (target / here).mkdir(parents=True)
    for name in sorted({file.relative_to(here).parts[0] for file in wanted if file.is_relative_to(here)}):
        one = here / name
        if one in shared:
            _link(one, site, target, wanted, shared)
        else:
            (target / one).symlink_to(site / one)


# What runs


def _command(settings: Mapping[str, str], archive: Path, packages: Path) -> tuple[list[str], dict[str, str]]:
    """Python in the archive's folder, with `settings` and nothing of this machine's but its path; and its environment.

    -S leaves the site-packages of the tests out, where the repository itself is installed.
    """
    unset = [f"--unset={name}" for name in os.environ if name not in {"PATH", "HOME"}]
    keep = {"PYTHONPATH": str(packages), **settings}
    kept = [one for one in unset if one.removeprefix("--unset=") not in keep]
    return ["env", f"--chdir={archive}", *kept, sys.executable, "-S"], keep


def _python(arguments: list[str], archive: Path, packages: Path, settings: Mapping[str, str]) -> str:
    command, environment = _command(settings, archive, packages)
    done = subprocess.run(
        [*command, *arguments], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def _stand_ins(postgresql: servers.PostgreSQL) -> Iterator[tuple[KmsServer, TokenIssuer, dict[str, str]]]:
    postgresql.execute("CREATE DATABASE emulated_deploy")
    try:
        with KmsServer() as kms, token_issuer() as issuer:
            yield (
                kms,
                issuer,
                {
                    "DATABASE_URL": postgresql.url("emulated_deploy"),
                    "KMS_ENDPOINT": kms.url,
                    "GOOGLE_ISSUERS": issuer.issuer,
                    "GOOGLE_CERTS_URL": issuer.certs_url,
                    "TRACE_EXPORTER": "none",
                },
            )
    finally:
        postgresql.execute("DROP DATABASE emulated_deploy WITH (FORCE)")


@contextlib.contextmanager
def _function(
    made: Json, name: str, archive: Path, packages: Path, folder: Path, settings: Mapping[str, str]
) -> Iterator[httpx.Client]:
    """One function, as the web process of its image, until the end of the block."""
    function, port = _functions(made)[name], servers.free_port()
    secrets = {one["key"] for one in function["service_config"][0]["secret_environment_variables"]}
    assert secrets == {"DATABASE_URL"}
    build = function["build_config"][0]
    (folder / name).mkdir()
    whole = _environment(made, name) | {
        "FUNCTION_TARGET": build["entry_point"],
        "FUNCTION_SOURCE": build["environment_variables"]["GOOGLE_FUNCTION_SOURCE"],
        "FUNCTION_SIGNATURE_TYPE": "http",
        "K_SERVICE": function["name"],
        "HOST": servers.LOOPBACK,
        "PORT": str(port),
        **settings,
        "DATA_DIR": str(folder / name),
    }
    command, environment = _command(whole, archive, packages)
    url = f"http://{servers.LOOPBACK}:{port}"
    with (
        servers.running(
            [*command, "-P", "-m", "functions_framework"],  # -P: the framework's own script does not look there either
            is_ready=lambda: servers.answers(f"{url}/live"),
            log=folder / f"{name}.log",
            env=environment,
        ),
        httpx.Client(base_url=url, timeout=120) as client,
    ):
        yield client


def _migrate(made: Json, archive: Path, packages: Path, settings: Mapping[str, str]) -> None:
    """What the job runs, without the launcher of the buildpacks before it."""
    (job,) = _resources(made, "google_cloud_run_v2_job").values()
    (container,) = job["template"][0]["template"][0]["containers"]
    assert {one["name"] for one in container["env"] if one["value_source"]} == {"DATABASE_URL"}
    python, *arguments = container["args"]
    assert python == "python"
    given = {one["name"]: one["value"] for one in container["env"] if not one["value_source"]}
    said = _python(arguments, archive, packages, {**given, **settings})
    assert len(said.splitlines()) == 1


def _operator(issuer: TokenIssuer, made: Json, name: str) -> dict[str, str]:
    """The header of a call as the operator's account, for the function of that name."""
    account = _resources(made, "google_service_account")["operator"]["email"]
    token = issuer.token(email=account, audience=made["values"]["outputs"]["functions"]["value"][name])
    return {"Authorization": f"Bearer {token}"}
