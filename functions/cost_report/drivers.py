"""What made a period dearer or cheaper than the one before it: which model, agent, key or tenant."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from functions.cost_report.amounts import in_usd
from functions.cost_report.costs import LedgerDay
from functions.cost_report.models import Dimension

MOST = 3
LOOKED_AT: tuple[Dimension, ...] = ("model", "agent", "principal", "tenant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What `name` cost in the period and in the one before; `name` is "" where there is none."""

    dimension: Dimension
    name: str
    cost_usd: Decimal
    before_usd: Decimal

    @property
    def change_usd(self) -> Decimal:
        return self.cost_usd - self.before_usd

    def __str__(self) -> str:
        direction = "more" if self.change_usd > 0 else "less"
        whose = f"{self.dimension} {self.name}" if self.name else f"no {self.dimension}"
        change = f"{in_usd(abs(self.change_usd))} {direction}"
        return f"{whose}: {change}, {in_usd(self.cost_usd)} after {in_usd(self.before_usd)}"


def drivers(rows: Iterable[LedgerDay], before: Iterable[LedgerDay], most: int = MOST) -> Sequence[Driver]:
    """The largest changes in cost, growth before decline; none where nothing has changed.

    Costs are seen from several sides, and one change may be told from two of them: a model that only one key asks. A
    side from which all is one says nothing, but for the model: at least that is told.
    """
    sums, sums_before = _sums(rows), _sums(before)
    found = [
        Driver(
            dimension=dimension,
            name=name,
            cost_usd=sums.get((dimension, name), Decimal(0)),
            before_usd=sums_before.get((dimension, name), Decimal(0)),
        )
        for dimension, name in sums.keys() | sums_before.keys()
    ]
    several = {one for one in LOOKED_AT if sum(driver.dimension == one for driver in found) > 1} | {"model"}
    changed = [one for one in found if one.change_usd and one.dimension in several]
    return sorted(changed, key=_first)[:most]


def _first(driver: Driver) -> tuple[bool, Decimal, int, str]:
    return driver.change_usd < 0, -abs(driver.change_usd), LOOKED_AT.index(driver.dimension), driver.name


def _sums(rows: Iterable[LedgerDay]) -> Mapping[tuple[Dimension, str], Decimal]:
    sums: defaultdict[tuple[Dimension, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        names = (row.model, row.agent, row.principal, row.tenant)
        for dimension, name in zip(LOOKED_AT, names, strict=True):
            sums[dimension, name] += row.cost_usd
    return sums
