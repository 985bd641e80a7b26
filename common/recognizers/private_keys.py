"""Private keys: PEM, OpenSSH and PGP blocks, whole, cut off, or on one line with escaped line breaks.

Certificates and public keys are no secrets. A block without its end goes on as long as its lines look like base64.
"""

from bisect import bisect
from collections.abc import Iterator

from common.recognizers.patterns import pattern
from common.recognizers.span import PiiKind, PiiSpan

_BEGIN = pattern(r"-{2,5} ?BEGIN[A-Z0-9 ]{0,40} ?PRIVATE KEY(?: BLOCK)? ?-{2,5}")
_END = pattern(r"-{2,5} ?END[A-Z0-9 ]{0,40} ?PRIVATE KEY(?: BLOCK)? ?-{2,5}")
_BREAK = r"(?:\s|\\{1,4}[nr]|%0[AaDd])"
# Headers (Proc-Type, DEK-Info, Version, Comment), then base64 in lines; what a cut-off block can still hold.
_BODY = pattern(
    rf"(?:{_BREAK}{{0,8}}(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset)[ ]?:[^\n\\]{{0,120}}){{0,6}}"
    rf"(?:{_BREAK}{{0,8}}[A-Za-z0-9+/=%]{{16,256}}){{0,512}}(?:{_BREAK}{{0,8}}[A-Za-z0-9+/=]{{1,76}}(?![\w ]))?"
)
_LONGEST = 32_768
# The same keys with their first line lost: how the DER or OpenSSH header begins in base64.
_HEADLESS = pattern(
    r"(?:MII[A-Za-z0-9+/]{1,2}[AQgw]IBAA|MII[A-Za-z0-9+/]{4}BADANBgkqhkiG9w0BAQEFAASC|MHcCAQEEI|MIGHAgEAM|MIGkAgEBBD"
    r"|MC4CAQAwBQYDK2Vw|b3BlbnNzaC1rZXktdjEA)"
    rf"[A-Za-z0-9+/=]{{16,256}}(?:{_BREAK}{{0,4}}[A-Za-z0-9+/=]{{16,256}}){{0,512}}"
)


def find(text: str) -> Iterator[PiiSpan]:
    """Whole blocks, markers included."""
    position = place = 0
    ends = [end.end() for end in _END.finditer(text)]
    while (begin := _BEGIN.search(text, position)) is not None:
        place = bisect(ends, begin.end(), place)
        is_whole = place < len(ends) and ends[place] - begin.end() <= _LONGEST
        position = ends[place] if is_whole else _end_of_body(text, begin.end())
        yield PiiSpan(begin.start(), position, PiiKind.SECRET)


def _end_of_body(text: str, start: int) -> int:
    body = _BODY.match(text, start)
    return body.end() if body is not None else start


def find_headless(text: str) -> Iterator[PiiSpan]:
    """Bodies of private keys whose first line is missing."""
    for match in _HEADLESS.finditer(text):
        yield PiiSpan(match.start(), match.end(), PiiKind.SECRET)
