"""What a PromQL expression reads: enough of the language to hold names against a catalogue; promtool parses."""

import re
from dataclasses import dataclass

_STRING = r'"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(
    rf"(?<![\w:.])(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*+)\s*(?:\{{(?P<matchers>(?:[^{{}}\"]|{_STRING})*)\}})?(?!\s*\()"
)
_MATCHER = re.compile(rf"(?P<label>\w+)\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>{_STRING})")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_WORDS = frozenset("by without on ignoring group_left group_right and or unless offset bool".split())


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric that is read, and its matchers as label, operator, value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expression: str) -> list[Selector]:
    """Every metric that `expression` reads, from left to right."""
    bare = _without_ranges(_GROUPING.sub(" ", expression))
    return [
        Selector(found["name"], _matchers(found["matchers"] or ""))
        for found in _SELECTOR.finditer(bare)
        if found["name"] not in _WORDS
    ]


def grouping_labels(expression: str) -> set[str]:
    """The labels that `expression` groups or joins by."""
    groups = _GROUPING.findall(expression)
    return {label.strip() for group in groups for label in group.split(",") if label.strip()}


def _matchers(text: str) -> tuple[tuple[str, str, str], ...]:
    return tuple((found["label"], found["operator"], found["value"][1:-1]) for found in _MATCHER.finditer(text))


def _without_ranges(expression: str) -> str:
    """Without `[5m]`, `offset 1h`, and strings that stand alone; strings in matchers stay."""
    without = re.sub(r"\[[^\]]*\]|\boffset\s+\w+", " ", expression)
    return re.sub(rf"(?<=[,(])\s*{_STRING}", " ", without)
