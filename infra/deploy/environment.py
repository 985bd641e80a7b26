"""Which environment is deployed: its project, its region, what its names begin with, and its functions."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

FUNCTIONS_FILE = Path(__file__).resolve().parents[2] / "functions" / "functions.json"

_FORMS = {
    "project": (r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project's id, as in example-lending"),
    "region": (r"[a-z]+-[a-z]+[1-9][0-9]?", "a region, as in us-central1; a zone such as us-central1-a is none"),
    "prefix": (r"[a-z][a-z0-9]{1,7}-(dev|staging|prod)", "Terraform's name and environment, as in lcc-prod"),
}


class Refused(Exception):
    """It was not begun, and nothing is changed; the message says what is wrong, in one line."""


class Listed(BaseModel):
    """One function of functions.json, as far as a deploy asks for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    paths: tuple[str, ...]
    trigger: str
    callers: str
    timeout_seconds: int
    uses: tuple[str, ...] = ()

    @property
    def lets_anyone_connect(self) -> bool:
        """Whether requests reach it without Cloud Run's leave: it looks itself at who is calling."""
        return "http" in self.trigger.split("+") and self.callers in {"public", "api-key"}


class _Catalogue(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    functions: tuple[Listed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """All functions of one environment, in the order of functions.json."""

    project: str
    region: str
    prefix: str
    functions: tuple[Listed, ...]

    @property
    def parent(self) -> str:
        """What the names of its services begin with in the API."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def migration_job(self) -> str:
        return f"{self.prefix}-migrate"

    @property
    def lease_service(self) -> str:
        """The service that the lease is written on: one for the whole environment, whatever is deployed of it."""
        return self.service(self.functions[0])

    def service(self, function: Listed) -> str:
        """The Cloud Run service of `function`."""
        return f"{self.prefix}-{function.name.replace('_', '-')}"

    def selected(self, names: Iterable[str]) -> tuple[Listed, ...]:
        """The functions of these names; all of them where no name is given.

        Raises:
            Refused: functions.json has no such function.
        """
        wanted = set(names)
        known = {one.name for one in self.functions}
        for name in sorted(wanted - known):
            raise Refused(f"function: there is no {name}; there are {', '.join(one.name for one in self.functions)}")
        return tuple(one for one in self.functions if not wanted or one.name in wanted)


def environment(*, project: str, region: str, prefix: str, functions_file: Path = FUNCTIONS_FILE) -> Environment:
    """The environment of that name.

    Raises:
        Refused: a name that cannot be one, named by its field.
        pydantic.ValidationError: functions.json does not say what this needs.
    """
    for field, value in (("project", project), ("region", region), ("prefix", prefix)):
        form, meaning = _FORMS[field]
        if not re.fullmatch(form, value):
            raise Refused(f"{field}: {value!r} must be {meaning}")
    functions = _Catalogue.model_validate_json(functions_file.read_bytes()).functions
    return Environment(project=project, region=region, prefix=prefix, functions=functions)
