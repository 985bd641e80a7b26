"""How many pods a function has: an autoscaler, and what an upgrade of the machines must leave running."""

from collections.abc import Sequence

from infra.kubernetes.listed import ListedFunction
from infra.kubernetes.pods import Object, labels
from infra.kubernetes.workloads import FUNCTION

_BUSY_SHARE = 0.7  # of what a pod can do: from then on there are more
IN_FLIGHT = "assistant_requests_in_flight"  # as an adapter gives it from Prometheus; by `function`


def scaling(function: ListedFunction) -> list[Object]:
    """As many pods at most as functions.json allows instances: one of either takes `concurrency` requests at a time."""
    name = function.dns_name
    return [
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "minReplicas": 1,
                "maxReplicas": function.max_instances,
                "metrics": [_cpu(function)],
                # Soon more, slowly fewer: a pod that goes takes its requests' time to do so.
                "behavior": {
                    "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [_policy("Percent", 100, 15)]},
                    "scaleDown": {"stabilizationWindowSeconds": 300, "policies": [_policy("Pods", 1, 60)]},
                },
            },
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": name},
            "spec": {
                # Not minAvailable: of a function with one pod it would keep a machine from ever being emptied.
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": labels(name, FUNCTION)},
            },
        },
    ]


def for_people(functions: Sequence[ListedFunction]) -> list[Object]:
    """What prod changes: two pods at least, where functions.json lets there be two, and more by requests in flight.

    A question that waits for a model takes no CPU, so CPU alone would let them queue. Where nobody gives the second
    measure, CPU still adds pods, and none are taken away.
    """
    return [
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": function.dns_name},
            "spec": {
                "minReplicas": min(2, function.max_instances),
                "metrics": [_cpu(function), _in_flight(function)],
            },
        }
        for function in functions
    ]


def _cpu(function: ListedFunction) -> Object:
    """Of the whole CPU that a pod may use, not of the part that it is sure of."""
    target = {"type": "AverageValue", "averageValue": f"{round(function.cpu * _BUSY_SHARE * 1000)}m"}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _in_flight(function: ListedFunction) -> Object:
    target = {"type": "AverageValue", "averageValue": f"{round(function.concurrency * _BUSY_SHARE * 1000)}m"}
    selector = {"matchLabels": {"function": function.name}}
    return {"type": "External", "external": {"metric": {"name": IN_FLIGHT, "selector": selector}, "target": target}}


def _policy(kind: str, value: int, period_seconds: int) -> Object:
    return {"type": kind, "value": value, "periodSeconds": period_seconds}
