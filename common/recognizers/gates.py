"""Which recognisers need to look at a text: tests that most log lines fail, in a few microseconds all together.

They are made of searches for substrings, which are quicker than patterns, in the text, in its lower case, and in its
shape. Recognisers whose tests never pass are not even imported.
"""

import re
from functools import cache

from common.recognizers.patterns import pattern

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
_TO_SHAPE = bytes(
    ord("0") if 48 <= code < 58 else ord("a") if code in _LETTERS else code if code in b" .-()/:+" else ord("|")
    for code in range(256)
)
_SEPARATORS = b" .-()/"
_JOINED = bytes.maketrans(b" ./", b"---")
_APART = bytes.maketrans(b"|:.-()/", b"       ")
_SEVEN = "0" * 7
_TO_WORDS = bytes(code if ord("a") <= code <= ord("z") else ord(" ") for code in range(256))
_AFTER_PLUS = pattern(r"\+ ?\(?(?:0[ .\-()/]{0,6}){7}")
_IN_PARENTHESES = pattern(r"\([+0][0 .\-/]{0,8}\)[ .\-/]{0,6}0")
# A card without separators. Times in milliseconds have thirteen digits too, and begin with 1.
_LONG_NUMBER = pattern(r"[2-689](?<![0-9A-Za-z_][2-689])(?<!_-[2-689])\d{12,18}(?![0-9A-Za-z_])", re.ASCII)
# A number with the trunk prefix 0, in groups.
_TRUNK = pattern(r"0(?<![0-9A-Za-z_.,:\-]0)\d{1,4}(?=[\d .\-]{7,40})(?=[ .\-])(?:[ .\-]{1,3}\d{2,8}){1,5}", re.ASCII)
_FOUR_GROUPS = pattern(r":[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:", re.ASCII)
_SPELLED_AT = pattern(r"[\[({] ?at ?[\])}]")
# Options that could take a password, and what asks for one at a pipe's end.
_OPTION = pattern(r" --?(?:[a-zA-Z]{0,8}[puawPUSb][ =:'\"\w]|[\w-]{0,24}(?:pass|pwd|secret|token|api|auth))")
_PIPE = pattern(r"\| ?(?:sudo|passwd|chpasswd|su )")
# Where a call's arguments hold a literal.
CALL_OPENING = pattern(r"""\((?=(?:[\w.$>&*\-]{0,32}[,(][ ]?){0,3}(?:[\w.]{1,16}\()?[bf]?\\?["'])""")

# A run begins behind a character that stands in none, which is a part of the match: the search is fastest so.
LONG_RUN = pattern(r"[^A-Za-z0-9_.\-~$]([A-Za-z0-9][A-Za-z0-9_.\-~$]{15,4096})")
# No key is of parts between dots of which each is shorter than sixteen.
_SIXTEEN = "a" * 16
_TO_RUNS = bytes(ord("a") if chr(code).isalnum() or code in b"_-~$" else ord(" ") for code in range(128)) + b" " * 128
# Escapes in front of a run become spaces, as many: "\\nAKIA...", "%3Dghp_...".
_ESCAPED = pattern(r"\\[nrt]")
_ENCODED = pattern(r"%[0-9A-Fa-f]{2}")


