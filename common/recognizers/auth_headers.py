"""Credentials in HTTP headers: Authorization in its schemes, cookies; also alone (`Bearer x`) and as JSON.

Headers that are names with a value (`X-Api-Key: x`) are found by `assigned_secrets`.
"""

import base64
import binascii
import re
from collections.abc import Iterator

from common.recognizers import secret_values
from common.recognizers.patterns import pattern
from common.recognizers.span import PiiKind, PiiSpan

_JOIN = r"""(?:\\{0,4}["']?\]?[ ]?(?:=>|[:=]|%3[AaDd])[ ]{0,4}|["'][ ]?,[ ]{0,4}(?=[bf]?["']))\\{0,4}[bf]?["'\[]{0,2}"""
_AUTHORIZATION = pattern(
    rf"""authorization{_JOIN}
    (?:(?P<scheme>bearer|basic|token|apikey|api-key|key|negotiate|ntlm|digest|oauth|aws4-hmac-sha256|sharedkey|hawk|
       [A-Za-z][\w-]{{0,30}})(?:[ ]{{1,4}}|[+]|%20|[ ]?=[ ]?\\?"?|:[ ]))?
    (?P<value>[^\s"'\\<>]{{4,8192}})""",
    re.IGNORECASE | re.VERBOSE,
)
_LONGEST_PARAMETERS = 2_048
_SCHEME = pattern(
    r"\b(?P<scheme>bearer|basic)(?:\s{1,4}|[+]|%20|\\?[\"'] ?\+ ?\\?[\"'])\\{0,4}[\"']?"
    r"(?P<value>[A-Za-z0-9_\-.=+/~]{8,8192})",
    re.IGNORECASE,
)
_COOKIE = pattern(
    rf"""(?P<set>set-)?cookie2?{_JOIN}(?P<value>[A-Za-z0-9_.\-%!\#$&*^|~]{{1,128}}=[^"'\n\\]{{1,4096}})""",
    re.IGNORECASE | re.VERBOSE,
)


def find(text: str, lowered: str) -> Iterator[PiiSpan]:
    """Credentials without their scheme's name; a Cookie header's whole content."""
    if "authorization" in lowered:
        yield from _authorization(text)
    if "bearer" in lowered or "basic" in lowered:
        yield from _schemes(text)
    if "cookie" in lowered:
        yield from _cookies(text)


def _authorization(text: str) -> Iterator[PiiSpan]:
    for match in _AUTHORIZATION.finditer(text):
        value = match["value"].rstrip(",;.)]}")
        scheme = (match["scheme"] or "").lower()
        if secret_values.is_placeholder(value) or (not scheme and secret_values.is_reference(value)):
            continue
        if scheme in ("digest", "aws4-hmac-sha256", "oauth", "hawk"):
            line_end = text.find("\n", match.end())
            end = min(line_end if line_end >= 0 else len(text), match.end() + _LONGEST_PARAMETERS)
            yield PiiSpan(match.start("value"), end, PiiKind.SECRET)
        elif not secret_values.is_words(value) or (scheme in ("basic", "bearer") and len(value) >= 16):
            yield PiiSpan(match.start("value"), match.start("value") + len(value), PiiKind.SECRET)


def _schemes(text: str) -> Iterator[PiiSpan]:
    for match in _SCHEME.finditer(text):
        value = match["value"].rstrip(".")
        is_basic = match["scheme"].lower() == "basic"
        if is_basic and not is_user_and_password(value):
            continue
        if secret_values.is_placeholder(value) or (secret_values.is_words(value) and not is_basic):
            continue
        yield PiiSpan(match.start("value"), match.start("value") + len(value), PiiKind.SECRET)


def is_user_and_password(value: str) -> bool:
    """Whether `value` is base64 of `user:password`."""
    try:
        plain = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return b":" in plain and all(32 <= byte < 127 or byte >= 0xC2 for byte in plain)


def _cookies(text: str) -> Iterator[PiiSpan]:
    for match in _COOKIE.finditer(text):
        start, end = match.span("value")
        if match["set"]:  # the first pair's value: what follows are attributes
            start = text.index("=", start) + 1
            end = text.find(";", start, end) if ";" in text[start:end] else end
        value = text[start:end].rstrip()
        if not secret_values.is_placeholder(value):
            yield PiiSpan(start, start + len(value), PiiKind.SECRET)
