"""Keys of known shape, wherever they stand: by their first letters, by a part they hold, or by their address.

A line is cut into long runs of key characters, and a run's first letters look its shapes up, so that a hundred shapes
cost one dictionary access.
"""

import re
from collections.abc import Iterator

from common.recognizers.gates import LONG_RUN, padded
from common.recognizers.key_shapes import BY_HEAD
from common.recognizers.patterns import pattern
from common.recognizers.span import PiiKind, PiiSpan

# Shapes that no first letters tell, by a part they hold.
_HOLDING = (
    ("Q~", pattern(r"[\w~.]{3}\dQ~[\w~.-]{31,40}")),  # Microsoft Entra client secret
    (".atlasv1.", pattern(r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,70}")),  # Terraform Cloud
    ("-us", pattern(r"[0-9a-f]{32}-us\d{1,2}(?!\w)")),  # Mailchimp
    ("_mmk", pattern(r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk")),  # MaxMind
    ("jsn", pattern(r"[a-z0-9]{10}msh[a-z0-9]{15}p[a-z0-9]{6}jsn[a-z0-9]{12}")),  # RapidAPI
    (".", pattern(r"(?<![A-Za-z\d])[MNO][A-Za-z\d]{23,27}\.[\w-]{6}\.[\w-]{27,40}(?![\w-])")),  # Discord bot
    ("NRAL", pattern(r"[0-9a-f]{36}NRAL")),  # New Relic licence
)
_LONG = 34  # no shape of `_HOLDING` is shorter
_TELLING_PART = pattern(r"Q~|\.atlasv1|-us\d|_mmk|jsn|NRAL|\A[MNO]\w{23,27}\.")
_TELEGRAM = pattern(r"(?<!\d)\d{8,10}:AA[\w-]{30,36}(?![\w-])")
_FIREBASE = pattern(r"\bAAAA[\w-]{7}:[\w-]{100,180}")
_HOOK = pattern(
    r"""(?:https?://)?(?:hooks\.slack\.com/(?:services|workflows|triggers)/
    |discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{15,20}/
    |[\w-]{1,64}\.webhook\.office\.com/webhookb2/|outlook\.office(?:365)?\.com/webhook/
    |hooks\.zapier\.com/hooks/catch/|maker\.ifttt\.com/trigger/[\w-]{1,64}/with/key/
    |api\.telegram\.org/(?:file/)?bot(?=\d))[\w/@:+.\-]{16,400}""",
    re.VERBOSE,
)
_CRYPT = pattern(
    r"\$(?:2[abxy]?\$\d\d\$[./A-Za-z0-9]{50,60}|(?:[156y]|gy|7|apr1|md5|sha1)\$[^\s:\"'$]{0,64}\$[^\s:\"']{10,128}"
    r"|argon2(?:id|i|d)\$[^\s:\"']{20,256}|pbkdf2[\w-]{0,16}\$[^\s:\"']{20,256}|scrypt\$[^\s:\"']{20,256})"
)


def find(text: str, runs: list[str]) -> list[PiiSpan]:
    """Keys of known shape, whole; `runs` are the long ones of `text`."""
    begins = holds = False
    for run in runs:
        if run[:3] in BY_HEAD:
            begins = True
        if len(run) >= _LONG and _TELLING_PART.search(run) is not None:
            holds = True
    found = list(_beginning(text)) if begins else []
    if holds:
        found += _holding(text)
    return found


def _beginning(text: str) -> Iterator[PiiSpan]:
    spaced = padded(text)
    position = 0
    while (run := LONG_RUN.search(spaced, position)) is not None:
        position = run.end()
        match = _at(spaced, run.start(1))
        if match is not None and not match[0].endswith("EXAMPLE"):
            position = match.end()
            yield PiiSpan(match.start() - 1, match.end() - 1, PiiKind.SECRET)


def _at(text: str, start: int) -> re.Match[str] | None:
    """The first shape that begins at `start`."""
    for shape in BY_HEAD.get(text[start : start + 3], ()):
        match = shape.match(text, start)
        if match is not None:
            return match
    return None


def _holding(text: str) -> Iterator[PiiSpan]:
    spaced = padded(text)
    for part, shape in _HOLDING:
        if part in spaced:
            for match in shape.finditer(spaced):
                yield PiiSpan(match.start() - 1, match.end() - 1, PiiKind.SECRET)


def find_joined(text: str) -> Iterator[PiiSpan]:
    """Secrets with characters that cut runs: webhooks, bot tokens, password hashes."""
    for shape in (_HOOK, _TELEGRAM, _FIREBASE, _CRYPT):
        for match in shape.finditer(text):
            yield PiiSpan(match.start(), match.end(), PiiKind.SECRET)
