"""The software bill of materials: what a deployed function is made of, as CycloneDX 1.6 in `build/sbom.cdx.json`.

    make sbom                           # .venv-audit/bin/python -m infra.supply_chain.sbom, from the repository's root

cyclonedx-py reads requirements.txt (versions, hashes of the files that may be installed) and `.venv` (licences, what
depends on what); neither has all of it. A package that this machine does not install, one for Windows for instance, is
listed without licence. What lies in the repository itself is a component too, with the SHA-256 of its file: the
embedded model, and the chart library of the cost report's page. The same input gives the same bytes, but for the
licences and dependencies, which are those of this machine's packages.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.supply_chain.locks import pins
from infra.supply_chain.tools import ROOT, audit_tool, run

Json = dict[str, Any]  # Any: as CycloneDX's JSON gives it

TARGET = ROOT / "build" / "sbom.cdx.json"
SPEC_VERSION = "1.6"
MODEL = "common/llm/minilm/model.onnx"
CHARTS = "functions/cost_report/vendor/uplot/uPlot.iife.min.js"
# --no-validate: the merged bill is validated, once.
_OPTIONS = ("--sv", SPEC_VERSION, "--of", "JSON", "--output-reproducible", "--no-validate", "-o", "-")


class InvalidSbom(ValueError):
    """The bill does not fit CycloneDX's schema, or leaves out something that is locked; the message says where."""


def main() -> None:
    """Command line; raises SystemExit when the bill would not be valid or complete."""
    parser = argparse.ArgumentParser(description="Write the software bill of materials.")
    parser.add_argument("--output", type=Path, default=TARGET)
    target: Path = parser.parse_args().output
    try:
        bill = bill_of_materials()
        check_schema(json.dumps(bill))
    except InvalidSbom as invalid:
        raise SystemExit(str(invalid)) from None
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    components = bill["components"]
    licensed = sum("licenses" in component for component in components)
    sys.stdout.write(f"{target}: {len(components)} components, {licensed} of them with their licence\n")


def bill_of_materials() -> Json:
    """The bill of requirements.txt, with what `.venv` knows; raises InvalidSbom when it is not complete."""
    command = audit_tool("cyclonedx-py")
    locked = json.loads(run([command, "requirements", "--pyproject", "pyproject.toml", *_OPTIONS, "requirements.txt"]))
    installed = json.loads(run([command, "environment", *_OPTIONS, str(ROOT / ".venv" / "bin" / "python")]))
    bill = merged(locked, installed, direct=direct_names((ROOT / "requirements.in").read_text(encoding="utf-8")))
    check_complete(bill, (ROOT / "requirements.txt").read_text(encoding="utf-8"))
    bill["components"].append(embedded_model((ROOT / MODEL).read_bytes()))
    bill["components"].append(chart_library((ROOT / CHARTS).read_bytes()))
    return bill


def direct_names(requirements: str) -> set[str]:
    """The packages that requirements.in names, without extras and versions."""
    entries = (line.partition("#")[0].strip() for line in requirements.splitlines())
    return {canonicalize_name(Requirement(entry).name) for entry in entries if entry}


def merged(locked: Json, installed: Json, *, direct: set[str]) -> Json:
    """`locked` with what `installed` knows about the same versions of its packages.

    A component's reference is its package URL. The project itself depends on `direct`.
    """
    known = {component["purl"]: component for component in installed["components"] if "purl" in component}
    references = {component["bom-ref"]: component["purl"] for component in known.values()}
    components = {entry["purl"]: _component(entry, known.get(entry["purl"], {})) for entry in locked["components"]}
    root = locked["metadata"]["component"] | {"bom-ref": "project"}
    needs: dict[str, list[str]] = {purl: [] for purl in components}
    for edge in installed["dependencies"]:
        purl = references.get(edge["ref"])
        if purl in needs:
            needs[purl] = _within(components, (references.get(on) for on in edge.get("dependsOn", ())))
    needs["project"] = sorted(purl for purl, component in components.items() if component["name"] in direct)
    return locked | {
        "metadata": locked["metadata"] | {"component": root},
        "components": [components[purl] for purl in sorted(components)],
        "dependencies": [{"ref": ref, "dependsOn": on} if on else {"ref": ref} for ref, on in sorted(needs.items())],
    }


def _component(locked: Json, installed: Json) -> Json:
    """The hashes come from the lock; the description too, where it is a copy of the lock's lines, goes."""
    described = {name: installed[name] for name in ("description", "licenses") if name in installed}
    links = [*locked["externalReferences"], *installed.get("externalReferences", ())]
    kept = {name: locked[name] for name in ("name", "version", "purl", "type")}
    return kept | described | {"bom-ref": locked["purl"], "externalReferences": links}


def _within(components: Mapping[str, Json], purls: Iterable[str | None]) -> list[str]:
    return sorted({purl for purl in purls if purl is not None and purl in components})


def embedded_model(content: bytes) -> Json:
    """The component for the embedding model that lies in the repository."""
    return {
        "bom-ref": MODEL,
        "type": "machine-learning-model",
        "name": "all-MiniLM-L6-v2",
        "description": "Sentence embeddings, as int8 ONNX; built by infra/embedder from the published weights.",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}],
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }


def chart_library(content: bytes) -> Json:
    """The component for the chart library that lies in the repository; its own first line says which version it is."""
    stated = re.match(rb"/\*! https://github\.com/leeoniya/uPlot \(v([0-9.]+)\) \*/", content)
    if stated is None:
        raise InvalidSbom(f"{CHARTS} does not say which version it is")
    version = stated[1].decode()
    return {
        "bom-ref": CHARTS,
        "type": "library",
        "name": "uplot",
        "version": version,
        "purl": f"pkg:npm/uplot@{version}",
        "description": "Charts of the cost report's page; unchanged, see NOTICE beside it.",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}],
        "licenses": [{"license": {"id": "MIT"}}],
    }


def check_complete(bill: Json, lock: str) -> None:
    """Raises InvalidSbom unless every entry of `lock` is a component with its version and all its hashes."""
    listed = {
        (component["purl"], digest["content"])
        for component in bill["components"]
        for reference in component.get("externalReferences", ())
        for digest in reference.get("hashes", ())
    }
    for pin in pins(lock):
        purl = f"pkg:pypi/{pin.name}@{pin.version}"
        if not listed.issuperset((purl, digest) for digest in pin.hashes):
            raise InvalidSbom(f"the bill does not list {purl} with its hashes")


def check_schema(bill: str) -> None:
    """Raises InvalidSbom unless `bill` fits the schema of CycloneDX, unknown fields refused."""
    # Only in .venv-audit, where this is run.
    from cyclonedx.schema import SchemaVersion  # type: ignore[import-not-found]
    from cyclonedx.validation.json import JsonStrictValidator  # type: ignore[import-not-found]

    error = JsonStrictValidator(SchemaVersion.from_version(SPEC_VERSION)).validate_str(bill)
    if error is not None:
        raise InvalidSbom(f"the bill does not fit CycloneDX {SPEC_VERSION}: {str(error).splitlines()[0][:500]}")


if __name__ == "__main__":
    main()
