"""Writes what an overlay is with a registry's images of one version: that is what gets applied.

    python -m infra.kubernetes.release overlays/prod --registry registry.example.com/lending --tag 1.4.0
    kubectl apply -k infra/kubernetes/releases/prod

Every image of functions.json is named anew; `digest: sha256:...` in place of a `newTag` would hold one to its bytes.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.kubernetes.command_line import IMAGE as COMMAND_LINE
from infra.kubernetes.generate import FOLDER
from infra.kubernetes.listed import ListedFunction, load_functions
from infra.kubernetes.yaml_text import yaml_text

# https://github.com/distribution/reference: a host with a dot or a port, then a path.
_REGISTRY = re.compile(
    r"[a-z0-9.-]+\.[a-z0-9-]+(?::\d{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*|localhost:\d{1,5}(?:/[a-z0-9._-]+)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class CannotRelease(ValueError):
    """The message names the argument and the reason."""


def release(functions: Sequence[ListedFunction], overlay: str, *, registry: str, tag: str) -> tuple[Path, str]:
    """The kustomization that puts images in place of those of `overlay`, and where it belongs.

    Raises:
        CannotRelease: there is no such overlay, or an image would be called so that it cannot be, or not exactly.
    """
    if not (FOLDER / overlay / "kustomization.yaml").is_file() or ".." in Path(overlay).parts:
        raise CannotRelease(f"overlay: {overlay}: must be a folder with a kustomization.yaml below infra/kubernetes")
    if not _REGISTRY.fullmatch(registry):
        raise CannotRelease("registry: must be HOST/PATH, as registry.example.com/lending")
    if not _TAG.fullmatch(tag) or tag == "latest":
        raise CannotRelease("tag: must be the exact tag of what was built, as 1.4.0")
    names = [*(one.dns_name for one in functions), COMMAND_LINE]
    images = [{"name": f"loancheck/{name}", "newName": f"{registry}/{name}", "newTag": tag} for name in names]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "bases": [f"../../{overlay}"],
        "images": images,
    }
    return FOLDER / "releases" / Path(overlay).name / "kustomization.yaml", yaml_text([kustomization], by="release")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overlay", help="overlays/dev, overlays/prod or overlays/knative")
    parser.add_argument("--registry", required=True, help="HOST/PATH that images are pushed below")
    parser.add_argument("--tag", required=True, help="of all images")
    given = parser.parse_args(arguments)
    try:
        path, text = release(load_functions(), given.overlay, registry=given.registry, tag=given.tag)
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command for people
        return 2
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"{path.parent}: {given.overlay} with the images of {given.registry} at {given.tag}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
