"""The bill of materials lists what is locked, and nothing else; it is checked against CycloneDX's schema."""

import hashlib
import json
import subprocess

import pytest

from infra.supply_chain.locks import pins
from infra.supply_chain.sbom import (
    CHARTS,
    MODEL,
    InvalidSbom,
    Json,
    chart_library,
    check_complete,
    direct_names,
    merged,
)
from infra.supply_chain.tools import ROOT, run
from tests import servers

LOCK = (ROOT / "requirements.txt").read_text()
ONE, TWO = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """The bill as `make sbom` writes it, to a file of its own."""
    python = ROOT / ".venv-audit" / "bin" / "python"
    if not python.exists() or not (ROOT / ".venv" / "bin" / "python").exists():
        servers.missing("the tools of the audit (make audit installs them)")
    target = tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    run([str(python), "-m", "infra.supply_chain.sbom", "--output", str(target)])
    written: Json = json.loads(target.read_text())
    return written


def test_every_locked_package_is_listed_with_version_package_url_and_hashes(bill: Json) -> None:
    listed = {
        (entry["name"], entry["version"], entry["purl"])
        for entry in bill["components"]
        if entry["type"] == "library" and entry["bom-ref"] != CHARTS
    }
    assert listed == {(pin.name, pin.version, f"pkg:pypi/{pin.name}@{pin.version}") for pin in pins(LOCK)}
    check_complete(bill, LOCK)


def test_what_is_installed_has_its_licence(bill: Json) -> None:
    by_name = {entry["name"]: entry for entry in bill["components"]}
    assert by_name["flask"]["licenses"][0]["license"]["id"] == "BSD-3-Clause"
    licensed = [entry for entry in bill["components"] if "licenses" in entry]
    assert len(licensed) >= 0.9 * len(bill["components"])


def test_the_project_depends_on_what_it_names_and_that_on_the_rest(bill: Json) -> None:
    needs = {edge["ref"]: edge.get("dependsOn", []) for edge in bill["dependencies"]}
    assert bill["metadata"]["component"]["bom-ref"] == "project"
    names = {purl.removeprefix("pkg:pypi/").partition("@")[0] for purl in needs["project"]}
    assert names == direct_names((ROOT / "requirements.in").read_text())
    flask = next(purl for purl in needs["project"] if purl.startswith("pkg:pypi/flask@"))
    assert any(purl.startswith("pkg:pypi/werkzeug@") for purl in needs[flask])


def test_the_embedded_model_is_a_component_with_the_hash_of_its_file(bill: Json) -> None:
    (model,) = (entry for entry in bill["components"] if entry["type"] == "machine-learning-model")
    assert model["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256((ROOT / MODEL).read_bytes()).hexdigest()}]


def test_the_chart_library_is_a_component_with_its_version_and_the_hash_of_its_file(bill: Json) -> None:
    (library,) = (entry for entry in bill["components"] if entry["bom-ref"] == CHARTS)
    assert library == chart_library((ROOT / CHARTS).read_bytes())
    assert library["purl"] == "pkg:npm/uplot@1.6.32"


def test_a_chart_library_that_does_not_say_its_version_is_refused() -> None:
    with pytest.raises(InvalidSbom, match="does not say which version"):
        chart_library(b"var uPlot=function(){}")


def test_the_bill_names_no_path_of_this_machine(bill: Json) -> None:
    assert str(ROOT) not in json.dumps(bill)


@pytest.mark.usefixtures("audit_tools")
def test_a_bill_that_does_not_fit_the_schema_is_refused() -> None:
    unknown_field = {"bomFormat": "CycloneDX", "specVersion": "1.6", "componentss": []}
    code = f"from infra.supply_chain.sbom import check_schema; check_schema({json.dumps(json.dumps(unknown_field))})"
    python = str(ROOT / ".venv-audit" / "bin" / "python")
    ended = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "InvalidSbom" in ended.stderr
    assert "'componentss' was unexpected" in ended.stderr


def test_a_bill_that_leaves_out_a_hash_is_refused() -> None:
    lock = f"flask==3.1.3 --hash=sha256:{ONE} --hash=sha256:{TWO}\n"
    reference = {"type": "distribution", "url": "-", "hashes": [{"alg": "SHA-256", "content": ONE}]}
    component = {"purl": "pkg:pypi/flask@3.1.3", "externalReferences": [reference]}
    with pytest.raises(InvalidSbom, match=r"flask@3\.1\.3"):
        check_complete({"components": [component]}, lock)


def test_installed_packages_that_are_not_locked_stay_out() -> None:
    purl, other = "pkg:pypi/flask@3.1.3", "pkg:pypi/pytest@9.0"
    locked = {
        "metadata": {"component": {"name": "project"}},
        "components": [
            {"name": "flask", "version": "3.1.3", "type": "library", "purl": purl, "externalReferences": []}
        ],
        "dependencies": [],
    }
    installed = {
        "components": [{"bom-ref": "f", "purl": purl, "description": "Web"}, {"bom-ref": "p", "purl": other}],
        "dependencies": [{"ref": "f", "dependsOn": ["p"]}, {"ref": "p", "dependsOn": ["f"]}],
    }
    bill = merged(locked, installed, direct={"flask"})
    assert [(entry["purl"], entry["description"]) for entry in bill["components"]] == [(purl, "Web")]
    assert bill["dependencies"] == [{"ref": purl}, {"ref": "project", "dependsOn": [purl]}]


def test_direct_packages_are_read_without_extras_versions_and_comments() -> None:
    assert direct_names("# all\npsycopg[binary]\ns3fs>=2025  # archive\n\nPyYAML\n") == {"psycopg", "s3fs", "pyyaml"}


def test_the_folder_of_the_bill_is_not_in_the_repository() -> None:
    assert "build/" in (ROOT / ".gitignore").read_text().splitlines()
