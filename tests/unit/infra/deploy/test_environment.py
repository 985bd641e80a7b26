"""Environments and their functions."""

import json

import pytest

from infra.deploy.environment import FUNCTIONS_FILE, Refused, environment

LCC = environment(project="example-lending", region="us-central1", prefix="lcc-prod")


def test_services_are_named_as_terraform_names_them() -> None:
    listed = [one["name"] for one in json.loads(FUNCTIONS_FILE.read_text())["functions"]]
    assert [one.name for one in LCC.functions] == listed
    assert [LCC.service(one) for one in LCC.selected(["cost_report"])] == ["lcc-prod-cost-report"]
    assert LCC.migration_job == "lcc-prod-migrate"
    assert LCC.lease_service == "lcc-prod-query"


def test_only_functions_that_look_at_their_callers_themselves_can_be_asked_without_clouds_leave() -> None:
    assert {one.name for one in LCC.functions if one.lets_anyone_connect} == {
        "query",
        "documents",
        "health",
        "cost_report",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project", "Example"),
        ("project", "x"),
        ("project", "../../other"),
        ("region", "us-central1-a"),
        ("region", "us central1"),
        ("prefix", "lcc"),
        ("prefix", "lcc-production"),
        ("prefix", "a-prod"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_by_its_field(field: str, value: str) -> None:
    names = {"project": "example-lending", "region": "us-central1", "prefix": "lcc-prod", field: value}
    with pytest.raises(Refused, match=f"^{field}: "):
        environment(project=names["project"], region=names["region"], prefix=names["prefix"])
