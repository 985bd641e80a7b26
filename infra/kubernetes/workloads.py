"""What runs a function: an account without rights, a Deployment, and the Service by which others reach it."""

from pathlib import Path

from infra.kubernetes.listed import ListedFunction
from infra.kubernetes.pods import (
    PORT,
    Object,
    container,
    function_environment,
    function_mounts,
    function_volumes,
    labels,
    pod,
    probes,
    take_key,
    threads,
    used_labels,
)

FUNCTION = "function"  # the component

# gunicorn's graceful_timeout, which the framework leaves alone: so long a worker that was told to end may still answer,
# then it is cut off. A slower function is told later. https://gunicorn.org/reference/settings/#graceful_timeout
GUNICORN_SECONDS = 30
_UNKNOWN_SECONDS = 5  # until all nodes and gateways know that the pod is not to be asked any more
_MARGIN_SECONDS = 5  # what telemetry is left leaves at the end

_AWAIT_SCHEMA = Path(__file__).with_name("await_schema.py")

_PART_OF = {"app.kubernetes.io/part-of": "loancheck"}


def drain_seconds(function: ListedFunction) -> int:
    """How long a pod goes on before it is told to end: from then on no request comes, and each still ends by itself."""
    return _UNKNOWN_SECONDS + max(0, function.timeout_seconds - GUNICORN_SECONDS)


def workload(function: ListedFunction) -> list[Object]:
    return [account(function.dns_name), deployment(function), service(function)]


def account(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "labels": _PART_OF},
        "automountServiceAccountToken": False,
    }


def deployment(function: ListedFunction) -> Object:
    """How many pods there are, the autoscaler says: without `replicas` an apply leaves that alone."""
    selected = labels(function.dns_name, FUNCTION)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": function.dns_name, "labels": selected | _PART_OF, "annotations": unpinned()},
        "spec": {
            "selector": {"matchLabels": selected},
            # A new pod is ready before an old one goes.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "minReadySeconds": 5,
            "progressDeadlineSeconds": 300,
            "template": {"metadata": {"labels": pod_labels(function)}, "spec": _pod(function)},
        },
    }


def service(function: ListedFunction) -> Object:
    selected = labels(function.dns_name, FUNCTION)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": function.dns_name, "labels": selected | _PART_OF},
        "spec": {
            "selector": selected,
            "ports": [{"name": "http", "port": PORT, "targetPort": "http", "appProtocol": "http"}],
        },
    }


def pod_labels(function: ListedFunction) -> dict[str, str]:
    """`function` is its name as metrics have it; the others are what network policies go by."""
    reached = {"from-gateway": function.is_called_from_outside, "from-scheduler": function.schedule is not None}
    return {
        **labels(function.dns_name, FUNCTION),
        **_PART_OF,
        "function": function.name,
        **{name: "true" for name, is_so in reached.items() if is_so},
        **used_labels(function.uses),
    }


def unpinned() -> dict[str, str]:
    """What checkov asks for and cannot be had before an image is built, or is not wanted."""
    return {
        "checkov.io/skip1": "CKV_K8S_43=which digest an image has is known once it is built; the tag is exact",
        "checkov.io/skip2": "CKV_K8S_15=an exact tag needs no registry when a pod starts, and dev has none",
    }


def _pod(function: ListedFunction) -> Object:
    drain = drain_seconds(function)
    return pod(
        function.dns_name,
        [
            container(
                function.name.replace("_", "-"),
                function.dns_name,
                memory_mb=function.memory_mb,
                cpu=function.cpu,
                ports=[{"name": "http", "containerPort": PORT}],
                **function_environment(threads(function)),
                **probes(function),
                lifecycle={"preStop": {"sleep": {"seconds": drain}}},
                volumeMounts=function_mounts(),
            )
        ],
        initContainers=[take_key(function.dns_name), *_await_schema(function)],
        terminationGracePeriodSeconds=drain + GUNICORN_SECONDS + _MARGIN_SECONDS,
        # A machine or a zone that fails takes one pod with it rather than all.
        topologySpreadConstraints=[
            _spread(function, key) for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ],
        volumes=function_volumes(function.uses),
    )


def _await_schema(function: ListedFunction) -> list[Object]:
    """What is public tells strangers how things are, and has to while the database is away or behind."""
    if "database" not in function.uses or function.callers == "public":
        return []
    return [
        container(
            "await-schema",
            function.dns_name,
            memory_mb=256,
            cpu=0.5,
            args=["python", "-c", _AWAIT_SCHEMA.read_text(encoding="utf-8")],
            **function_environment({}),
            volumeMounts=function_mounts(),
        )
    ]


def _spread(function: ListedFunction, key: str) -> Object:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",  # one machine is enough to answer
        "labelSelector": {"matchLabels": labels(function.dns_name, FUNCTION)},
    }
