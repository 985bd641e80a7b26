"""The shared scan for numbers: stretches of digits and separators with at least seven digits.

Phone, social security, card and bank numbers all lie in such a stretch, and most log lines hold none but their date.
So one look at the shape of a text tells whether any of them needs a closer look at all.
"""

import re

from common.recognizers.labels import Label, Labelled, label_after, label_before, may_label

_SEPARATORS = b" .-()/"
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
_TO_SHAPE = bytes(
    ord("0") if 48 <= code < 58 else ord("a") if code in _LETTERS else code if code in b" .-()/:+" else ord("|")
    for code in range(256)
)
_JOINED = bytes.maketrans(b" ./", b"---")
_SEVEN = b"0" * 7
# Dates and times. They have as many digits as a number, and none of the kinds is grouped like them.
_STAMPS = (b"0000-00-00", b"0000.00.00", b"0000/00/00", b"00/00/00 00:00", b"00:00:00")
# A card without separators. Times in milliseconds have thirteen digits too, and begin with 1.
_LONG = re.compile(r"[2-689](?<![0-9A-Za-z_][2-689])(?<!_-[2-689])\d{12,18}(?![0-9A-Za-z_])", re.ASCII)
# A number with the trunk prefix 0, in groups.
_TRUNK = re.compile(r"0(?<![0-9A-Za-z_.,:\-]0)\d{1,4}(?=[\d .\-]{7,40})(?=[ .\-])(?:[ .\-]{1,3}\d{2,8}){1,5}", re.ASCII)

# The digit comes first, so that the engine skips to digits quickly; what must not stand before it is asked after.
_RUN = re.compile(
    r"\d(?<![0-9A-Za-z_]\d)(?<!_-\d)(?=[\d .\-()/]{6})(?!\d{3}(?<=(?:19|20)\d\d)([\-./])\d\d\1\d\d(?!\d))"
    r"(?:[ .\-()/]{0,6}\d){6}[\d .\-()/]{0,2000}",
    re.ASCII,
)
_SEVEN_DIGITS = re.compile(r"(?:[ .\-()/]{0,6}\d){7}", re.ASCII)
_LAST_GROUP = re.compile(r"[ .\-()/]{0,3}\d{1,2100}\Z", re.ASCII)
_GLUE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWYZabcdefghijklmnopqrstuvwyz_")
_GROUP = re.compile(r"\d{1,2100}", re.ASCII)


def shape_of(text: str) -> bytes:
    """A plain text with `0` for each digit, `a` for each letter, and `|` for what is no separator of numbers."""
    return text.encode("ascii", "replace").translate(_TO_SHAPE)


def may_hold_numbers(text: str, shape: bytes) -> bool:
    """Whether a plain text of this shape has a number whose form tells its kind, or digits and words that tell it.

    Dates and times are no numbers. This is the test that most log lines fail, so it is made of searches that are quick.
    """
    if _SEVEN not in shape.translate(None, _SEPARATORS):
        return False
    for stamp in _STAMPS:
        shape = shape.replace(stamp, b"|")
    if _SEVEN not in shape.translate(None, _SEPARATORS):
        return False
    return _has_groups(shape.translate(_JOINED)) or _has_form(text, shape) or may_label(text)


def _has_groups(joined: bytes) -> bool:
    """Whether digits are grouped as a number of North America or Russia, a social security or a card number is."""
    return b"000-00" in joined and (
        b"000-000-00" in joined  # 415-555-0132, 495-123-45-67
        or b"000-00-0000" in joined
        or b"0000-0000-00" in joined
        or b"0000-000000-0000" in joined
    )


def _has_form(text: str, shape: bytes) -> bool:
    """Whether digits follow a plus or parentheses, begin with a trunk prefix, or are as many as a card has."""
    return (
        (b"+" in shape and (b"+0" in shape or b"+ 0" in shape or b"+(" in shape or b"+ (" in shape))
        or (b"0)" in shape and (b"0) " in shape or b"0)0" in shape or b"0)-" in shape or b"0)." in shape))
        or (b"0000000000000" in shape and _LONG.search(text) is not None)
        or _TRUNK.search(text) is not None
    )


class Run:
    """`text[start:end]`, which begins and ends with a digit, with what several recognisers ask about it.

    `label` is what the words before the run call it: no words stand within, so it holds for every number in it.
    It is asked for late, for most runs are told apart by their digits. `lengths` has the lengths of the groups of
    digits, as bytes, so that `bytes((3, 3, 4)) in lengths` is quick.
    """

    __slots__ = ("_labelled", "digits", "end", "groups", "lengths", "start", "text")

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text, self.start, self.end = text, start, end
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


def runs(text: str) -> list[Run]:
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
        found.append(Run(text, start, end))
    return found
