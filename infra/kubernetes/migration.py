"""The Job that brings the database's schema to this version: once per deploy, before the pods that need it.

With kubectl: what is labelled `apply: first`, wait for the Job, then the rest. Argo CD keeps the same order by waves (a
PreSync hook would come before the settings and the account that it needs, the first time). A Job cannot be changed, so
the last one is deleted before; it is gone after a day anyway.
"""

from collections.abc import Sequence

from infra.kubernetes.listed import ListedFunction
from infra.kubernetes.pods import (
    Object,
    container,
    function_environment,
    function_mounts,
    function_volumes,
    labels,
    pod,
    take_key,
    used_labels,
)
from infra.kubernetes.workloads import account, unpinned

NAME = "migrate"
_FIRST = {"apply": "first"}
_WAVE = "argocd.argoproj.io/sync-wave"
_USES = ("database", "keys")  # older migrations seal what stood in the clear
_ANEW = {
    "argocd.argoproj.io/hook": "Sync",
    "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
    _WAVE: "-1",  # after what it needs, before the pods in wave 0
    "kustomize.toolkit.fluxcd.io/force": "enabled",  # Flux makes it anew where the image is another
}


def migration(functions: Sequence[ListedFunction]) -> list[Object]:
    """In the image of the first function that has a database: the command is in all of them."""
    name = next(one.dns_name for one in functions if "database" in one.uses)
    selected = labels(NAME, NAME)
    return [
        first(account(NAME)),
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": NAME, "labels": selected | _FIRST, "annotations": unpinned() | _ANEW},
            "spec": {
                "backoffLimit": 6,  # a database that has just been started; a migration that fails leaves all as it was
                "activeDeadlineSeconds": 1800,
                "ttlSecondsAfterFinished": 24 * 3600,
                "template": {"metadata": {"labels": selected | used_labels(_USES)}, "spec": _pod(name)},
            },
        },
    ]


def first(thing: Object) -> Object:
    """`thing`, marked as what is there before the migration."""
    metadata = thing["metadata"]
    marks = {
        "labels": metadata.get("labels", {}) | _FIRST,
        "annotations": metadata.get("annotations", {}) | {_WAVE: "-2"},
    }
    return thing | {"metadata": metadata | marks}


def _pod(image_name: str) -> Object:
    return pod(
        NAME,
        [
            container(
                NAME,
                image_name,
                memory_mb=512,
                cpu=1,
                args=["python", "-m", "common.database.migrations", "upgrade"],
                **function_environment({}),
                volumeMounts=function_mounts(),
            )
        ],
        initContainers=[take_key(image_name)],
        restartPolicy="Never",
        volumes=function_volumes(_USES),
    )
