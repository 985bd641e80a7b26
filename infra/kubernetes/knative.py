"""The functions as Knative Services: no pods while nobody asks, and one address for each function, as on Cloud Run.

Knative makes the Deployment, the autoscaler and the drain of its own, and takes no more of a pod than what stands here;
init containers once its feature `kubernetes.podspec-init-containers` is on, a volume at /tmp from 1.14 on
(https://github.com/knative/serving/pull/14719). Metrics are pushed, for pods that are gone cannot be scraped.
"""

from infra.kubernetes.listed import ListedFunction
from infra.kubernetes.network import Callers
from infra.kubernetes.pods import (
    PORT,
    Object,
    container,
    function_environment,
    function_mounts,
    function_volumes,
    probes,
    take_key,
    threads,
)
from infra.kubernetes.workloads import FUNCTION, account, pod_labels, unpinned

NAMESPACE = "loancheck"  # Knative finds a function by its whole name
# What a function is called by inside the cluster, which leads to the gateway: Kourier, as Knative's own guide installs
# it, takes such calls at 8081. The sidecar of each pod listens at 8012 (8112 with TLS), 9090 is for the autoscaler.
CALLERS = Callers(
    namespaces=("knative-serving", "kourier-system"),
    ports=(8012, 8112, 9090),
    selected=(("app.kubernetes.io/component", FUNCTION),),
    entrance="kourier-system",
    entrance_ports=(8081,),
)
_OWN_PROBES = ("readinessProbe", "livenessProbe")


def knative(function: ListedFunction) -> list[Object]:
    return [account(function.dns_name), _service(function)]


def address(function: ListedFunction) -> str:
    return f"{function.dns_name}.{NAMESPACE}.svc.cluster.local"  # at port 80


def _service(function: ListedFunction) -> Object:
    visible = {} if function.is_called_from_outside else {"networking.knative.dev/visibility": "cluster-local"}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": function.dns_name,
            "labels": {"app.kubernetes.io/part-of": "loancheck", **visible},
            "annotations": unpinned(),
        },
        "spec": {
            "template": {
                "metadata": {
                    "labels": pod_labels(function),
                    "annotations": {
                        "autoscaling.knative.dev/min-scale": "0",
                        "autoscaling.knative.dev/max-scale": str(function.max_instances),
                        "autoscaling.knative.dev/target-utilization-percentage": "70",
                    },
                },
                "spec": {
                    "containerConcurrency": function.concurrency,
                    "timeoutSeconds": function.timeout_seconds,
                    "serviceAccountName": function.dns_name,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "containers": [_container(function)],
                    "initContainers": [take_key(function.dns_name)],
                    "volumes": function_volumes(function.uses, is_scraped=False),
                },
            }
        },
    }


def _container(function: ListedFunction) -> Object:
    own = {
        name: probe | {"httpGet": {"path": "/live"}} for name, probe in probes(function).items() if name in _OWN_PROBES
    }
    return container(
        function.dns_name,
        function.dns_name,
        memory_mb=function.memory_mb,
        cpu=function.cpu,
        ports=[{"name": "http1", "containerPort": PORT}],
        **function_environment(threads(function)),
        **own,
        volumeMounts=function_mounts(),
    )
