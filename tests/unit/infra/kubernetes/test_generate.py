"""What is written for Kubernetes follows from functions.json, Prometheus's rules and Terraform's list of secrets."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import SETTINGS, Secret
from infra.kubernetes import generate, parts
from infra.kubernetes.generate import FOLDER, written
from infra.kubernetes.listed import FUNCTIONS, ListedFunction, load_functions
from infra.kubernetes.parts import FOR_ALL, PARTS, required_of, secrets_of
from tests.servers import promtool

LISTED = load_functions()
WRITTEN = written(LISTED)
MONITORING = FOLDER.parent / "monitoring"


def listed(tmp_path: Path, *changed: dict[str, Any], keep: bool = True) -> tuple[ListedFunction, ...]:
    """The list with `changed` added, read as the generator reads it."""
    content = json.loads(FUNCTIONS.read_text())
    content["functions"] = [*(content["functions"] if keep else []), *changed]
    file = tmp_path / "functions.json"
    file.write_text(json.dumps(content))
    return load_functions(file)


def entry(**fields: object) -> dict[str, Any]:
    """An entry of a function that people call."""
    return {
        "name": "tax_check", "source": "functions/tax_check/main.py", "entry_point": "tax_check", "paths": ["/api/tax"],
        "trigger": "http", "callers": "api-key", "memory_mb": 256, "timeout_seconds": 20, "uses": ["database"],
        **fields,
    }  # fmt: skip


def objects(files: dict[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (Path(name).parts[-3], f"{one['kind']} {one['metadata']['name']}"): one
        for name, text in files.items()
        for one in yaml.load_all(text, yaml.CSafeLoader)
    }


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(FOLDER)))
def test_what_is_checked_in_is_what_the_generator_writes(path: Path) -> None:
    assert path.read_text() == WRITTEN[path], "run python -m infra.kubernetes.generate"


def test_nothing_else_lies_among_the_generated_files() -> None:
    assert set(FOLDER.glob("**/generated/*")) == set(WRITTEN)


def test_a_function_that_is_added_to_the_list_gets_all_that_a_function_has(tmp_path: Path) -> None:
    added = entry(trigger="http+scheduler", schedule={"cron": "0 4 * * *", "path": "/api/tax/run"})
    before, after = (
        objects({str(path.relative_to(FOLDER)): text for path, text in written(functions).items()})
        for functions in (LISTED, listed(tmp_path, added))
    )
    assert sorted(after.keys() - before.keys()) == [
        ("base", "CronJob tax-check"),
        ("base", "Deployment tax-check"),
        ("base", "HorizontalPodAutoscaler tax-check"),
        ("base", "PodDisruptionBudget tax-check"),
        ("base", "Service tax-check"),
        ("base", "ServiceAccount tax-check"),
        ("knative", "CronJob tax-check"),
        ("knative", "Service tax-check"),
        ("knative", "ServiceAccount tax-check"),
        ("prod", "HorizontalPodAutoscaler tax-check"),
        ("routes", "HTTPRoute tax-check"),
    ]
    assert {name for name in before if before[name] != after[name]} == set()


def test_a_function_that_only_the_clock_calls_is_not_reached_from_outside(tmp_path: Path) -> None:
    quiet = entry(trigger="scheduler", callers="google", schedule={"cron": "0 4 * * *", "path": "/api/tax"})
    files = {str(path.relative_to(FOLDER)): text for path, text in written(listed(tmp_path, quiet, keep=False)).items()}
    assert "tax-check" not in files["addons/routes/generated/routes.yaml"]
    _, deployment, _ = yaml.safe_load_all(files["base/generated/functions.yaml"])
    assert "from-gateway" not in deployment["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Tax"}, "Tax: name: must be of a-z, 0-9 and single _, and of at most 52 characters"),
        ({"name": "t" * 53}, f"{'t' * 53}: name: must be of a-z"),
        ({"name": "tax__check"}, "tax__check: name: must be of a-z"),
        ({"name": "query"}, "name: query stands there twice"),
        ({"paths": ["/api/query"]}, "paths: /api/query stands there twice"),
        ({"paths": ["/api/{id}"]}, "tax_check: paths: must be paths of a-z"),
        ({"paths": []}, "tax_check: paths: must be paths of a-z"),
        ({"memory_mb": 64}, "tax_check: memory_mb: Input should be greater than or equal to 128"),
        ({"timeout_seconds": 0}, "tax_check: timeout_seconds: Input should be"),
        ({"max_instances": 0}, "tax_check: max_instances: Input should be"),
        ({"callers": "anyone"}, "tax_check: callers: Input should be"),
        ({"trigger": "cron"}, "tax_check: trigger: must be of http, pubsub, scheduler, storage, joined by +"),
        ({"trigger": "scheduler"}, "tax_check: schedule: goes with the trigger scheduler"),
        ({"trigger": "scheduler", "schedule": {"cron": "daily", "path": "/api/tax"}}, "tax_check: schedule: cron: "),
        ({"uses": ["database", "blockchain"]}, "tax_check: uses: blockchain: must be of database, keys"),
    ],
)  # fmt: skip
def test_an_entry_that_kubernetes_could_not_run_is_refused_by_its_field(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^functions.json: {re.escape(message)}"):
        listed(tmp_path, entry(**fields))


def test_the_command_refuses_a_bad_list_in_one_line_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "functions.json").write_text('{"functions": [{"name": "Tax"}]}')
    monkeypatch.setattr(generate, "load_functions", lambda: load_functions(tmp_path / "functions.json"))
    assert generate.main() == 2
    assert capsys.readouterr().err.startswith("functions.json: Tax: ")


# Secrets


def test_the_secrets_of_all_parts_are_the_settings_that_are_secret() -> None:
    found = {*FOR_ALL, *(setting for settings in PARTS.values() for setting in settings)}
    assert found == {name.upper() for name, one in SETTINGS.items() if one.kind is Secret} - {"API_KEY"}


def test_a_pod_that_is_scraped_does_not_push_as_well() -> None:
    assert "PUSHGATEWAY_URL" not in secrets_of(["database"])
    assert "PUSHGATEWAY_URL" in secrets_of(["database"], is_scraped=False)
    assert secrets_of(["database"]) == ["DATABASE_URL", "PSEUDONYM_KEY"]


def test_what_replicas_share_must_be_there() -> None:
    assert required_of(PARTS) == {"DATABASE_URL", "REDIS_URL"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("locals {}", "parts, for_all: are not there"),
        ('  parts = {\n    database = var.x\n  }\n  for_all = ["A"]\n', "each must be on a line of its own"),
        ('  parts = {\n    wallets = ["A"]\n  }\n  for_all = ["A"]\n', "wallets.*: must stand in both"),
    ],
)
def test_a_list_of_secrets_in_another_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parts._read(text)


# Rules


def rules_of(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((MONITORING / name).read_text())["groups"]
    return found


def test_the_rules_of_the_operator_are_those_of_prometheus_and_pass_its_own_check(tmp_path: Path) -> None:
    spec = yaml.safe_load((FOLDER / "addons" / "monitoring" / "generated" / "rules.yaml").read_text())["spec"]
    expected = [*rules_of("recordings.yml"), *rules_of("alerts.yml")]
    assert [group["name"] for group in spec["groups"]] == [group["name"] for group in expected]
    for group, original in zip(spec["groups"], expected, strict=True):
        for rule, said in zip(group["rules"], original["rules"], strict=True):
            assert isinstance(rule["expr"], str)
            assert rule | {"expr": ""} == said | {"expr": ""}
            assert rule["expr"] == str(said["expr"])
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(spec))
    done = subprocess.run([promtool(), "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
