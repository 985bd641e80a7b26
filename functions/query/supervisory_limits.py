"""The federal agencies' loan-to-value limits by kind of real estate, and the supervisory haircuts.

Limits: Interagency Guidelines for Real Estate Lending Policies, 12 CFR 34 subpart D appendix A. They are limits for
what a bank reports to its supervisor, not law for a borrower. Haircuts: 12 CFR 324.132 table 1, ten business days.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from functions.query.lending_terms import Collateral

GUIDELINES = "Interagency Guidelines for Real Estate Lending Policies (12 CFR 34 subpart D appendix A)"
CAPITAL_RULE = "standard supervisory haircuts (12 CFR 324.132 table 1)"
OWNER_OCCUPIED_MARK = Decimal(90)
"""Percent from which, at origination, mortgage insurance or readily marketable collateral should be required."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A kind of real estate in the guidelines. `limit_percent` None: no limit is set. `bearing` is found in every
    sentence that can bear the limit, whatever else the sentence says."""

    name: str
    limit_percent: Decimal | None
    bearing: tuple[re.Pattern[str], ...]

    def is_borne_by(self, sentence: str) -> bool:
        """Whether a quotation of `sentence` shows this category's limit."""
        return all(pattern.search(sentence) for pattern in self.bearing)


def _category(name: str, limit_percent: int | None, *bearing: str) -> Category:
    return Category(
        name=name,
        limit_percent=None if limit_percent is None else Decimal(limit_percent),
        bearing=tuple(re.compile(pattern, re.IGNORECASE) for pattern in bearing),
    )


def _percent(number: int) -> str:
    return rf"(?<![\d.]){number}\s?(?:%|percent)"


CATEGORIES: Mapping[Collateral, Category] = MappingProxyType(
    {
        Collateral.RAW_LAND: _category("raw land", 65, r"\braw land\b", r"\blimit\b", _percent(65)),
        Collateral.LAND_DEVELOPMENT: _category(
            "land development", 75, r"\bland development\b", r"\blimit\b", _percent(75)
        ),
        Collateral.CONSTRUCTION_COMMERCIAL: _category(
            "construction of commercial, multifamily or other nonresidential property",
            80, r"\bconstruction\b", r"\bcommercial\b", r"\blimit\b", _percent(80),
        ),
        Collateral.CONSTRUCTION_RESIDENTIAL: _category(
            "construction of 1-4 family residential property",
            85, r"\bconstruction\b", r"\bfamily\b", r"\blimit\b", _percent(85),
        ),
        Collateral.IMPROVED_PROPERTY: _category(
            "improved property", 85, r"\bimproved property\b", r"\blimit\b", _percent(85)
        ),
        Collateral.HOME: _category(
            "owner-occupied 1-4 family homes and home equity",
            None, r"\bloan-to-value\b", r"\bshould (?:be )?require", r"\bmortgage insurance\b", _percent(90),
        ),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Haircut:
    """A haircut that holds without knowing more than the kind of collateral."""

    percent: Decimal
    bearing: tuple[re.Pattern[str], ...]

    def is_borne_by(self, sentence: str) -> bool:
        """Whether a quotation of `sentence` shows this haircut."""
        return all(pattern.search(sentence) for pattern in self.bearing)


def _haircut(percent: int, kind: str) -> Haircut:
    patterns = (kind, r"\bhaircut\b", _percent(percent))
    return Haircut(percent=Decimal(percent), bearing=tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns))


# Listed shares outside a main index; within one it is 15 %, which a message seldom tells.
HAIRCUTS: Mapping[Collateral, Haircut] = MappingProxyType(
    {
        Collateral.CASH: _haircut(0, r"\bcash\b"),
        Collateral.GOLD: _haircut(15, r"\bgold\b"),
        Collateral.SHARES: _haircut(25, r"\bother publicly traded equities\b|\blisted equities\b"),
    }
)
