"""Passwords in URLs and connection strings: `scheme://user:password@host`, also URL-encoded, and tokens as users."""

import re
from collections.abc import Iterator

from common.recognizers import secret_values
from common.recognizers.patterns import pattern
from common.recognizers.span import PiiKind, PiiSpan

# The password goes on to the last `@` before the host's end, for it may hold one itself.
_URL = pattern(
    r""":(?://|\\/\\/)(?P<user>[^\s/?\#"'<>@:]{0,256})
    (?::(?P<password>[^\s/?"'<>]{0,256}))?@(?P<host>[\w.\-\[$%{(]{1,256})""",
    re.VERBOSE,
)
_ENCODED = pattern(
    r"""%3A%2F%2F(?P<user>(?:[^\s/?"'<>@:%&]|%(?!3A|40|2F)[0-9A-F]{2}){0,128})
    %3A(?P<password>(?:[^\s/?"'<>@:%&]|%(?!3A|40|2F)[0-9A-F]{2}){1,128})%40\w""",
    re.VERBOSE | re.IGNORECASE,
)
# Without a scheme: Go's MySQL driver, and Oracle's thin driver.
_OTHERS = (
    pattern(r"(?<![\w.-])(?P<user>[\w.-]{1,64}):(?P<password>[^\s\"'/]{1,128})@(?:tcp|unix|udp)\("),
    pattern(r"jdbc:oracle:(?:thin|oci8?):(?P<user>[\w$#]{1,64})/(?P<password>[^\s@/\"']{1,128})@"),
)
_SAMPLES = frozenset(("password", "pass", "pwd", "passwd", "token", "pw"))
_TOKEN_USERS = frozenset((None, "", "x-oauth-basic", "x-token-auth", "x", "X"))


def find(text: str) -> Iterator[PiiSpan]:
    """The password of each URL, or its user where that is the token."""
    for match in _URL.finditer(text):
        yield from _of(match)
    if "%40" in text:
        for match in _ENCODED.finditer(text):
            yield from _of(match)
    if "@tcp(" in text or "@unix(" in text or "jdbc:oracle" in text:
        for shape in _OTHERS:
            for match in shape.finditer(text):
                yield from _of(match)


def _of(match: re.Match[str]) -> Iterator[PiiSpan]:
    password = match["password"]
    if password in _TOKEN_USERS:
        if secret_values.looks_random(match["user"]):
            yield PiiSpan(match.start("user"), match.end("user"), PiiKind.SECRET)
    elif password.lower() not in _SAMPLES and not secret_values.is_placeholder(password):
        yield PiiSpan(match.start("password"), match.end("password"), PiiKind.SECRET)
