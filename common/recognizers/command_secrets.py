"""Passwords on command lines whose option is one letter: `mysql -pX`, `curl -u user:X`, `sshpass -p X`.

Only next to a command that is known to read its option so: `-p` means a port, a path or "parents" elsewhere.
Options with telling names and a value of letters alone (`--password hunter`) are here too.
"""

import re
from collections.abc import Iterator

from common.recognizers import secret_values
from common.recognizers.patterns import pattern
from common.recognizers.span import PiiKind, PiiSpan

_VALUE = r"""(?P<quote>\\?["']?)(?P<secret>(?:(?<=["'])[^"'\n\\]{2,256}|[^\s"'`|;&<>\\-][^\s"'`|;&<>\\]{1,255}))"""
_TOOL = pattern(
    r"(?<![\w.-])(?P<name>mysql\w{0,10}|mariadb[\w-]{0,8}|curl|wget|https?|sshpass|docker|podman|helm|az|oc|"
    r"buildah|skopeo|mongo\w{0,8}|mongosh|twine|plink|pscp|redis-cli|ldap\w{2,10}|htpasswd|mosquitto_\w{3}|sqlcmd|bcp|smbclient|"
    r"net user|net use|sudo|chpasswd|7z|zip|unzip|svn|rabbitmqctl|snmp\w{1,10}|ipmitool|rclone|xfreerdp|"
    r"useradd|usermod|cf|nexus)"
    r"(?:\.exe)?\b(?=[^\n]{0,400}?\s[-/]|[^\n]{0,20}\s)"
)
_REACH = 400  # characters behind the command's name
_USER = r"(?:\\?[\"'])?[\w.@\\+-]{1,64}:"
_ATTACHED = pattern(rf"\s-p(?![ \d]{{0,2}}:){_VALUE}")
_USER_AND = pattern(rf"\s(?:-[a-zA-Z]{{0,8}}[uU]|--user|--proxy-user|-a|--auth)[ =]?{_USER}{_VALUE}")
_AFTER_P = pattern(rf"\s-(?:p|pw|P)[ =]?{_VALUE}")
_AFTER_A = pattern(rf"\s(?:-a|--pass)[ =]{_VALUE}")
_AFTER_W = pattern(rf"\s-w[ ]?{_VALUE}")
_THIRD = pattern(rf"\s-\w{{0,6}}b\w{{0,6}}\s+\S{{1,128}}\s+\S{{1,64}}\s+{_VALUE}")
_PERCENT = pattern(rf"\s-U[ =]?[\"']?[\w.\\/-]{{1,64}}%{_VALUE}")
_NET_USE = (
    pattern(rf"\s\\\\\S{{1,128}}\s+{_VALUE}(?=\s+/user:)"),
    pattern(rf"\s/user:\S{{1,64}}\s+{_VALUE}"),
)
_NET_USER = pattern(r"\s+[\w.-]{1,64}\s+(?P<secret>[^\s/*\"'-]\S{2,64})")
_OPTIONS: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = (
    ("mysql", (_ATTACHED,)),
    ("mariadb", (_ATTACHED,)),
    ("curl", (_USER_AND,)),
    ("wget", (_USER_AND,)),
    ("http", (_USER_AND,)),
    ("redis", (_AFTER_A,)),
    ("ldap", (_AFTER_W,)),
    ("htpasswd", (_THIRD,)),
    ("smb", (_PERCENT,)),
    ("net user", (_NET_USER,)),
    ("net use", _NET_USE),
    ("", (_AFTER_P,)),
)
_ECHO = pattern(
    rf"\becho\s+(?:-[ne]+\s+)?{_VALUE}[\"']?\s*\|\s*(?:sudo|docker|passwd|chpasswd|su\b|kinit|podman|helm|gh |vault)"
)
_LONG = pattern(
    rf"\s--?(?:[\w-]{{0,24}}-)?(?:password|passwd|passphrase|pwd|pass|secret|token|api-?key|storepass|keypass)"
    rf"[ ]+{_VALUE}"
)
_PASS_COLON = pattern(r"\s-(?:pass|passin|passout)[ =]pass:(?P<secret>[^\s\"'|;&]{3,128})")
_LONG_USER = pattern(rf"\s--(?:proxy-)?(?:auth|user|basic|creds|credentials)[ =]{_USER}{_VALUE}")
_ANYWHERE = (_ECHO, _LONG, _PASS_COLON, _LONG_USER)
_PROSE = frozenset(
    "option options flag flags argument arguments is and or for to with if prompt file the must should".split()
)
_NO_PORT = pattern(r"\d{1,5}(?::\d{1,5})?\Z")


def find(text: str) -> Iterator[PiiSpan]:
    """Values of password options, and what is piped to commands that ask for one."""
    for tool in _TOOL.finditer(text):
        limit = min(len(text), tool.end() + _REACH)
        for shape in _patterns(tool["name"]):
            match = shape.search(text, tool.end(), limit)
            if match is not None:
                yield from _of(match)
    for shape in _ANYWHERE:
        for match in shape.finditer(text):
            yield from _of(match)


def _patterns(tool: str) -> tuple[re.Pattern[str], ...]:
    return next(patterns for start, patterns in _OPTIONS if tool.startswith(start))


def _of(match: re.Match[str]) -> Iterator[PiiSpan]:
    value = match["secret"]
    if (
        secret_values.is_placeholder(value)
        or secret_values.is_path(value)
        or value.startswith("$")
        or _NO_PORT.match(value)
    ):
        return
    if value.lower() in _PROSE:
        return
    yield PiiSpan(match.start("secret"), match.end("secret"), PiiKind.SECRET)
