"""Whether one share is as good as another, as far as so many cases can tell."""

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE_PERCENT = 95
Z = NormalDist().inv_cdf(CONFIDENCE_PERCENT / 100)  # one-sided
MARGIN = 0.05  # a share that is lower by no more than this counts as not lower


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`accepted` of `answers`, at least one."""

    accepted: int
    answers: int

    @property
    def value(self) -> float:
        return self.accepted / self.answers

    def __str__(self) -> str:
        return f"{self.accepted:,} of {self.answers:,} ({100 * self.value:.1f} %)"


def is_not_lower(share: Share, than: Share) -> bool:
    """Whether `share` is, with 95 % confidence, not lower than the other by more than `MARGIN`."""
    return difference_at_least(share, than) >= -MARGIN


def difference_at_least(share: Share, other: Share) -> float:
    """The lower end of the one-sided 95 % interval of `share` less `other`.

    Source: R. G. Newcombe, Interval estimation for the difference between independent proportions, Statistics in
    Medicine 17 (1998) 873-890, method 10.
    """
    low, _ = wilson(share)
    _, high = wilson(other)
    return share.value - other.value - math.hypot(share.value - low, high - other.value)


def wilson(share: Share) -> tuple[float, float]:
    """Wilson's interval of the true share, at the one-sided 95 % on either side."""
    n, p = share.answers, share.value
    middle = p + Z * Z / (2 * n)
    half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    whole = 1 + Z * Z / n
    return (middle - half) / whole, (middle + half) / whole
