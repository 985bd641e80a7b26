"""How well finds agree with labels: what `tests.performance.pii` prints, and a unit test holds.

A find counts where it has the label's kind and shares at least half of their union with it; for secrets, where it
covers at least half of the secret, whatever its kind. "In clear" are labelled characters that no find covers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from common.pii import PiiSpan, detect
from tests.performance.pii_templates import Label, LabelledText


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Of one kind: labels, finds, and pairs of them that match by half or exactly."""

    labels: int = 0
    finds: int = 0
    matches: int = 0
    exact: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            labels=self.labels + other.labels,
            finds=self.finds + other.finds,
            matches=self.matches + other.matches,
            exact=self.exact + other.exact,
        )

    @property
    def f1(self) -> float:
        return 2 * self.matches / max(self.labels + self.finds, 1)

    @property
    def exact_f1(self) -> float:
        return 2 * self.exact / max(self.labels + self.finds, 1)

    @property
    def precision(self) -> float:
        return self.matches / max(self.finds, 1)

    @property
    def recall(self) -> float:
        return self.matches / max(self.labels, 1)


def shared(label: Label, find: PiiSpan) -> int:
    return max(0, min(label.end, find.end) - max(label.start, find.start))


def matches(label: Label, find: PiiSpan) -> bool:
    both = max(label.end, find.end) - min(label.start, find.start)
    return find.kind == label.kind and 2 * shared(label, find) >= both


def is_exact(label: Label, find: PiiSpan) -> bool:
    return (find.kind, find.start, find.end) == (label.kind, label.start, label.end)


def covered(label: Label, finds: Iterable[PiiSpan]) -> int:
    """Characters of `label` under a find of any kind; `finds` do not overlap."""
    return sum(shared(label, find) for find in finds)


def tally(sample: Iterable[LabelledText]) -> dict[str, Tally]:
    """By kind. Finds of kinds without labels in these texts (secrets) count as false finds of their own kind."""
    found: dict[str, Tally] = defaultdict(Tally)
    for one in sample:
        finds = detect(one.text)
        for find in finds:
            found[find.kind] += Tally(finds=1)
        for label in one.labels:
            found[label.kind] += Tally(
                labels=1,
                matches=any(matches(label, find) for find in finds),
                exact=any(is_exact(label, find) for find in finds),
            )
    return found


def clear_share(sample: Iterable[LabelledText]) -> float:
    """Share of labelled characters that no find covers, 0 to 1."""
    hidden = whole = 0
    for one in sample:
        finds = detect(one.text)
        hidden += sum(covered(label, finds) for label in one.labels)
        whole += sum(label.end - label.start for label in one.labels)
    return 1 - hidden / max(whole, 1)


def is_hidden(label: Label, finds: Sequence[PiiSpan]) -> bool:
    return 2 * covered(label, finds) >= label.end - label.start


def secrets_share(sample: Iterable[LabelledText]) -> float:
    """Share of labelled secrets of which at least half is covered."""
    hidden = [is_hidden(label, finds) for one in sample for finds in [detect(one.text)] for label in one.labels]
    return sum(hidden) / max(len(hidden), 1)


def touched_share(sample: Iterable[LabelledText]) -> float:
    """Share of texts without labels in which something is found."""
    touched = [bool(detect(one.text)) for one in sample]
    return sum(touched) / max(len(touched), 1)


def false_finds(one: LabelledText) -> list[PiiSpan]:
    """Finds that touch no label. In texts without labels (logs) addresses of machines are right."""
    finds = (find for find in detect(one.text) if one.labels or find.kind != "IP")
    return [find for find in finds if not any(shared(label, find) for label in one.labels)]


def false_finds_per_thousand(sample: Sequence[LabelledText]) -> float:
    return 1000 * sum(len(false_finds(one)) for one in sample) / max(len(sample), 1)


def missed(one: LabelledText) -> Iterator[str]:
    finds = detect(one.text)
    for label in one.labels:
        good = is_hidden(label, finds) if label.kind == "SECRET" else any(matches(label, find) for find in finds)
        if not good:
            yield f"missed {label.kind} {one.text[label.start : label.end]!r}"
        elif 0 < covered(label, finds) < label.end - label.start:
            yield f"cut {label.kind} {one.text[label.start : label.end]!r}"


def wrong(one: LabelledText) -> Iterator[str]:
    for find in false_finds(one):
        yield f"false {find.kind} {one.text[find.start : find.end]!r}"
