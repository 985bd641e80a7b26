"""What `kubectl kustomize` makes of the folders of infra/kubernetes, once per test process."""

import functools
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.kubernetes.generate import FOLDER
from tests.servers import installed

Object = dict[str, Any]  # Any: as YAML has it

APPLIED = ("overlays/dev", "overlays/prod", "overlays/knative")
POD_OWNERS = ("Deployment", "StatefulSet", "Job", "CronJob", "Service")


def kustomized(folder: Path) -> str:
    kubectl = installed("kubectl", package="kubernetes-client")
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{folder.name}: {done.stderr}")
    return done.stdout


@functools.cache
def rendered(name: str) -> tuple[Object, ...]:
    """All objects of infra/kubernetes/`name`. They are shared: tests read them."""
    return tuple(yaml.load_all(kustomized(FOLDER / name), yaml.CSafeLoader))


def named(name: str, kind: str) -> dict[str, Object]:
    """The objects of one kind, by their name. Services are Kubernetes's own."""
    return {
        one["metadata"]["name"]: one
        for one in rendered(name)
        if one["kind"] == kind and not (kind == "Service" and "overlays/knative" in one["apiVersion"])
    }


def of_knative() -> dict[str, Object]:
    return {
        one["metadata"]["name"]: one
        for one in rendered("overlays/knative")
        if one["apiVersion"] == "serving.knative.dev/v1"
    }


def pods(name: str) -> Iterator[tuple[str, Mapping[str, str], Object]]:
    """What each pod is made by, its labels and its spec."""
    for one in rendered(name):
        spec = one.get("spec", {})
        if one["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if one["kind"] in POD_OWNERS and "template" in spec:
            template = spec["template"]
            yield f"{one['kind']} {one['metadata']['name']}", template["metadata"]["labels"], template["spec"]


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"]]
