"""The upgrade of a composition by `upgrade.sh`, with a stand-in for `docker` that keeps containers in a folder."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
# What `docker` is asked for here. A container is a file named by its id, and its content is its service.
DOCKER = r"""#!/bin/sh
set -eu
echo "$*" >> "$WORLD/asked"
containers=$WORLD/containers
of() { grep -lx -e "$1" "$containers"/* 2>/dev/null | xargs -r -n 1 basename; }
last() { for word; do :; done; echo "$word"; }
case "$*" in
    "compose config --images") printf 'postgres:18\nloancheck/query:2\nloancheck/health:2\nloancheck/query:2\n' ;;
    "image inspect loancheck/health:2 loancheck/query:2") [ -n "${BUILT:-}" ] ;;
    "compose build --quiet") ;;
    "compose run --rm --no-deps -T migrate") exit "${MIGRATION:-0}" ;;
    "compose ps --all --quiet "*) of "$5" ;;
    "compose up --detach --no-deps --no-recreate --scale "*" --wait "*)
        service=$(last "$@")
        [ "$service" != "${IMPOSSIBLE:-}" ] || exit 1
        echo "$service" > "$containers/new-$service"
        [ "$service" != "${UNHEALTHY:-}" ] ;;
    "compose up --detach --no-deps scheduler") ;;
    "inspect --format {{slice .Name 1}} "*) echo "loancheck-$(last "$@")" ;;
    "compose exec -T nginx sh /etc/loancheck/nginx.sh "*) ;;
    "stop "*) ;;
    "rm "*) rm "$containers/$(last "$@")" ;;
    *) echo "not known here: $*" >&2; exit 125 ;;
esac
"""
FUNCTIONS = {"query", "documents", "health", "cost-report", "retention"}  # those that nginx knows


@dataclass(frozen=True)
class World:
    """A composition of which each function has one container, `old-NAME`."""

    folder: Path

    @property
    def containers(self) -> set[str]:
        return {path.name for path in (self.folder / "containers").iterdir()}

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    def upgrade(self, *services: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", str(self.folder / "docker" / "upgrade.sh"), *services],
            env={"PATH": path, "WORLD": str(self.folder), **settings}, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> World:
    shutil.copytree(ROOT / "infra" / "docker", tmp_path / "docker", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docker" / ".env").write_text("REVISION=2\nCOMPOSE_PROFILES=small\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    (tmp_path / "containers").mkdir()
    for name in FUNCTIONS:
        (tmp_path / "containers" / f"old-{name}").write_text(f"{name}\n")
    return World(tmp_path)


def test_each_function_is_followed_by_its_successor_after_the_migrations(world: World) -> None:
    done = world.upgrade()
    assert (done.returncode, done.stderr) == (0, "")
    assert world.containers == {f"new-{name}" for name in FUNCTIONS}
    assert set(done.stdout.splitlines()) == {f"{name}: requests go to the new revision" for name in FUNCTIONS}
    assert world.asked[2:4] == ["compose build --quiet", "compose run --rm --no-deps -T migrate"]
    assert world.asked[-1] == "compose up --detach --no-deps scheduler"


def test_nginx_goes_over_once_the_successor_is_healthy_and_before_the_old_one_is_stopped(world: World) -> None:
    assert world.upgrade("query").returncode == 0
    assert world.containers == {"new-query", *(f"old-{name}" for name in FUNCTIONS - {"query"})}
    steps = [one for one in world.asked if "new-query" in one or "old-query" in one or "--wait" in one]
    assert steps == [
        "compose up --detach --no-deps --no-recreate --scale query=2 --wait query",
        "inspect --format {{slice .Name 1}} new-query",
        "compose exec -T nginx sh /etc/loancheck/nginx.sh query loancheck-new-query:8080",
        "stop old-query",
        "rm old-query",
    ]


def test_a_successor_that_does_not_become_healthy_is_removed_and_the_one_before_serves_on(world: World) -> None:
    done = world.upgrade("health", "query", "documents", UNHEALTHY="query")
    assert done.returncode == 1
    assert "query: its new revision did not become healthy and is gone; the one before serves on" in done.stderr
    assert world.containers & {"old-query", "new-query", "new-health", "old-documents"} == {
        "old-query", "new-health", "old-documents",
    }  # fmt: skip
    assert not any("nginx.sh query" in one for one in world.asked)


def test_a_successor_that_cannot_be_made_is_told_as_well(world: World) -> None:
    done = world.upgrade("query", IMPOSSIBLE="query")
    assert done.returncode == 1
    assert "query: its new revision did not become healthy and is gone" in done.stderr
    assert world.containers == {f"old-{name}" for name in FUNCTIONS}


def test_a_revision_whose_images_are_there_is_not_built_of_what_the_checkout_holds_now(world: World) -> None:
    assert world.upgrade("query", BUILT="1").returncode == 0
    assert "compose build --quiet" not in world.asked
    assert "new-query" in world.containers


def test_a_failed_migration_leaves_all_as_it_is(world: World) -> None:
    assert world.upgrade(MIGRATION="1").returncode == 1
    assert world.containers == {f"old-{name}" for name in FUNCTIONS}
    assert world.asked[-1] == "compose run --rm --no-deps -T migrate"


@pytest.mark.parametrize("more", [True, False])
def test_a_function_that_has_not_one_container_is_left_alone(world: World, more: bool) -> None:
    if more:
        (world.folder / "containers" / "second").write_text("query\n")
    else:
        (world.folder / "containers" / "old-query").unlink()
    before = world.containers
    done = world.upgrade("query")
    assert done.returncode == 1
    assert "query: must have one container" in done.stderr
    assert world.containers == before
