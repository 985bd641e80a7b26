"""What `/health` and its siblings answer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from common.health_runs import Fact, Status


def _is_none(value: object) -> bool:
    return value is None


class ComponentAnswer(BaseModel):
    """A component; `duration_ms` is how long its check took, and is left out where nothing had to be checked."""

    model_config = ConfigDict(extra="forbid")

    status: Status
    detail: str | None = Field(None, exclude_if=_is_none)
    duration_ms: float | None = Field(None, exclude_if=_is_none)


class HealthAnswer(BaseModel):
    """`unhealthy`: questions cannot be answered; `degraded`: they can, but something is missing."""

    model_config = ConfigDict(extra="forbid")

    status: Status
    detail: str | None = Field(None, exclude_if=_is_none)
    version: str
    components: dict[str, ComponentAnswer]


class DetailedComponentAnswer(ComponentAnswer):
    """A component with what is known about it: its kind, its size, the model's name."""

    facts: dict[str, Fact]


class ProcessAnswer(BaseModel):
    """The process that answers. Memory is the container's where it has a limit, in MB (10^6 bytes); breakers and
    caches are those of this process, and every process has its own."""

    model_config = ConfigDict(extra="forbid")

    environment: Literal["development", "production"]
    uptime_seconds: float
    memory_mb: int | None
    memory_limit_mb: int | None
    breakers: dict[str, str]
    cache_entries: dict[str, int]


class DetailedAnswer(BaseModel):
    """`HealthAnswer` with facts, and the process that answers."""

    model_config = ConfigDict(extra="forbid")

    status: Status
    detail: str | None = Field(None, exclude_if=_is_none)
    version: str
    components: dict[str, DetailedComponentAnswer]
    process: ProcessAnswer


class LiveAnswer(BaseModel):
    """This process runs; nothing else is looked at."""

    status: Literal["alive"] = "alive"
