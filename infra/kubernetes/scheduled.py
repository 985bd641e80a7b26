"""Calls by the clock: a CronJob for each function that has a schedule, which calls its Service as a scheduler would."""

from collections.abc import Callable, Sequence
from pathlib import Path

from infra.kubernetes.listed import ListedFunction, Schedule
from infra.kubernetes.pods import PORT, Object, container, labels, pod
from infra.kubernetes.workloads import account, unpinned

NAME = "scheduled-call"  # of the account, the ConfigMap and the component
KEY_SECRET = "scheduler-key"  # noqa: S105  # pragma: allowlist secret  # the Secret's name
KEY_NAME = "api-key"  # in it, and in that of Prometheus
_SCRIPT = Path(__file__).with_name("call.py")
_ATTEMPTS = 4
_BETWEEN_SECONDS = 120  # two attempts: Kubernetes waits 10, 20 and 40 s, and each pod has to start
_REFUSED = 2  # call.py's exit code


def address(function: ListedFunction) -> str:
    """Where a function's Service answers."""
    return f"{function.dns_name}:{PORT}"


def schedules(functions: Sequence[ListedFunction], address: Callable[[ListedFunction], str] = address) -> list[Object]:
    jobs = [_job(one, one.schedule, address(one)) for one in functions if one.schedule is not None]
    return [account(NAME), _script(), *jobs] if jobs else []


def _script() -> Object:
    text = _SCRIPT.read_text(encoding="utf-8")
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"call.py": text}}


def _job(function: ListedFunction, schedule: Schedule, address: str) -> Object:
    selected = labels(function.dns_name, NAME)
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": function.dns_name, "labels": selected, "annotations": unpinned()},
        "spec": {
            "schedule": schedule.cron,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {
                    "backoffLimit": _ATTEMPTS - 1,
                    "activeDeadlineSeconds": _ATTEMPTS * (function.timeout_seconds + _BETWEEN_SECONDS),
                    "ttlSecondsAfterFinished": 7 * 24 * 3600,
                    # A function takes the same call twice for one, so what failed is tried again; not what was refused.
                    "podFailurePolicy": {
                        "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [_REFUSED]}}]
                    },
                    "template": {"metadata": {"labels": selected}, "spec": _pod(function, schedule, address)},
                }
            },
        },
    }


def _pod(function: ListedFunction, schedule: Schedule, address: str) -> Object:
    url = f"http://{address}{schedule.path}"
    arguments = ["python", "/call/call.py", url, "--key", f"/caller/{KEY_NAME}"]
    return pod(
        NAME,
        [
            container(
                "call",
                function.dns_name,
                memory_mb=64,
                cpu=0.2,
                args=[*arguments, "--seconds", str(function.timeout_seconds)],
                volumeMounts=[
                    {"name": "call", "mountPath": "/call", "readOnly": True},
                    {"name": "caller", "mountPath": "/caller", "readOnly": True},
                ],
            )
        ],
        restartPolicy="Never",
        volumes=[
            {"name": "call", "configMap": {"name": NAME, "defaultMode": 0o444}},
            {"name": "caller", "secret": {"secretName": KEY_SECRET, "defaultMode": 0o444}},
        ],
    )
