"""What a pull request is told of a plan: what it costs, and what it takes away."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra.costs import cloud_prices as cloud
from infra.deploy.plan_cost import NoPlan, Size, markdown, read_plan
from tests.unit.infra.test_terraform import TERRAFORM

Json = dict[str, Any]  # Any: as Terraform has it

BEFORE = {"base": 0.31, "database": 10.17}
SMALL = {"available_memory": "1024Mi", "available_cpu": "1", "min_instance_count": 0, "max_instance_count": 10}


def changed(address: str, *actions: str, mode: str = "managed", **values: object) -> Json:
    kind, _, name = address.partition(".")
    return {
        "address": address, "mode": mode, "type": kind, "name": name,
        "change": {"actions": list(actions), "before": None, "after": None, **values},
    }  # fmt: skip


def function(name: str, *actions: str, before: Json | None, after: Json | None) -> Json:
    was, will = (None if config is None else {"service_config": [config]} for config in (before, after))
    one = changed("google_cloudfunctions2_function.this", *actions, before=was, after=will)
    return one | {"address": f'{one["address"]}["{name}"]', "index": name}


def plan(*changes: Json, after: Json | None = None, after_unknown: bool = False) -> Json:
    idle = {"actions": ["update"], "before": BEFORE, "after": after or BEFORE, "after_unknown": after_unknown}
    return {"format_version": "1.2", "resource_changes": list(changes), "output_changes": {"idle_usd_per_month": idle}}


def told(tmp_path: Path, given: Json) -> str:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(given))
    return "\n".join(markdown(read_plan(path)))


# Idle cost


def test_what_is_switched_on_is_told_with_what_it_adds_a_month(tmp_path: Path) -> None:
    said = told(tmp_path, plan(after=BEFORE | {"redis": 35.77}))
    assert "Idle cost: **10.48 -> 46.25 USD a month (+35.77)**, at list prices." in said
    assert "| redis | 0.00 | 35.77 | +35.77 |" in said


def test_what_is_switched_off_is_told_with_what_it_saves(tmp_path: Path) -> None:
    said = told(tmp_path, plan(after={"base": 0.31}))
    assert "Idle cost: **10.48 -> 0.31 USD a month (-10.17)**" in said
    assert "| database | 10.17 | 0.00 | -10.17 |" in said


def test_a_plan_that_changes_no_cost_has_one_line_of_it(tmp_path: Path) -> None:
    said = told(tmp_path, plan())
    assert "Idle cost: **10.48 -> 10.48 USD a month (+0.00)**" in said
    assert "| part |" not in said


def test_what_only_the_apply_knows_is_not_told_as_a_figure(tmp_path: Path) -> None:
    assert "Idle cost: known after the apply." in told(tmp_path, plan(after_unknown=True))


# Resources


def test_resources_are_counted_and_those_that_are_lost_are_named(tmp_path: Path) -> None:
    said = told(
        tmp_path,
        plan(
            changed("google_redis_instance.this", "create"),
            changed("google_kms_key_ring.this", "no-op"),
            changed("google_storage_bucket.archive", "update"),
            changed("google_sql_database.this", "delete", "create"),
            changed("google_compute_disk.chroma", "create", "delete"),
            changed("google_pubsub_topic.this", "delete"),
            changed("google_project.this", "read", mode="data"),
        ),
    )
    assert "Resources: 1 to create, 1 to change, 2 to replace, 1 to destroy." in said
    assert said[said.index("Taken away:") :].splitlines()[2:5] == [
        "- replace `google_compute_disk.chroma`",
        "- destroy `google_pubsub_topic.this`",
        "- replace `google_sql_database.this`",
    ]


def test_a_plan_that_takes_nothing_away_says_nothing_of_it(tmp_path: Path) -> None:
    assert "Taken away" not in told(tmp_path, plan(changed("google_redis_instance.this", "create")))


# Sizes


def test_a_function_that_grows_and_is_kept_ready_is_told_with_its_prices(tmp_path: Path) -> None:
    large = SMALL | {"available_memory": "2048Mi", "min_instance_count": 1}
    said = told(tmp_path, plan(function("query", "update", before=SMALL, after=large)))
    assert "| query | 1024Mi -> 2048Mi | 1 | 0 -> 1 | 10 | 0.00 -> 19.71 | 0.0954 -> 0.1044 |" in said


def test_a_function_that_only_gets_new_code_is_not_told(tmp_path: Path) -> None:
    said = told(tmp_path, plan(function("query", "update", before=SMALL, after=SMALL)))
    assert "No function's size changes." in said


def test_a_new_function_and_one_that_goes_are_told(tmp_path: Path) -> None:
    said = told(
        tmp_path,
        plan(function("new", "create", before=None, after=SMALL), function("old", "delete", before=SMALL, after=None)),
    )
    assert "| new | none -> 1024Mi | none -> 1 | none -> 0 | none -> 10 | none -> 0.00 | none -> 0.0954 |" in said
    assert "| old | 1024Mi -> none |" in said


def test_an_instance_that_is_kept_ready_costs_what_terraform_says_it_does() -> None:
    size = Size(memory="1Gi", cpu="1", min_instances=1, max_instances=1)
    assert size.ready_usd == Decimal("13.14")  # 2 x 0.0000025 x 2,628,000 s
    assert "(one.cpu + one.memory_mb / 1024) * 0.0000025 * 730 * 3600" in (TERRAFORM / "costs.tf").read_text()


def test_an_hour_of_serving_costs_a_cpu_and_a_gibibyte() -> None:
    size = Size(memory="1024Mi", cpu="1", min_instances=0, max_instances=1)
    assert size.busy_usd == 3600 * (cloud.VCPU_SECOND.usd + cloud.GIB_SECOND.usd)


# The command


def command(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "infra.deploy.plan_cost", *arguments],
        cwd=TERRAFORM.parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_prints_markdown(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(plan()))
    done = command(tmp_path / "plan.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("## What this plan changes\n\nIdle cost: **10.48")


def test_a_file_that_is_not_there_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = command(tmp_path / "plan.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"plan_cost: {tmp_path / 'plan.json'}: cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("PK\x03\x04", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "output_changes: is missing"),
        ('{"values": {}}', "output_changes: is missing"),
        ('{"output_changes": {}}', "output_changes.idle_usd_per_month: is missing"),
        ('{"output_changes": {}, "errored": true}', "errored: the plan failed"),
        ('{"output_changes": {"idle_usd_per_month": {"before": {}}}}', "is not as Terraform writes it: KeyError"),
        (json.dumps(plan(after={"base": "much"})), "is not as Terraform writes it: "),
        (json.dumps(plan({"mode": "managed"})), "is not as Terraform writes it: KeyError"),
        (
            json.dumps(plan(function("query", "create", before=None, after=SMALL | {"available_memory": "much"}))),
            "is not as Terraform writes it: ValueError available_memory 'much'",
        ),
    ],
)
def test_what_is_no_plan_of_ours_is_refused_by_what_is_wrong_with_it(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(NoPlan, match=reason.replace("(", r"\(")):
        list(markdown(read_plan(path)))
