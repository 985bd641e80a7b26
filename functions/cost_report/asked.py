"""What a cost report, or a run that archives one, is asked for by."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from common.security.principal import TENANT_PATTERN
from functions.cost_report.models import Dimension

Format = Literal["json", "html", "csv"]
CURRENCY = "USD"

_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
PERIOD_PATTERN = rf"^([0-9]{{1,9}}[dh]|mtd|ytd|last-month|[0-9]{{4}}(-[0-9]{{2}})?|{_DATE}(\.\.{_DATE})?)$"
RUN_PERIOD_PATTERN = r"^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$"


class ReportQuery(BaseModel):
    """The parameters of `GET /api/cost-report`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    period: Annotated[str, StringConstraints(min_length=1, max_length=32)] = Field(
        default="30d",
        description="Days in UTC: 30d (today is the last of them), mtd, ytd, last-month, 2026, 2026-11, 2026-11-05 or "
        "2026-11-01..2026-11-29; at most three years, and begun.",
        json_schema_extra={"pattern": PERIOD_PATTERN},  # what else it must be cannot be told by a pattern
    )
    group_by: Dimension = Field(default="model", description="What the costs are broken down by.")
    format: Format | None = Field(default=None, description="Goes before the Accept header.")
    currency: Literal["USD"] = Field(default="USD", description="The ledger is in USD, and nothing is converted.")
    tenant: Annotated[str, StringConstraints(pattern=f"^{TENANT_PATTERN}$")] | None = Field(
        default=None,
        description="Only with the scope costs:all another one than the caller's own. Without it: all tenants, or the "
        "caller's own where it may see no other.",
    )

    @field_validator("currency", mode="before")
    @classmethod
    def _only_usd(cls, value: object) -> object:
        if value != CURRENCY:
            raise PydanticCustomError("currency", "only USD: the ledger is in USD, and nothing is converted")
        return value


class RunRequest(BaseModel):
    """The body of `POST /api/cost-report/run`; none at all is as an empty one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    period: Annotated[str, StringConstraints(pattern=RUN_PERIOD_PATTERN)] | None = Field(
        default=None,
        description="A month (2026-11) or a day (2026-11-28), in UTC, that is over. Without it: yesterday, and on the "
        "first of a month the month before too.",
    )


class ArchivedReport(BaseModel):
    """A period's report: where its files are. `is_new` is false where an earlier run had archived it."""

    model_config = ConfigDict(frozen=True)

    period: str
    is_new: bool
    files: dict[str, str] = Field(description="Where each file is, by its name in the archive.")


class RunAnswer(BaseModel):
    """What a run has done. `notices_waiting` are those that no channel has taken yet: the next run tries again.

    Both counts are of all tenants, so they are None where the run is about one.
    """

    model_config = ConfigDict(frozen=True)

    reports: list[ArchivedReport]
    lost_calls: int | None = Field(description="Calls that were begun and never heard of again, entered as lost.")
    notices_waiting: int | None
