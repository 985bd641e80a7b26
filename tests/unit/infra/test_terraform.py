"""infra/terraform: formatted, valid, its own tests pass, and its lists are those of the rest of the product.

Terraform comes from TERRAFORM (a command that has the providers, or can get them), else from `tf-offline` in
../shared/terraform beside the checkout, which needs a `terraform` on the path. Without either those tests are skipped.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import SETTINGS, Secret
from infra.costs.workload import LINES, SCENARIOS

ROOT = Path(__file__).resolve().parents[3]
TERRAFORM = ROOT / "infra" / "terraform"
OFFLINE = ROOT.parent / "shared" / "terraform" / "tf-offline"
FUNCTIONS = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
COPIED = [
    "infra/terraform",
    "infra/monitoring/alerts.yml",
    "functions",
    "common/settings.py",
    "requirements.txt",
    "LICENSE",
]
SECONDS = 300  # under a minute where nothing else is at work
# Put into its lifecycle, the database is made, and what needs it is not.
FAILURE = """
    postcondition {
      condition     = self.private_ip_address == "nowhere"
      error_message = "This fails half-way."
    }
"""
EXAMPLE = ["-var-file=dev.tfvars", "-var-file=example.tfvars.example"]
YOURS = "yours.tfvars"  # made by who deploys, from example.tfvars.example
PIPELINE = ["-var=github_repository=example/loan-collateral-check", "-var=state_bucket=example-lending-terraform"]


def _text(name: str) -> str:
    return (TERRAFORM / name).read_text(encoding="utf-8")


def _map_keys(text: str, name: str, indent: str = "  ") -> set[str]:
    """The keys of the map `name = {...}` in formatted HCL."""
    found = re.search(rf"^{indent}{name}\s*= {{\n(.*?)^{indent}}}", text, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return set(re.findall(rf"^{indent}  (\w+)\s*=", found[1], re.MULTILINE))


def _alerts() -> Mapping[str, str]:
    groups = yaml.safe_load((ROOT / "infra" / "monitoring" / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule["labels"]["severity"] for group in groups for rule in group["rules"] if "alert" in rule}


# The lists


def test_every_alert_is_told_in_the_cloud_or_says_why_not() -> None:
    monitoring = _text("monitoring.tf")
    here = _map_keys(monitoring, "alerts")
    burn_rates = set(re.findall(r'"(\w+)"', monitoring.split("burn_rate_alerts = [")[1].split("]")[0]))
    elsewhere = _map_keys(monitoring, "prometheus_only")
    assert here | burn_rates | elsewhere == set(_alerts())
    assert not here & elsewhere
    assert not burn_rates & (here | elsewhere)


def test_events_that_alerts_count_are_logged() -> None:
    events = set(re.findall(r'^    \w+\s+= "([a-z_]+\.[a-z_]+)"$', _text("logging.tf"), re.MULTILINE))
    code = "".join(
        path.read_text(encoding="utf-8") for folder in ("common", "functions") for path in (ROOT / folder).rglob("*.py")
    )
    assert len(events) > 10
    assert [event for event in sorted(events) if f'"{event}"' not in code] == []


def test_secrets_by_reference_are_all_settings_that_are_secrets() -> None:
    text = _text("locals.tf")
    named = set(re.findall(r'"([A-Z_]+)"', text.split("parts = {")[1].split("needs_network")[0]))
    assert named == {name.upper() for name, one in SETTINGS.items() if one.kind is Secret}


def test_settings_made_here_are_settings() -> None:
    own = set(re.findall(r'"([A-Z_]+)"', _text("functions.tf").split("own_settings = [")[1].split("]")[0]))
    assert own - {"THREADS"} <= {name.upper() for name in SETTINGS}  # THREADS is the framework's


def test_idle_costs_are_those_of_the_cost_guide() -> None:
    text = _text("costs.tf")
    idle, always = SCENARIOS[0], sum((line.usd(SCENARIOS[0]) for line in LINES if line.switch is None), Decimal(0))
    switched = [(line.switch, line.usd(idle)) for line in LINES if line.switch in {"database", "redis", "chroma"}]
    for part, usd in [("base", always), *switched]:
        written = re.search(rf"{part}\s+= ([0-9.]+)", text)
        assert written is not None
        assert abs(Decimal(written[1]) - usd) < Decimal("0.01")


def test_chroma_server_is_of_the_version_that_the_client_is() -> None:
    version = re.search(r'version\s+= optional\(string, "([0-9.]+)"\)', _text("variables.tf"))
    assert version is not None
    assert f"chromadb=={version[1]} " in (ROOT / "requirements.txt").read_text()


def test_cron_and_path_of_a_schedule_are_listed() -> None:
    for one in FUNCTIONS:
        assert ("scheduler" in one["trigger"]) == ("schedule" in one)
        assert ("pubsub" in one["trigger"]) == ("topic" in one)
        source = (ROOT / one["source"]).read_text(encoding="utf-8")
        if "schedule" in one:
            assert f'path="{one["schedule"]["path"]}"' in source


def test_every_variable_and_output_is_described() -> None:
    for name, kind in (("variables.tf", "variable"), ("outputs.tf", "output")):
        blocks = re.findall(rf'^{kind} "(\w+)" {{\n(.*?)^}}', _text(name), re.MULTILINE | re.DOTALL)
        assert blocks
        assert [one for one, body in blocks if not re.search(r"^  description = \"\S", body, re.MULTILINE)] == []


def test_no_project_region_or_address_is_written_in_a_resource() -> None:
    for path in TERRAFORM.glob("*.tf"):
        if path.name != "variables.tf":
            assert not re.search(r"us-central1|example\.com|\d{12}", path.read_text(encoding="utf-8")), path.name


def test_the_guide_names_what_there_is() -> None:
    guide = (ROOT / "docs" / "deployment_guide.md").read_text(encoding="utf-8")
    outputs = set(re.findall(r'^output "(\w+)"', _text("outputs.tf"), re.MULTILINE))
    variables = set(re.findall(r'^variable "(\w+)"', _text("variables.tf"), re.MULTILINE))
    assert set(re.findall(r"terraform output (?:-raw )?(\w+)", guide)) <= outputs
    assert set(re.findall(r"(?:-var=|`)(\w+)\s?= ?[\"{ftn]", guide)) <= variables
    for name in re.findall(r"(\w+\.tfvars(?:\.example)?)\b", guide):
        assert name == YOURS or (TERRAFORM / name).is_file(), name
    usd = dict(re.findall(r"(\w+)\s+= ([0-9.]+) }", _text("costs.tf")))
    assert all(f" {amount} |" in guide for amount in usd.values())
    parts = set(re.findall(r"^    (\w+)\s+= \[", _text("locals.tf").split("parts = {")[1], re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", guide.split("parts it works with: ")[1].split(";")[0])) == parts - {"for_all"}


@pytest.mark.parametrize("name", ["docs/deployment_guide.md", ".github/workflows/deploy.yml"])
def test_the_file_of_who_deploys_comes_after_the_environments_and_so_wins(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    commands = re.findall(r"terraform .*-var-file=.*", text)
    assert len(commands) > 1
    for command in commands:
        files = re.findall(r'-var-file="?([\w$.]+)', command)
        assert len(files) == 2, command
        assert files[1] == YOURS, command
        assert "-var=" not in command.split(f"-var-file={YOURS}")[0], command
    assert ".auto.tfvars" not in text  # Terraform reads those before any -var-file, and they lose
    assert YOURS in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


# Terraform itself


@pytest.fixture(scope="module")
def terraform() -> str:
    named = os.environ.get("TERRAFORM")
    if named:
        return named
    if shutil.which("terraform") is None:
        pytest.skip("there is no terraform on the path, and TERRAFORM names none")
    if not OFFLINE.is_file():
        pytest.skip("../shared/terraform/tf-offline is not there, and TERRAFORM names no terraform with the providers")
    return str(OFFLINE)


def _run(terraform: str, folder: Path, *arguments: str, expected: int = 0) -> str:
    done = subprocess.run(
        [terraform, f"-chdir={folder}", *arguments], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    said = done.stdout + done.stderr
    assert done.returncode == expected, said[-4000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
def test_it_is_formatted_and_valid_and_its_own_tests_pass(terraform: str) -> None:
    _run(terraform, TERRAFORM, "fmt", "-check", "-recursive", "-diff")
    _run(terraform, TERRAFORM, "init", "-backend=false", "-input=false", "-no-color")
    _run(terraform, TERRAFORM, "validate", "-no-color")
    said = _run(terraform, TERRAFORM, "test", "-no-color")
    assert re.search(r"Success! [1-9]\d* passed, 0 failed\.", said)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what Terraform reads, without the embedder's weights, with its state beside it."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns(".terraform*", "build", "__pycache__", "tests")
            )
        else:
            shutil.copy(source, target)
    folder = tmp_path / "infra" / "terraform"
    (folder / "state_override.tf").write_text('terraform {\n  backend "local" {\n    path = "test.tfstate"\n  }\n}\n')
    return folder


@pytest.fixture
def offline(terraform: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """tf-offline alone: nothing is to be made in a cloud that is one."""
    if Path(terraform).name != "tf-offline":
        pytest.skip("only tf-offline may apply")
    monkeypatch.setenv("TF_OFFLINE_KEEP_BACKEND", "1")
    return terraform


@pytest.mark.long
@pytest.mark.timeout(2 * SECONDS)
def test_an_apply_that_failed_half_way_is_finished_by_the_next_and_then_nothing_is_left_to_do(
    offline: str, checkout: Path
) -> None:
    _run(offline, checkout, "init", "-input=false", "-no-color")
    apply = ["apply", "-auto-approve", "-input=false", "-no-color", *EXAMPLE, *PIPELINE]
    whole = _text("database.tf")
    (checkout / "database.tf").write_text(whole.replace("  lifecycle {\n", f"  lifecycle {{{FAILURE}", 1))
    _run(offline, checkout, *apply, expected=1)
    (checkout / "database.tf").write_text(whole)
    begun = _count(json.loads((checkout / "test.tfstate").read_text()))
    assert "Apply complete!" in _run(offline, checkout, *apply)
    state = (checkout / "test.tfstate").read_text()
    assert 0 < begun < _count(json.loads(state))
    again = _run(offline, checkout, "plan", "-detailed-exitcode", *apply[2:])
    assert "No changes." in again
    assert "Opening" not in again  # a plan reads no password, and needs no right to
    assert "postgresql+psycopg://" not in state  # the secret is there, what it holds is not
    assert '"secret_data": "' not in state
    assert _without_cost_label(json.loads(state)) == []
    _check_queries(json.loads(state), checkout / "rules.yml")
    assert "Destroy complete!" in _run(offline, checkout, "destroy", *apply[1:])


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
def test_a_wrong_list_is_refused_by_the_name_of_each_field(offline: str, checkout: Path) -> None:
    shutil.copytree(TERRAFORM / "tests", checkout / "tests")
    _run(offline, checkout, "init", "-input=false", "-no-color")
    plan = [offline, f"-chdir={checkout}", "plan", "-input=false", "-no-color"]
    said = " ".join(_refused([*plan, *EXAMPLE, "-var=functions_file=tests/lists/wrong.json"]).replace("│", " ").split())
    for refusal in (
        "functions.json: name must be different",
        "functions.json: name of a_name_that_is_much_too_long_for_an_account must",
        "functions.json: trigger of pigeon, topicless must",
        "functions.json: callers of social must",
        "functions.json: paths must be different for each function, or one host could not serve them all: /api/same",
        "functions.json: paths must begin with /",
        "functions.json: large: memory_mb must",
        "functions.json: uses of dreamer must",
    ):
        assert refusal in said, refusal
    incomplete = [{"name": "half", "source": "functions/half/main.py", "memory_mb": "much", "paths": ["/api/half"]}]
    (checkout / "tests" / "lists" / "incomplete.json").write_text(json.dumps({"functions": incomplete}))
    said = " ".join(
        _refused([*plan, *EXAMPLE, "-var=functions_file=tests/lists/incomplete.json"]).replace("│", " ").split()
    )
    for refusal in (
        "functions.json: must have entry_point of half, trigger of half, callers of half, timeout_seconds of half.",
        "functions.json: must be numbers: memory_mb of half.",
        "functions.json: must be JSON with a list of functions, each with name, source, entry_point",
    ):
        assert refusal in said, refusal
    missing = _refused([*plan, EXAMPLE[0]])
    assert "No value for required variable" in missing
    assert 'variable "project_id"' in missing


def _refused(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 1
    return done.stderr


def _without_cost_label(state: Mapping[str, Any]) -> list[str]:
    """What has labels, and not that for cost, by its address."""
    found = []
    for resource in state["resources"]:
        for instance in resource["instances"] if resource["mode"] == "managed" else []:
            values = instance["attributes"]
            labels = values.get("effective_labels") or values.get("user_labels")
            if resource["type"] == "google_sql_database_instance":
                labels = values["settings"][0]["user_labels"]
            if ("effective_labels" in values or "user_labels" in values) and "cost-center" not in (labels or {}):
                found.append(f"{resource['type']}.{resource['name']}")
    return found


def _check_queries(state: Mapping[str, Any], file: Path) -> None:
    """By promtool, where there is one: every alert's condition and every tile of the dashboard is PromQL."""
    found = [
        condition["condition_prometheus_query_language"][0]["query"]
        for values in _values(state, "google_monitoring_alert_policy")
        for condition in values["conditions"]
        if condition["condition_prometheus_query_language"]
    ]
    for values in _values(state, "google_monitoring_dashboard"):
        for tile in json.loads(values["dashboard_json"])["mosaicLayout"]["tiles"]:
            found += [one["timeSeriesQuery"]["prometheusQuery"] for one in tile["widget"]["xyChart"]["dataSets"]]
    assert len(found) > 25
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(found)]
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    promtool = shutil.which("promtool")
    if promtool is not None:
        checked = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def _count(state: Mapping[str, Any]) -> int:
    return sum(len(one["instances"]) for one in state["resources"])


def _values(state: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    resources = [one for one in state["resources"] if one["type"] == kind]
    return [instance["attributes"] for one in resources for instance in one["instances"]]
