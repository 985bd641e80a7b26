"""infra/docker/compose.yaml, read as `docker compose` reads it: merged, interpolated, one profile's services."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "infra" / "docker"
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::([-?])([^}]*))?\})")

Service = dict[str, Any]  # Any: as compose's YAML gives it


def composition(profile: str, **variables: str) -> dict[str, Any]:
    """The file with the variables of .env.example, `COMPOSE_PROFILES` being `profile`, and `variables` before them.

    `services` are all services, whatever their profile: see `started`.
    """
    example = {name: value or "" for name, value in dotenv_values(FOLDER / ".env.example").items()}
    known = example | {"COMPOSE_PROFILES": profile} | variables
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = _interpolated(yaml.safe_load(text), known)
    return loaded


def started(composed: Mapping[str, Any], profile: str) -> dict[str, Service]:
    """The services that `docker compose up` starts with `profile`."""
    return {name: one for name, one in composed["services"].items() if profile in one["profiles"]}


def environment_of(service: Service) -> dict[str, str]:
    """What the service's process finds in its environment, secrets excepted: files first, then its own."""
    found: dict[str, str] = {}
    for name in service.get("env_file", ()):
        file = FOLDER / name
        found |= {key: value or "" for key, value in dotenv_values(_or_example(file)).items()}
    return found | {name: str(value) for name, value in service.get("environment", {}).items()}


def secrets_of(service: Service) -> dict[str, str]:
    """Where each secret's file is in the container, by the secret's name."""
    pairs = [(one, one) if isinstance(one, str) else (one["source"], one["target"]) for one in service["secrets"]]
    return {source: str(Path("/run/secrets") / target) for source, target in pairs}


def mounts_of(service: Service) -> list[tuple[Path, str]]:
    """Paths of this machine that the service sees, and where; volumes are left out."""
    pairs = [one.removesuffix(":ro").rsplit(":", 1) for one in service.get("volumes", ())]
    return [((FOLDER / source).resolve(), target) for source, target in pairs if source.startswith(".")]


def _or_example(file: Path) -> Path:
    """A checkout has .env.example alone."""
    return file if file.name != ".env" else file.with_name(".env.example")


def _interpolated(value: Any, known: Mapping[str, str]) -> Any:  # Any: whatever YAML holds
    if isinstance(value, dict):
        return {name: _interpolated(one, known) for name, one in value.items()}
    if isinstance(value, list):
        return [_interpolated(one, known) for one in value]
    return _VARIABLE.sub(lambda found: _value(found, known), value) if isinstance(value, str) else value


def _value(found: re.Match[str], known: Mapping[str, str]) -> str:
    name, operator, rest = found.groups()
    if name is None:
        return "$"
    value = known.get(name, "")
    if not value and operator == "?":
        raise ValueError(f"{name}: {rest}")
    return value or (rest if operator == "-" else "")
