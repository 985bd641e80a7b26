"""The command line `loancheck`, for those who run the product: keys, erasure, the audit.

There is no pod of it until somebody scales it to one, and the next apply takes that away again. It waits to be entered,
so that a new key is told to a terminal; what a Job says stands in logs.
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

NAME = "command-line"
IMAGE = "loancheck"
_NOT_SERVING = {
    "checkov.io/skip3": "CKV_K8S_8=it serves nothing that could be asked whether it lives",
    "checkov.io/skip4": "CKV_K8S_9=it serves nothing that could be ready",
}


def command_line(functions: Sequence[ListedFunction]) -> list[Object]:
    """It may use what any function may."""
    uses = list(dict.fromkeys(part for one in functions for part in one.uses))
    selected = labels(NAME, NAME)
    return [
        account(NAME),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME, "labels": selected, "annotations": unpinned() | _NOT_SERVING},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": selected},
                "template": {"metadata": {"labels": selected | used_labels(uses)}, "spec": _pod(uses)},
            },
        },
    ]


def _pod(uses: Sequence[str]) -> Object:
    return pod(
        NAME,
        [
            container(
                NAME,
                IMAGE,
                memory_mb=1024,
                cpu=1,
                command=["sleep", "infinity"],
                **function_environment({}),
                volumeMounts=function_mounts(),
            )
        ],
        initContainers=[take_key(IMAGE)],
        terminationGracePeriodSeconds=5,
        volumes=function_volumes(uses),
    )
