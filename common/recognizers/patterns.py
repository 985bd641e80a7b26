"""Patterns that are compiled at their first use: a process that starts pays for none that its lines never need."""

import re
from typing import cast


class _LazyPattern:
    """Stands for a compiled pattern. What was asked of it once is its own attribute, so later uses cost nothing more.

    Threads that come first at the same time may compile it twice, to the same result.
    """

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._source, self._flags = source, flags

    def __getattr__(self, name: str) -> object:
        attribute: object = getattr(re.compile(self._source, self._flags), name)
        setattr(self, name, attribute)
        return attribute


def pattern(source: str, flags: int = 0) -> re.Pattern[str]:
    """`re.compile(source, flags)`, put off until the first search; so errors in `source` show only then."""
    return cast("re.Pattern[str]", _LazyPattern(source, flags))  # has what a pattern has, one attribute after another
