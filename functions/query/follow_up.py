"""Whether a message goes on from the one before it."""

import re

SMALL_TALK = frozenset({"greeting", "help"})  # agents whose turns nothing goes on from
ELLIPSIS_WORDS = 6
REFERRING_WORDS = 12

_GOES_ON = re.compile(
    r"^\W*(?:and|or|but|also|what about|how about|what if|same for|then|ok(?:ay)?[, ]|so[, ])", re.IGNORECASE
)
_REFERS = re.compile(r"\b(?:that|those|this|these|it|its|they|them|their)\b", re.IGNORECASE)


def is_ellipsis(message: str) -> bool:
    """A few words that make no sense alone: "and for raw land?"."""
    return len(message.split()) <= ELLIPSIS_WORDS and bool(_GOES_ON.match(message))


def refers_back(message: str) -> bool:
    """An ellipsis, or a short question about what was just spoken of: "how long does it last?"."""
    is_short = len(message.split()) <= REFERRING_WORDS
    return is_short and bool(_GOES_ON.match(message) or _REFERS.search(message))
