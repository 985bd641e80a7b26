"""Builds what follows from functions.json below infra/kubernetes, with the rules of infra/monitoring.

    python -m infra.kubernetes.generate               # from the repository's root; a test holds the files to it

What is a cluster's own stands beside it, by hand: settings, overlays, the gateway, the stores of dev.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.kubernetes import knative as on_knative
from infra.kubernetes.command_line import command_line
from infra.kubernetes.external_secrets import external_secrets
from infra.kubernetes.knative import knative
from infra.kubernetes.listed import ListedFunction, load_functions
from infra.kubernetes.migration import migration
from infra.kubernetes.monitoring import rules, scraping
from infra.kubernetes.network import policies
from infra.kubernetes.pods import Object
from infra.kubernetes.routes import routes
from infra.kubernetes.scaling import for_people, scaling
from infra.kubernetes.scheduled import schedules
from infra.kubernetes.workloads import workload
from infra.kubernetes.yaml_text import yaml_text

FOLDER = Path(__file__).parent


def written(functions: Sequence[ListedFunction]) -> Mapping[Path, str]:
    """Each file, and what it holds."""
    files: Mapping[str, Sequence[Object]] = {
        "foundation/generated/migration.yaml": migration(functions),
        "foundation/generated/command_line.yaml": command_line(functions),
        "base/generated/functions.yaml": [thing for one in functions for thing in workload(one)],
        "base/generated/scaling.yaml": [thing for one in functions for thing in scaling(one)],
        "base/generated/schedules.yaml": schedules(functions),
        "base/generated/network.yaml": policies(),
        "addons/routes/generated/routes.yaml": routes(functions),
        "addons/monitoring/generated/scraping.yaml": [scraping()],
        "addons/monitoring/generated/rules.yaml": [rules()],
        "addons/external_secrets/generated/secrets.yaml": external_secrets(functions),
        "overlays/prod/generated/scaling.yaml": for_people(functions),
        "overlays/knative/generated/functions.yaml": [thing for one in functions for thing in knative(one)],
        "overlays/knative/generated/schedules.yaml": schedules(functions, on_knative.address),
        "overlays/knative/generated/network.yaml": policies(on_knative.CALLERS),
    }
    return {FOLDER / name: yaml_text(things) for name, things in files.items()}


def main() -> int:
    try:
        files = written(load_functions())
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command for people
        return 2
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