def lower(text: str) -> str:
    """`text` in lower case, character by character, so that offsets hold."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else text.translate(_ASCII_LOWER)  # "İ" becomes two characters


def shape_of(text: str) -> str:
    """A plain text with `0` for each digit, `a` for each letter, and `|` for what is no separator of numbers.

    A text and no bytes, for these are slower to search.
    """
    return text.encode("ascii", "replace").translate(_TO_SHAPE).decode()


def may_hold_names_of_secrets(lowered: str) -> bool:
    """Whether a telling name could stand in a text, given in lower case."""
    return (
        ("key" in lowered or "auth" in lowered or "tok" in lowered or "pass" in lowered or "sess" in lowered)
        or ("secret" in lowered or "code" in lowered or "cred" in lowered or "cook" in lowered or "pw" in lowered)
        or ("sig" in lowered or "sid" in lowered or "pin" in lowered or "otp" in lowered or "psk" in lowered)
        or ("basic" in lowered or "bearer" in lowered or "_pat" in lowered or "tkn" in lowered)
        or not lowered.isascii()
    )


def may_hold_options(text: str) -> bool:
    """Whether any option on a command line could take a password."""
    if " -" in text and _OPTION.search(text) is not None:
        return True
    return " /user:" in text or "net user " in text or ("| " in text and _PIPE.search(text) is not None)


def may_hold_calls(text: str) -> bool:
    """Whether any literal stands among arguments."""
    return "(" in text and CALL_OPENING.search(text) is not None


def long_runs(text: str) -> list[str]:
    """Words of `text` that are as long as a key."""
    if _SIXTEEN not in text.encode("ascii", "replace").translate(_TO_RUNS).decode():
        return []
    return LONG_RUN.findall(padded(text))


def padded(text: str) -> str:
    """`text` behind a space, so that each run has a character before it."""
    if "\\" in text:
        text = _ESCAPED.sub("  ", text)
    if "%" in text:
        text = _ENCODED.sub("   ", text)
    return f" {text}"


def may_hold_emails(lowered: str) -> bool:
    """Whether an "@" is in a text, given in lower case, encoded or spelled out."""
    return "@" in lowered or may_hold_encoded_at(lowered)


def may_hold_encoded_at(lowered: str) -> bool:
    """Whether an "@" is in a text, given in lower case, in any other form than itself."""
    return (
        "%40" in lowered
        or " dot " in lowered
        or "u0040" in lowered
        or "&#64;" in lowered
        or (("at]" in lowered or "at)" in lowered) and _SPELLED_AT.search(lowered) is not None)
    )


def may_hold_ips_4(shape: str) -> bool:
    """Whether three dots stand before digits."""
    return shape.count(".0") >= 3


def may_hold_ips_6(text: str, shape: str) -> bool:
    """Whether two colons stand together, or as many as a whole address has."""
    return "::" in shape or (shape.count(":") >= 6 and _FOUR_GROUPS.search(text) is not None)


def may_hold_ibans(shape: str) -> bool:
    """Whether a word begins with two letters and two digits."""
    return "aa00" in shape and b" aa00" in b" " + shape.encode().translate(_APART)


def may_hold_numbers(text: str, lowered: str, shape: str) -> bool:
    """Whether a plain text has a number whose form tells its kind, or digits and words that tell it.

    `lowered` and `shape` are those of `text`.
    """
    return _SEVEN in shape.encode().translate(None, _SEPARATORS).decode() and (
        _has_groups(shape) or _has_form(text, shape) or may_label(lowered)
    )


def may_label(lowered: str) -> bool:
    """Whether any word in a text, given in lower case, or part of a name (`homephone`), says what a number is."""
    return (
        not _telling_words().isdisjoint(lowered.encode("ascii", "replace").translate(_TO_WORDS).split())
        or "phon" in lowered
        or "telef" in lowered
        or "number" in lowered
        or "account" in lowered
        or "card" in lowered
        or "a/c" in lowered
        or not lowered.isascii()
    )


@cache
def _telling_words() -> frozenset[bytes]:
    """Words that stand beside numbers and say what they are; each part of those with a hyphen. "cc" is in too many."""
    from common.recognizers.label_words import SILENT, WORDS

    words = " ".join(words for label, words in WORDS.items() if label not in SILENT)
    return frozenset(words.replace("-", " ").encode().split()) - {b"cc"}


def _has_groups(shape: str) -> bool:
    """Whether digits are grouped as a number of North America or Russia, a social security or a card number is."""
    joined = shape.encode().translate(_JOINED).decode()
    if "00-0000" in joined and (
        "000-000-0000" in joined  # 415-555-0132
        or "000-00-0000" in joined
        or "0000-0000-0000" in joined
        or "0000-000000-0000" in joined
        or "000.0000.0000.00" in shape  # Switzerland's
    ):
        return True
    # 495 123-45-67; not with dots, as in addresses of the internet
    return ("00-00" in shape and ("000 000-00-00" in shape or "000-000-00-00" in shape)) or "000 000 00 00" in shape


def _has_form(text: str, shape: str) -> bool:
    """Whether digits follow a plus or parentheses, begin with a trunk prefix, or are as many as a card has."""
    return (
        ("+" in shape and _AFTER_PLUS.search(shape) is not None)
        or ("0)" in shape and _IN_PARENTHESES.search(shape) is not None)
        or ("0000000000000" in shape and _LONG_NUMBER.search(text) is not None)
        or _TRUNK.search(text) is not None
    )
