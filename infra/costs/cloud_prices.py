"""Google Cloud's list prices that the cost guide counts with: USD, us-central1 (a tier 1 region), before any discount.

`source` is the provider's page. The figures were read in stored copies of these pages, or as somebody noted them down
on the day that `read` names. `is_assumed` marks those that come from elsewhere: check them first.
"""

from dataclasses import dataclass
from decimal import Decimal

HOURS_A_MONTH = 730

RUN = "https://cloud.google.com/run/pricing"
SQL = "https://cloud.google.com/sql/pricing"
COMPUTE = "https://cloud.google.com/products/compute/pricing/general-purpose"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPrice:
    """USD for one `unit` beyond the `free` units of a month."""

    what: str
    usd: Decimal
    unit: str
    source: str
    read: str
    free: Decimal = Decimal(0)
    is_assumed: bool = False

    def monthly_usd(self, units: Decimal) -> Decimal:
        return max(units - self.free, Decimal(0)) * self.usd


VCPU_SECOND = CloudPrice(
    what="Cloud Run, vCPU while a request is served",
    usd=Decimal("0.000024"),
    unit="vCPU-second",
    free=Decimal(180_000),
    source=RUN,
    read="2026-10-10",
)
GIB_SECOND = CloudPrice(
    what="Cloud Run, memory while a request is served",
    usd=Decimal("0.0000025"),
    unit="GiB-second",
    free=Decimal(360_000),
    source=RUN,
    read="2026-10-10",
)
REQUEST = CloudPrice(
    what="Cloud Run, requests",
    usd=Decimal("0.0000004"),
    unit="request",
    free=Decimal(2_000_000),
    source=RUN,
    read="2026-10-10",
)
EGRESS = CloudPrice(
    what="Data to the internet, premium tier",
    usd=Decimal("0.12"),
    unit="GiB",
    free=Decimal(1),
    source="https://cloudwebschool.com/tools/cloud-run-cost-calculator/",
    read="2026-11-29, undated note",
    is_assumed=True,
)
LOG = CloudPrice(
    what="Cloud Logging, stored for 30 days",
    usd=Decimal("0.50"),
    unit="GiB",
    free=Decimal(50),
    source="https://cloud.google.com/stackdriver/pricing",
    read="2026-09-12",
)
IMAGE = CloudPrice(
    what="Artifact Registry, images of the functions",
    usd=Decimal("0.10"),
    unit="GB-month",
    free=Decimal("0.5"),
    source="https://cloud.google.com/artifact-registry/pricing",
    read="2026-11-29, stored copy",
)
JOB = CloudPrice(
    what="Cloud Scheduler, jobs",
    usd=Decimal("0.10"),
    unit="job",
    free=Decimal(3),
    source="https://cloud.google.com/scheduler/pricing",
    read="2026-11-29, stored copy",
)
MESSAGE_GIB = CloudPrice(
    what="Pub/Sub, published and delivered",
    usd=Decimal(40) / 1024,
    unit="GiB",
    free=Decimal(10),
    source="https://cloud.google.com/pubsub/pricing",
    read="2026-11-29, stored copy",
)
SECRET = CloudPrice(
    what="Secret Manager, active versions",
    usd=Decimal("0.06"),
    unit="version-month",
    free=Decimal(6),
    source="https://cloud.google.com/secret-manager/pricing",
    read="2026-09-27",
)
SECRET_ACCESS = CloudPrice(
    what="Secret Manager, accesses",
    usd=Decimal("0.000003"),
    unit="access",
    free=Decimal(10_000),
    source="https://cloud.google.com/secret-manager/pricing",
    read="2026-09-27",
)
KEY = CloudPrice(
    what="Cloud KMS, software key versions",
    usd=Decimal("0.06"),
    unit="version-month",
    source="https://cloud.google.com/kms/pricing",
    read="2026-09-27",
)
KEY_USE = CloudPrice(
    what="Cloud KMS, operations",
    usd=Decimal("0.000003"),
    unit="operation",
    source="https://cloud.google.com/kms/pricing",
    read="2026-09-27",
)
SQL_MICRO = CloudPrice(
    what="Cloud SQL db-f1-micro, shared core, outside the SLA",
    usd=Decimal("0.0105"),
    unit="hour",
    source=SQL,
    read="2026-10-10",
)
SQL_SMALL = CloudPrice(
    what="Cloud SQL db-g1-small, shared core, outside the SLA",
    usd=Decimal("0.035"),
    unit="hour",
    source=SQL,
    read="2026-10-10",
)
SQL_VCPU = CloudPrice(
    what="Cloud SQL Enterprise, vCPU; twice with high availability",
    usd=Decimal("0.0413"),
    unit="vCPU-hour",
    source=SQL,
    read="2026-10-01",
)
SQL_MEMORY = CloudPrice(
    what="Cloud SQL Enterprise, memory; twice with high availability",
    usd=Decimal("0.007"),
    unit="GiB-hour",
    source=SQL,
    read="2026-10-01",
)
SQL_SSD = CloudPrice(
    what="Cloud SQL, SSD storage; twice with high availability",
    usd=Decimal("0.17"),
    unit="GiB-month",
    source=SQL,
    read="2026-10-10",
)
SQL_BACKUP = CloudPrice(what="Cloud SQL, backups", usd=Decimal("0.08"), unit="GiB-month", source=SQL, read="2026-09-27")
REDIS_BASIC = CloudPrice(
    what="Memorystore for Redis, Basic, up to 4 GiB",
    usd=Decimal("0.049"),
    unit="GiB-hour",
    source="https://cloud.google.com/memorystore/docs/redis/pricing",
    read="2026-07-26",
)
REDIS_STANDARD = CloudPrice(
    what="Memorystore for Redis, Standard (with a replica), up to 4 GiB",
    usd=Decimal("0.098"),
    unit="GiB-hour",
    source="https://cloud.google.com/memorystore/docs/redis/pricing",
    read="2026-07-26",
    is_assumed=True,
)
VM_SMALL = CloudPrice(
    what="Compute Engine e2-small, for a Chroma server",
    usd=Decimal("0.016752855"),
    unit="hour",
    source=COMPUTE,
    read="2026-11-29, undated note",
)
VM_STANDARD = CloudPrice(
    what="Compute Engine e2-standard-2, for a Chroma server",
    usd=Decimal("0.06701142"),
    unit="hour",
    source=COMPUTE,
    read="2026-11-29, undated note",
)
DISK = CloudPrice(
    what="Persistent disk, balanced",
    usd=Decimal("0.10"),
    unit="GiB-month",
    source="https://cloud.google.com/compute/disks-image-pricing",
    read="2026-11-29, undated note",
    is_assumed=True,
)

ALL = (
    VCPU_SECOND,
    GIB_SECOND,
    REQUEST,
    EGRESS,
    LOG,
    IMAGE,
    JOB,
    MESSAGE_GIB,
    SECRET,
    SECRET_ACCESS,
    KEY,
    KEY_USE,
    SQL_MICRO,
    SQL_SMALL,
    SQL_VCPU,
    SQL_MEMORY,
    SQL_SSD,
    SQL_BACKUP,
    REDIS_BASIC,
    REDIS_STANDARD,
    VM_SMALL,
    VM_STANDARD,
    DISK,
)
