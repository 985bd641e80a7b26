"""What the cloud's bill says beside the ledger, where the settings name an export of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from common.logging import component_logger
from common.settings import settings
from functions.cost_report.models import Period

log = component_logger("cost")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudBill:
    """Costs in USD by day; None where they are not known. `note` tells the reader why, where there is a reason."""

    by_day: Mapping[date, Decimal] | None = None
    note: str | None = None

    @property
    def total_usd(self) -> Decimal | None:
        return None if self.by_day is None else sum(self.by_day.values(), Decimal(0))


def cloud_bill(period: Period, tenant: str | None) -> CloudBill:
    """The bill of `period`. It is one for everybody: of a single tenant's part nothing is known.

    An export that cannot be read takes nothing from the rest of the report: the note says what is amiss.
    """
    location = settings().billing_export
    if location is None or tenant is not None:
        return CloudBill()
    from functions.cost_report.billing_export import BillingExportUnusable, cloud_costs

    try:
        found = cloud_costs(location, period.start.date(), period.end.date())
    except BillingExportUnusable as error:
        log.warning("billing_export.unusable", reason=str(error))
        return CloudBill(note=f"Cloud costs are left out. {error}.")
    return CloudBill(by_day=found)
