"""Builds `infra/docker/generated/` from functions.json and the rest of infra, with the addresses of compose.yaml.

python -m infra.docker.generate                   # from the repository's root; a test holds the files to it
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.nginx.generate import DEFAULT_PORT, upstreams
from local.catalogue import ROOT, FunctionEntry, load_catalogue

FOLDER = Path(__file__).parent
MONITORING = ROOT / "infra" / "monitoring"
_WRITTEN_BY = "# Written by `python -m infra.docker.generate`: change {source}, not this.\n"
NOBODY = "127.0.0.1:9"  # a function that is not started: nginx starts only with addresses that it can resolve
JAEGER_PAGE = "http://127.0.0.1:16686/trace/$${__value.raw}"
CLOUD_TRACE_PAGE = "https://console.cloud.google.com/traces/list?tid=$${__value.raw}"


def written(entries: Sequence[FunctionEntry]) -> Mapping[Path, str]:
    """Each file, and what it holds."""
    folder = FOLDER / "generated"
    prometheus = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
    sources = (MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    return {
        folder / "upstreams-small.conf": upstreams({one.name: [_small_address(one)] for one in entries}),
        folder / "upstreams-full.conf": upstreams({one.name: [_address(one)] for one in entries}),
        folder / "targets.yml": _WRITTEN_BY.format(source="functions.json") + "".join(map(_target, entries)),
        folder / "prometheus.yml": _WRITTEN_BY.format(source="infra/monitoring/prometheus.yml")
        + _replaced(prometheus, {"127.0.0.1:9093": "alertmanager:9093", "127.0.0.1:9091": "pushgateway:9091"}),
        folder / "datasource.yml": _WRITTEN_BY.format(source="infra/monitoring/grafana/provisioning")
        + _replaced(sources, {"http://127.0.0.1:9090": "http://prometheus:9090", CLOUD_TRACE_PAGE: JAEGER_PAGE}),
    }


def service(entry: FunctionEntry) -> str:
    """What a function's service is called, in compose.yaml and on its network."""
    return entry.name.replace("_", "-")


def is_small(entry: FunctionEntry) -> bool:
    """Whether the profile `small` has it: all that needs nothing of Google's."""
    return "pubsub" not in entry.trigger.split("+")


def _address(entry: FunctionEntry) -> str:
    return f"{service(entry)}:{DEFAULT_PORT}"


def _small_address(entry: FunctionEntry) -> str:
    return _address(entry) if is_small(entry) else NOBODY


def _target(entry: FunctionEntry) -> str:
    return f"- targets: [{json.dumps(_address(entry))}]\n  labels: {{function: {entry.name}}}\n"


def _replaced(text: str, changes: Mapping[str, str]) -> str:
    for before, after in changes.items():
        assert before in text, f"{before}: no more in infra/monitoring"
        text = text.replace(before, after)
    return text


def main() -> None:
    for path, text in written(load_catalogue()).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
