"""What is applied: an overlay with the images of one version from a registry."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.kubernetes.generate import FOLDER
from infra.kubernetes.listed import load_functions
from infra.kubernetes.release import main, release
from tests.unit.infra.kubernetes.rendered import APPLIED, containers, kustomized, pods, rendered

FUNCTIONS = load_functions()


@pytest.mark.parametrize("applied", APPLIED)
def test_every_image_of_ours_comes_from_the_registry_with_the_tag(applied: str, tmp_path: Path) -> None:
    path, text = release(FUNCTIONS, applied, registry="registry.example.com:5000/lending", tag="1.10")
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    there = tmp_path / "kubernetes" / path.relative_to(FOLDER)
    there.parent.mkdir(parents=True)
    there.write_text(text)
    text = kustomized(there.parent)
    assert len(list(yaml.load_all(text, yaml.CSafeLoader))) == len(rendered(applied))
    images = {container["image"] for _, _, pod in pods(applied) for container in containers(pod)}
    ours = {image.removeprefix("loancheck/").partition(":")[0] for image in images if image.startswith("loancheck/")}
    assert ours == {*(one.dns_name for one in FUNCTIONS), "loancheck"}
    assert all(f"image: registry.example.com:5000/lending/{name}:1.10\n" in text for name in ours)
    assert "image: loancheck/" not in text


@pytest.mark.parametrize(
    ("overlay", "registry", "tag", "message"),
    [
        ("overlays/test", "r.example.com/a", "1", "overlay: overlays/test: must be a folder"),
        ("../../x", "r.example.com/a", "1", "overlay: ../../x: must be a folder"),
        ("overlays/knative", "registry", "1", "registry: must be HOST/PATH"),
        ("overlays/knative", "r.example.com/A b", "1", "registry: must be HOST/PATH"),
        ("overlays/knative", "r.example.com/a", "latest", "tag: must be the exact tag"),
        ("overlays/knative", "r.example.com/a", "1:2", "tag: must be the exact tag"),
    ],
)
def test_what_would_be_no_image_is_refused_by_its_argument(overlay: str, registry: str, tag: str, message: str) -> None:
    command = [sys.executable, "-m", "infra.kubernetes.release", overlay, "--registry", registry, "--tag", tag]
    done = subprocess.run(command, cwd=FOLDER.parents[1], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


def test_what_was_written_is_told_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    monkeypatch.setattr("infra.kubernetes.release.FOLDER", tmp_path / "kubernetes")
    assert main(["overlays/prod", "--registry", "registry.example.com/lending", "--tag", "1.4.0"]) == 0
    there = tmp_path / "kubernetes" / "releases" / "prod"
    assert (there / "kustomization.yaml").is_file()
    assert (
        capsys.readouterr().out == f"{there}: overlays/prod with the images of registry.example.com/lending at 1.4.0\n"
    )
