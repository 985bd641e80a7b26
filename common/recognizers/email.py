"""E-mail addresses."""

import re
from collections.abc import Iterator

from common.recognizers import gates
from common.recognizers.patterns import pattern
from common.recognizers.span import PiiKind, PiiSpan

_AT = pattern("@")
_SIGN = pattern(r"@|%40|\\u0040|&#64;| ?[\[({] ?at ?[\])}] ?| at ")
_LABEL = r"[^\W_](?:[\w\-]{0,61}[^\W_])?"
_DOMAIN = pattern(rf"(?:{_LABEL}(?:\.|%2[Ee])){{1,8}}(?:xn--[a-z0-9\-]{{1,59}}|[^\W\d_]{{2,24}})(?![\w@])")
_LITERAL = pattern(r"\[(?:IPv6:)?[0-9A-Fa-f:.]{3,45}\]")
_SPELLED_DOT = r" ?[\[({] ?dot ?[\])}] ?| dot "
_SPELLED_DOMAIN = pattern(rf"(?:{_LABEL}(?:\.|{_SPELLED_DOT})){{1,8}}[a-z]{{2,24}}(?!\w)", re.IGNORECASE)
_SPOKEN_DOMAIN = pattern(rf"(?:{_LABEL} dot ){{1,4}}[a-z]{{2,24}}(?!\w)", re.IGNORECASE)
_ENDS_IN_DOT = pattern(rf"[\w+\-]{{1,40}}(?:{_SPELLED_DOT})\Z", re.IGNORECASE)
_QUOTED = pattern(r'"(?:[^"\\\n]|\\.){1,64}"\Z')
# What stands after the last dot in names of files and units that hold an @, and is no top-level domain.
_NOT_TOP_LEVEL = frozenset(
    """png jpg jpeg gif svg webp ico bmp js mjs jsx ts tsx css scss html htm json xml yaml yml txt log csv jar war class
    java dll exe conf cfg ini service socket target timer slice scope mount automount swap device lock tmp bak gz tgz
    tar deb rpm whl""".split()
)
_ACCOUNTS_OF_HOSTS = frozenset({"git", "hg", "svn", "gitlab", "gitea"})
_LOCAL = frozenset("._%+-'~")


def find(text: str, lowered: str) -> Iterator[PiiSpan]:
    """Addresses without `mailto:`, brackets and the punctuation after them; `@` may be encoded, or "[at]" spelled out.

    Not what only looks like one: a host without a dot (`root@kernel`), a package's version (`foo@1.2.3`), a repository
    (`git@github.com:org/repo`), the user in a URL (`https://user:password@host.example`).

    `lowered` is `text` in lower case and of the same length.
    """
    free = 0  # where the address before ended: what belongs to it is not the local part of the next
    signs = _SIGN if gates.may_hold_encoded_at(lowered) else _AT
    for sign in signs.finditer(lowered):
        start = _local_start(text, sign.start(), free)
        if start == sign.start():
            continue
        domain = _domain(text, sign)
        if domain is None or _is_something_else(text, start, sign.start(), domain):
            continue
        if sign[0][-1] in " ])}":
            start = _spelled_start(text, start, free)
        free = domain.end()
        yield PiiSpan(start, free, PiiKind.EMAIL)


def _domain(text: str, sign: re.Match[str]) -> re.Match[str] | None:
    """What follows the sign for "at" and is a domain written as the sign is: with dots, or with "dot" spelled out."""
    if sign[0] == " at ":
        return _SPOKEN_DOMAIN.match(text, sign.end())
    if sign[0][-1] in " ])}":
        return _SPELLED_DOMAIN.match(text, sign.end())
    return _DOMAIN.match(text, sign.end()) or _LITERAL.match(text, sign.end())


def _spelled_start(text: str, start: int, free: int) -> int:
    """Where "jane dot doe" begins, of which `text[start:]` is the last word; four words at most."""
    for _ in range(3):
        dotted = _ENDS_IN_DOT.search(text, max(free, start - 48), start)
        if dotted is None:
            break
        start = dotted.start()
    return start


def _local_start(text: str, at: int, free: int) -> int:
    """Where the local part that ends before `text[at]` begins; `at` itself where there is none."""
    floor = max(free, at - 64)
    if text[at - 1 : at] == '"':
        quoted = _QUOTED.search(text, max(free, at - 66), at)
        return quoted.start() if quoted is not None else at
    start = at
    while start > floor and (text[start - 1].isalnum() or text[start - 1] in _LOCAL):
        start -= 1
    if text[start - 1 : start] == "\\" and text[start : start + 1] in {"n", "r", "t"}:
        start += 1  # an escaped line end before the address, in a text that was written as JSON
    while start < at and not text[start].isalnum() and text[start] not in "_+":
        start += 1
    if text[at - 1] in ".'":
        return at
    return start


def _is_something_else(text: str, start: int, at: int, domain: re.Match[str]) -> bool:
    if domain[0].rpartition(".")[2].lower() in _NOT_TOP_LEVEL:
        return True
    if text[start:at].lower() in _ACCOUNTS_OF_HOSTS and text[domain.end() : domain.end() + 1] in {":", "/"}:
        return True
    scheme = text.rfind("://", max(0, start - 128), start)
    return scheme >= 0 and not any(character in "/?#" or character.isspace() for character in text[scheme + 3 : start])
