"""What a recogniser finds: a kind of personal data (or a secret) at a place in a text.

Kept apart from common/pii.py so that recognisers and the module that joins them do not import each other.
"""

from enum import StrEnum
from typing import NamedTuple


class PiiKind(StrEnum):
    """Kinds of personal data and secrets; the value is the word in the marker (`[EMAIL]`) and the metric label."""

    EMAIL = "EMAIL"
    PHONE = "PHONE"
    SSN = "SSN"
    CREDIT_CARD = "CREDIT_CARD"
    IP = "IP"
    IBAN = "IBAN"
    US_BANK = "US_BANK"
    SECRET = "SECRET"  # noqa: S105  a kind, not a secret


class PiiSpan(NamedTuple):
    """`text[start:end]` is of this kind. Offsets are code points, half-open; a tuple, because it is made often."""

    start: int
    end: int
    kind: PiiKind
