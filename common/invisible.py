"""Characters that a reader does not see and a model does: the way to smuggle words past whoever checks a text.

Zero-width and bidirectional controls, the tag characters (U+E0000 to U+E007F spell ASCII unseen), variation selectors
(which carry a byte each), blank letters, private use and control characters. Line ends and tabs are not among them.
"""

import re

# What Unicode calls default ignorable, and controls, surrogates and private use.
# Source: https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
INVISIBLE = (
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
"""One of them, as a regular expression."""

_INVISIBLE = re.compile(INVISIBLE)


def visible(text: str) -> str:
    """`text` without the characters that nobody sees; the same object where it has none."""
    return _INVISIBLE.sub("", text) if _INVISIBLE.search(text) else text


def visible_offsets(text: str) -> list[int]:
    """For each character of `visible(text)` where it stands in `text`."""
    hidden = {match.start() for match in _INVISIBLE.finditer(text)}
    return [place for place in range(len(text)) if place not in hidden]
