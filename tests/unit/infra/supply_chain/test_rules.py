"""What is deployed keeps the rules; what breaks one is found by file and line, and an exception needs its reason."""

from pathlib import Path

import pytest

from infra.supply_chain.outcomes import State
from infra.supply_chain.rules import check_compose, check_dockerfiles, check_rules
from infra.supply_chain.tools import ROOT

BUCKET = """\
resource "google_storage_bucket" "open" {{
  {skip}
  name                        = "open"
  location                    = "us-central1"
  uniform_bucket_level_access = true
  public_access_prevention    = "{prevention}"
  versioning {{
    enabled = true
  }}
}}
"""
ACCESS_LOGS = "checkov:skip=CKV_GCP_62"
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: root
  namespace: lending
spec:
  containers:
    - name: root
      image: example.com/root:1.0
      securityContext:
        privileged: true
"""
DOCKERFILE = """\
FROM debian:12-slim
{ignore}RUN apt-get update && apt-get install -y --no-install-recommends jq && rm -rf /var/lib/apt/lists/*
"""


def written(repository: Path, name: str, text: str) -> Path:
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return repository


# checkov


@pytest.mark.slow
@pytest.mark.usefixtures("rules_tools")
def test_a_broken_rule_and_an_exception_without_a_reason_are_named_by_file_and_line(repository: Path) -> None:
    text = BUCKET.format(skip=f"# {ACCESS_LOGS}", prevention="inherited")
    written(repository, "infra/terraform/bucket.tf", text)
    written(repository, "infra/kubernetes/base/pod.yaml", POD)
    outcome = check_rules(repository)
    assert outcome.state == State.FAILED
    assert [one for one in outcome.findings if one.startswith("infra/terraform/")] == [
        "infra/terraform/bucket.tf:1: google_storage_bucket.open: Ensure public access prevention is enforced on "
        "Cloud Storage bucket [CKV_GCP_114]",
        "infra/terraform/bucket.tf:1: google_storage_bucket.open: an exception says why [CKV_GCP_62]",
    ]
    privileged = [one for one in outcome.findings if one.endswith("[CKV_K8S_16]")]
    assert [one.partition(" ")[0] for one in privileged] == ["infra/kubernetes/base/pod.yaml:1:"]


@pytest.mark.slow
@pytest.mark.usefixtures("rules_tools")
def test_an_exception_holds_where_it_says_why_and_nowhere_else(repository: Path) -> None:
    text = BUCKET.format(skip=f"# {ACCESS_LOGS}: the audit log has who reads it", prevention="enforced")
    written(repository, "infra/terraform/bucket.tf", text)
    assert check_rules(repository).findings == ()
    written(repository, "infra/.checkov.yaml", "skip-check: [CKV_GCP_114]\n")
    findings = check_rules(repository).findings
    assert findings == ("infra/.checkov.yaml: exceptions stand where they hold, with their reasons",)


# hadolint


@pytest.mark.usefixtures("audit_tools")
def test_hadolint_finds_nothing_in_our_dockerfiles() -> None:
    outcome = check_dockerfiles(ROOT)
    assert (outcome.state, outcome.findings) == (State.PASSED, ())


@pytest.mark.usefixtures("audit_tools")
@pytest.mark.parametrize("name", ["Dockerfile", "infra/docker/Dockerfile.query", "tests/query.Dockerfile"])
def test_every_dockerfile_is_looked_at_whatever_its_name(repository: Path, name: str) -> None:
    outcome = check_dockerfiles(written(repository, name, DOCKERFILE.format(ignore="")))
    assert outcome.state == State.FAILED
    assert outcome.findings[0].startswith(f"{name}:2: Pin versions in apt get install.")
    assert outcome.findings[0].endswith("[DL3008]")


@pytest.mark.usefixtures("audit_tools")
@pytest.mark.parametrize(
    ("ignore", "findings"),
    [
        ("# hadolint ignore=DL3008 # Debian keeps no older versions to pin\n", ()),
        ("# hadolint ignore=DL3008\n", ("Dockerfile:2: an exception says why [hadolint]",)),
    ],
)
def test_an_exception_of_hadolint_says_why(repository: Path, ignore: str, findings: tuple[str, ...]) -> None:
    written(repository, "Dockerfile", DOCKERFILE.format(ignore=ignore))
    assert check_dockerfiles(repository).findings == findings


# Compose


@pytest.mark.usefixtures("audit_tools")
def test_our_compose_files_are_as_the_specification_has_them() -> None:
    outcome = check_compose(ROOT)
    assert (outcome.state, outcome.findings) == (State.PASSED, ())


@pytest.mark.usefixtures("audit_tools")
def test_a_misspelt_key_of_a_service_is_found(repository: Path) -> None:
    written(repository, "compose.yaml", "services:\n  query:\n    imagee: query\n")
    written(repository, "deploy/compose.small.yml", "services:\n  query:\n    image: query\n")
    outcome = check_compose(repository)
    assert (outcome.state, outcome.about) == (State.FAILED, "Compose's schema on 2 files")
    assert [finding.partition(": ")[0] for finding in outcome.findings] == ["compose.yaml"]
    assert "'imagee' was unexpected" in outcome.findings[0]


@pytest.mark.usefixtures("audit_tools")
def test_a_compose_file_that_cannot_be_read_is_found(repository: Path) -> None:
    findings = check_compose(written(repository, "compose.yaml", "services: [\n")).findings
    assert [finding.partition(": ")[0] for finding in findings] == ["compose.yaml"]


@pytest.mark.usefixtures("audit_tools")
def test_a_repository_without_images_has_nothing_to_find(repository: Path) -> None:
    assert (check_compose(repository).findings, check_dockerfiles(repository).findings) == ((), ())
