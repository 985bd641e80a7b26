"""`functions/functions.json` as Kubernetes needs it: what the local tools read, and each function's size and calls."""

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from infra.kubernetes.parts import PARTS
from local.catalogue import ROOT, FunctionEntry

FUNCTIONS = ROOT / "functions" / "functions.json"
# A Service is called so (63 characters), and a CronJob, to which 11 characters are added (52).
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
MAX_NAME = 52
_NAME = re.compile(r"[a-z][a-z0-9_]*[a-z0-9]")
_PATH = re.compile(r"(?:/[a-z0-9-]+)+")
_TRIGGERS = {"http", "scheduler", "pubsub", "storage"}


class Schedule(BaseModel):
    """When a function is called by the clock, and at which path; `cron` has five fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str = Field(pattern=r"^\S+( \S+){4}$")
    path: str = Field(pattern=r"^(/[a-z0-9-]+)+$")


class ListedFunction(FunctionEntry):
    """One function; what is left out is as in infra/terraform/catalogue.tf."""

    memory_mb: int = Field(ge=128, le=32_768)
    timeout_seconds: int = Field(ge=1, le=3_600)
    callers: Literal["public", "api-key", "google"]
    cpu: float = Field(1, gt=0, le=8)
    concurrency: int = Field(1, ge=1, le=1_000)
    max_instances: int = Field(3, ge=1, le=1_000)
    uses: tuple[str, ...] = ()
    schedule: Schedule | None = None

    @property
    def dns_name(self) -> str:
        """As its Service, its image and all else of it is called: cost-report."""
        return self.name.replace("_", "-")

    @property
    def triggers(self) -> frozenset[str]:
        return frozenset(self.trigger.split("+"))

    @property
    def is_called_from_outside(self) -> bool:
        """By people's programs, or by Google's Pub/Sub, which pushes to a public address."""
        return self.triggers != {"scheduler"}

    @field_validator("name")
    @classmethod
    def _name_is_a_label(cls, name: str) -> str:
        if not _NAME.fullmatch(name) or "__" in name or len(name) > MAX_NAME:
            raise ValueError(f"must be of a-z, 0-9 and single _, and of at most {MAX_NAME} characters")
        return name

    @field_validator("paths")
    @classmethod
    def _paths_are_paths(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        if not paths or not all(map(_PATH.fullmatch, paths)):
            raise ValueError("must be paths of a-z, 0-9 and -, as /api/query")
        return paths

    @field_validator("uses")
    @classmethod
    def _uses_are_parts(cls, uses: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [part for part in uses if part not in PARTS]:
            raise ValueError(f"{', '.join(unknown)}: must be of {', '.join(PARTS)}")
        return uses

    @model_validator(mode="after")
    def _triggers_fit(self) -> "ListedFunction":
        if not self.triggers <= _TRIGGERS:
            raise ValueError(f"trigger: must be of {', '.join(sorted(_TRIGGERS))}, joined by +")
        if ("scheduler" in self.triggers) != (self.schedule is not None):
            raise ValueError("schedule: goes with the trigger scheduler, and it with a schedule")
        return self


def load_functions(path: Path = FUNCTIONS) -> tuple[ListedFunction, ...]:
    """All functions, in the file's order.

    Raises:
        ValueError: names the function, the field and the reason.
    """
    try:
        listed: list[dict[str, Any]] = json.loads(path.read_bytes())["functions"]  # Any: whatever JSON holds
        functions = tuple(_function(one, number) for number, one in enumerate(listed, 1))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError("functions.json: must be JSON with a list of functions") from error
    for field, values in (
        ("name", [one.name for one in functions]),
        ("paths", [path for one in functions for path in one.paths]),
    ):
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"functions.json: {field}: {value} stands there twice")
    return functions


def _function(one: dict[str, Any], number: int) -> ListedFunction:
    try:
        return ListedFunction.model_validate(one)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = [str(one.get("name", f"entry {number}")), *map(str, first["loc"])]
        reason = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"functions.json: {': '.join(where)}: {reason}") from None
