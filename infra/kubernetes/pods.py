"""The pod of a function, and of what is done beside it: locked down as the profile `restricted` asks for, and more.

Secrets are files that the image's start.sh reads (SECRETS_DIR), so that neither a description of the pod nor a child
process shows them. They are not in /run/secrets: /var/run leads there too, where the platform mounts tokens of its own
(as EKS does), for which a read-only folder has no room.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.version import VERSION
from infra.kubernetes.listed import ListedFunction
from infra.kubernetes.parts import required_of, secrets_of

Object = dict[str, Any]  # Any: as YAML has it

USER = 10001  # the image's
PORT = 8080
SETTINGS = "settings"  # the ConfigMap; a change of it is another name, and with it new pods
SECRET_SETTINGS = "secret-settings"  # noqa: S105  # pragma: allowlist secret  # the Secret's name; its keys are settings
KEY = "key-encryption-key"  # the Secret's name, and its key
SECRETS_FOLDER = "/secrets"
KEY_FOLDER = "/key"  # KEY_FILE of base/kustomization.yaml lies in it
_HANDED_OVER = "/handed-over"
_LIVENESS_SECONDS = 20
_SPARE_THREADS = 4  # for probes and Prometheus while all others work; no platform holds requests back here
_MEGABYTES = {"tmp": 256, "data": 256, "key": 1}

# Readable for whoever is in the container, and that is one user. A group for files (fsGroup) would need a pod's
# security context, which Knative does not let through by itself.
_READABLE = 0o444

# KEY_FILE takes a key that nobody else may read, and what Kubernetes mounts is root's. Without KEY_FILE (Cloud KMS)
# there is nothing to do; with it and no such Secret the pod stays here, and says so.
_TAKE_KEY = f'[ -z "${{KEY_FILE:-}}" ] || install -m 0400 {_HANDED_OVER}/key "$KEY_FILE"'


def image(name: str) -> str:
    """Of this version; `infra.kubernetes.release` puts a registry and the tag that was built in its place."""
    return f"loancheck/{name}:{VERSION}"


def labels(name: str, component: str) -> dict[str, str]:
    """What selects the pods of one thing; a Deployment's can never be changed."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component}


def used_labels(uses: Iterable[str]) -> dict[str, str]:
    """What network policies go by."""
    return {f"uses-{part}": "true" for part in uses}


def confined() -> Object:
    """The security context of every container: no root, no privileges, no system calls out of the ordinary."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def pod(account: str, containers: Sequence[Object], **more: object) -> Object:
    """A pod's spec that has no way to the cluster's API."""
    return {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": list(containers),
        **more,
    }


def container(name: str, image_name: str, *, memory_mb: int, cpu: float, **more: object) -> Object:
    """A container that may use `cpu` CPUs and is sure of a quarter; its memory is its own from the start."""
    memory = f"{memory_mb}Mi"
    return {
        "name": name,
        "image": image(image_name),
        "imagePullPolicy": "IfNotPresent",  # tags are exact: what is there is what is meant
        **more,
        "resources": {
            "requests": {"cpu": f"{max(50, round(cpu * 250))}m", "memory": memory},
            "limits": {"cpu": f"{round(cpu * 1000)}m", "memory": memory},
        },
        "securityContext": confined(),
    }


def function_environment(extra: Mapping[str, str]) -> Object:
    """Plain settings, the same for all; and what is this pod's own."""
    return {
        "envFrom": [{"configMapRef": {"name": SETTINGS}}],
        "env": [{"name": name, "value": value} for name, value in {"SECRETS_DIR": SECRETS_FOLDER, **extra}.items()],
    }


def threads(function: ListedFunction) -> dict[str, str]:
    return {"THREADS": str(function.concurrency + _SPARE_THREADS)}


def function_mounts() -> list[Object]:
    """What may be written to is gone with the pod: state is in PostgreSQL, Redis, Chroma and the archive."""
    return [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # in the container, a volume of its own
        {"name": "data", "mountPath": "/data"},
        {"name": "key", "mountPath": KEY_FOLDER},
        {"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True},
    ]


def function_volumes(uses: Sequence[str], *, is_scraped: bool = True) -> list[Object]:
    return [
        {"name": "tmp", "emptyDir": {"sizeLimit": f"{_MEGABYTES['tmp']}Mi"}},
        {"name": "data", "emptyDir": {"sizeLimit": f"{_MEGABYTES['data']}Mi"}},
        {"name": "key", "emptyDir": {"medium": "Memory", "sizeLimit": f"{_MEGABYTES['key']}Mi"}},
        {"name": "secrets", "projected": {"defaultMode": _READABLE, "sources": list(_sources(uses, is_scraped))}},
        {"name": "handed-over", "secret": {"secretName": KEY, "defaultMode": _READABLE, "optional": True}},
    ]


def take_key(image_name: str) -> Object:
    """The container that makes a file of the key-encryption key that KEY_FILE takes."""
    return container(
        "take-key",
        image_name,
        memory_mb=64,
        cpu=0.2,
        command=["sh", "-ec", _TAKE_KEY],
        envFrom=[{"configMapRef": {"name": SETTINGS}}],
        volumeMounts=[
            {"name": "key", "mountPath": KEY_FOLDER},
            {"name": "handed-over", "mountPath": _HANDED_OVER, "readOnly": True},
        ],
    )


def probes(function: ListedFunction) -> Object:
    """All at /live, which asks this process and nobody else.

    Liveness: a dependency that is away would restart all pods, and help nobody. Readiness tells one pod from another:
    what is away is away for all of them, and without a ready pod the gateway would answer in the function's place, with
    neither its problem document nor its Retry-After. The health function above all has to answer while something is
    amiss; its /health/ready is for a balancer in front of the cluster, or a pipeline. What does tell a pod from those
    before it, a schema that is older than its program, it waits for before it starts (await_schema.py). A pod that is
    to end is taken out before it is told so (preStop).
    """
    live = {"httpGet": {"path": "/live", "port": "http"}}
    # Where all threads work the probe waits like any request, and each of them ends at its time limit: only a process
    # that says nothing for twice as long is dead.
    silent = max(3, math.ceil(2 * function.timeout_seconds / _LIVENESS_SECONDS))
    return {
        "startupProbe": {**live, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 60},
        "readinessProbe": {**live, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 3},
        "livenessProbe": {**live, "periodSeconds": _LIVENESS_SECONDS, "timeoutSeconds": 10, "failureThreshold": silent},
    }


def _sources(uses: Sequence[str], is_scraped: bool) -> Iterable[Object]:
    settings, required = secrets_of(uses, is_scraped=is_scraped), required_of(uses)
    for optional in (False, True):
        items = [{"key": one, "path": one.lower()} for one in settings if (one not in required) is optional]
        if items:
            yield {"secret": {"name": SECRET_SETTINGS, "items": items, **({"optional": True} if optional else {})}}
