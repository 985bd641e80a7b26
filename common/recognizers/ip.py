"""Internet addresses, version 4 and 6; not the versions, times and scopes that look like them."""

import re
import socket
from collections.abc import Iterator

from common.recognizers.patterns import pattern
from common.recognizers.span import PiiKind, PiiSpan

_OCTET = r"(?:25[0-5]|2[0-4]\d|[01]?\d?\d)"
# Begins at the first dot, for dots are rarer than digits; the number before it is read backwards.
_V4 = pattern(rf"\.(?<=\d\.){_OCTET}\.{_OCTET}\.{_OCTET}(?![0-9A-Za-z_~]|\.\d)", re.ASCII)
_FIRST = pattern(rf"(?<![0-9A-Za-z_.~]){_OCTET}\Z", re.ASCII)
_V6 = pattern(
    r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{0,33}(?:\.\d{1,3}){0,3}(?:%[0-9A-Za-z]{1,15})?", re.ASCII
)
_BESIDE = " \t\"'`:=([{<>#"
_BEFORE_VERSIONS = (
    "version", "versions", "release", "releases", "firmware", "build", "section", "sections", "chapter", "paragraph",
    "clause", "article", "revision", "upgrade", "upgraded", "oid", " rev", " ver", " v", "_ver", "_v",
)  # fmt: skip
_PRODUCTS = tuple(
    """chrome chromium headlesschrome firefox safari version edg edge edga opr opera crios fxios vivaldi yabrowser
    samsungbrowser applewebkit okhttp curl wget requests electron brave nginx apache python java node libcurl""".split()
)


def find_4(text: str) -> Iterator[PiiSpan]:
    """Addresses of version 4 in a plain text, without port and prefix length."""
    for found in _V4.finditer(text):
        first = _FIRST.search(text, max(0, found.start() - 3), found.start())
        if first is not None and not _is_version(text, first.start()):
            yield PiiSpan(first.start(), found.end(), PiiKind.IP)


def _is_version(text: str, start: int) -> bool:
    before = text[max(0, start - 24) : start].lower()
    if before.endswith(("/", " ")) and before[:-1].endswith(_PRODUCTS):
        return True
    if before.endswith("-") and before[-2:-1].isalpha():  # a file's or package's: foo-1.2.3.4.jar
        return True
    words = before.rstrip(_BESIDE).removesuffix(" is").removesuffix(" to")
    return words.endswith(_BEFORE_VERSIONS) or words in {"v", "ver", "rev"}


def find_6(text: str) -> Iterator[PiiSpan]:
    """Addresses of version 6 in a plain text, without brackets; a zone (`fe80::1%eth0`) belongs to the address."""
    for found in _V6.finditer(text):
        start, end = found.span()
        value = found[0]
        if "::" not in value and value.count(":") < 6:
            continue
        if text[start - 1 : start].isalnum() or text[start - 1 : start] == ":" or text[end : end + 1].isalnum():
            continue
        if value.endswith(":") and not value.endswith("::"):  # a sentence's colon, or that before the port
            value = value[:-1]
        if _is_version_6(value):
            yield PiiSpan(start, start + len(value), PiiKind.IP)


def _is_version_6(value: str) -> bool:
    """Whether `value` is an address that is more than a scope of C++ (`ab::cd`) or eight bytes (00:11:...:77)."""
    address = value.partition("%")[0]
    try:
        socket.inet_pton(socket.AF_INET6, address)
    except OSError:
        return False
    groups = [group for group in address.split(":") if group]
    if not groups or not any(map(str.isdigit, address)):
        return False
    if len(groups) < 3 and (max(map(len, groups)) < 3 or not any(map(str.isdigit, groups[0]))):
        return address.startswith("::")
    return len(groups) < 6 or any(len(group) != 2 for group in groups)
