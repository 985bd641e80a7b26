"""For the Prometheus operator: what to scrape, and the rules of infra/monitoring as an object of the cluster."""

from pathlib import Path

import yaml

from infra.kubernetes.pods import Object
from infra.kubernetes.scheduled import KEY_NAME
from infra.kubernetes.workloads import FUNCTION

KEY_SECRET = "metrics-key"  # noqa: S105  # pragma: allowlist secret  # the Secret's name
_MONITORING = Path(__file__).resolve().parents[1] / "monitoring"
_NAME = {"name": "loancheck"}
_FILES = ("recordings.yml", "alerts.yml")  # as prometheus.yml loads them


def scraping() -> Object:
    """As prometheus.yml scrapes: every pod, with a key, and with the metrics' own labels before the target's."""
    key = {"name": KEY_SECRET, "key": KEY_NAME}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": _NAME,
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/component": FUNCTION}},
            "podTargetLabels": ["function"],
            "podMetricsEndpoints": [
                {
                    "port": "http",
                    "path": "/metrics",
                    "interval": "15s",
                    "scrapeTimeout": "5s",
                    "honorLabels": True,
                    "authorization": {"type": "Bearer", "credentials": key},
                    "relabelings": [{"targetLabel": "job", "replacement": "loan-collateral-check"}],
                }
            ],
        },
    }


def rules() -> Object:
    groups = [group for name in _FILES for group in yaml.safe_load((_MONITORING / name).read_text())["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _NAME,
        # The object takes whole numbers and texts, so that 0.005 has to be a text.
        "spec": {
            "groups": [
                group | {"rules": [one | {"expr": str(one["expr"])} for one in group["rules"]]} for group in groups
            ]
        },
    }
