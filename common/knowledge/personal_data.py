"""Documents are no place for personal data: their text must be searchable, so it is stored as it is, not sealed.

Nothing is refused for it, since a form's example looks like the real thing; whoever runs this is told.
"""

from collections import Counter
from collections.abc import Iterable

from common.logging import component_logger
from common.pii import PiiKind, detect_all

IDENTIFIERS = frozenset({PiiKind.EMAIL, PiiKind.PHONE, PiiKind.SSN, PiiKind.CREDIT_CARD, PiiKind.US_BANK, PiiKind.IBAN})
"""Kinds that point to a person."""

log = component_logger("knowledge")


def warn_of_personal_data(texts: Iterable[str]) -> None:
    """One line with how many identifiers of each kind `texts` hold together, and in how many of them; none for none."""
    counts: Counter[PiiKind] = Counter()
    documents = 0
    for text in texts:
        found = Counter(span.kind for span in detect_all(text) if span.kind in IDENTIFIERS)
        documents += bool(found)
        counts += found
    if documents:
        kinds = [f"{kind} {count}" for kind, count in sorted(counts.items())]
        log.warning("document.holds_personal_data", documents=documents, count=counts.total(), kinds=kinds)
