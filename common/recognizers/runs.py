"""The shared scan for numbers: stretches of digits and separators with at least seven digits.

Phone, social security, card and bank numbers all lie in such a stretch.
"""

import re

from common.recognizers.labels import Label, Labelled, label_after, label_before
from common.recognizers.patterns import pattern

# The digit comes first, so that the engine skips to digits quickly; what must not stand before it is asked after.
_RUN = pattern(
    r"\d(?<![0-9A-Za-z_]\d)(?<!_-\d)(?=[\d .\-()/]{6})(?!\d{3}(?<=(?:19|20)\d\d)([\-./])\d\d\1\d\d(?!\d))"
    r"(?:[ .\-()/]{0,6}\d){6}[\d .\-()/]{0,2000}",
    re.ASCII,
)
_SEVEN_DIGITS = pattern(r"(?:[ .\-()/]{0,6}\d){7}", re.ASCII)
_LAST_GROUP = pattern(r"[ .\-()/]{0,3}\d{1,2100}\Z", re.ASCII)
_GLUE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWYZabcdefghijklmnopqrstuvwyz_")
_GROUP = pattern(r"\d{1,2100}", re.ASCII)


class Run:
    """`text[start:end]`, which begins and ends with a digit, with what several recognisers ask about it.

    `label` is what the words before the run call it: no words stand within, so it holds for every number in it.
    It is asked for late, for most runs are told apart by their digits. `lengths` has the lengths of the groups of
    digits, as bytes, so that `bytes((3, 3, 4)) in lengths` is quick. Where the text `is_worded`, a word somewhere in it
    could say that a number is a phone's, a card's and so on: where not, labels need not be asked for that.
    """

    __slots__ = ("_labelled", "digits", "end", "groups", "is_worded", "lengths", "start", "text")

    def __init__(self, text: str, start: int, end: int, *, is_worded: bool) -> None:
        self.text, self.start, self.end, self.is_worded = text, start, end, is_worded
        self.groups: list[str] = _GROUP.findall(text, start, end)
        self.lengths = bytes(min(len(group), 255) for group in self.groups)
        self.digits = sum(map(len, self.groups))
        self._labelled: Labelled | None = None

    @property
    def label(self) -> Label | None:
        return self._label_before().label

    @property
    def direct(self) -> bool:
        """Whether nothing but fillers stand between the label and the run."""
        return self._label_before().direct

    def _label_before(self) -> Labelled:
        if self._labelled is None:
            self._labelled = label_before(self.text, self.start)
        return self._labelled

    @property
    def label_after(self) -> Label | None:
        return label_after(self.text, self.end)


def runs(text: str, *, is_worded: bool) -> list[Run]:
    """Stretches of digits, spaces and `.-()/` with seven digits or more, left to right, in a plain text.

    None begins or ends within a word (`blk_3886504906413`, `70867728950e`), or begins with a date of the form
    2015-10-18; only the "x" of an extension may follow at once. A stretch of more than 2,000
    characters is cut there, which bounds the work that one can cause.
    """
    found = []
    for match in _RUN.finditer(text):
        start, end = match.start(), match.start() + len(match[0].rstrip(" .-()/"))
        if text[end : end + 1] in _GLUE and not text.startswith("ext", end):
            end = start + len(_LAST_GROUP.sub("", text[start:end]))
            if _SEVEN_DIGITS.match(text, start, end) is None:
                continue
        found.append(Run(text, start, end, is_worded=is_worded))
    return found
