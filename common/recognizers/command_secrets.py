"""Passwords on command lines whose option is one letter: `mysql -pX`, `curl -u user:X`, `sshpass -p X`.

Only next to a command that is known to read its option so: `-p` means a port, a path or "parents" elsewhere.
Options with telling names and a value of letters alone (`--password hunter`) are here too.
"""

import re
from collections.abc import Iterator

from common.recognizers import secret_values
from common.recognizers.span import PiiKind, PiiSpan

_VALUE = r"""(?P<quote>\\?["']?)(?P<secret>(?:(?<=["'])[^"'\n\\]{2,256}|[^\s"'`|;&<>\\-][^\s"'`|;&<>\\]{1,255}))"""
_TOOL = re.compile(
    r"(?<![\w.-])(?P<name>mysql\w{0,10}|mariadb[\w-]{0,8}|curl|wget|https?|sshpass|docker|podman|helm|az|oc|"
    r"buildah|skopeo|mongo\w{0,8}|mongosh|twine|plink|pscp|redis-cli|ldap\w{2,10}|htpasswd|mosquitto_\w{3}|sqlcmd|bcp|smbclient|"
    r"net user|net use|sudo|chpasswd|7z|zip|unzip|svn|rabbitmqctl|snmp\w{1,10}|ipmitool|rclone|xfreerdp|"
    r"useradd|usermod|cf|nexus)"
    r"(?:\.exe)?\b(?=[^\n]{0,400}?\s[-/]|[^\n]{0,20}\s)"
)
_REACH = 400  # characters behind the command's name
_USER = r"(?:\\?[\"'])?[\w.@\\+-]{1,64}:"
_ATTACHED = re.compile(rf"\s-p(?![ \d]{{0,2}}:){_VALUE}")
_USER_AND = re.compile(rf"\s(?:-[a-zA-Z]{{0,8}}[uU]|--user|--proxy-user|-a|--auth)[ =]?{_USER}{_VALUE}")
_AFTER_P = re.compile(rf"\s-(?:p|pw|P)[ =]?{_VALUE}")
_AFTER_A = re.compile(rf"\s(?:-a|--pass)[ =]{_VALUE}")
_AFTER_W = re.compile(rf"\s-w[ ]?{_VALUE}")
_THIRD = re.compile(rf"\s-\w{{0,6}}b\w{{0,6}}\s+\S{{1,128}}\s+\S{{1,64}}\s+{_VALUE}")
_PERCENT = re.compile(rf"\s-U[ =]?[\"']?[\w.\\/-]{{1,64}}%{_VALUE}")
_NET_USE = (
    re.compile(rf"\s\\\\\S{{1,128}}\s+{_VALUE}(?=\s+/user:)"),
    re.compile(rf"\s/user:\S{{1,64}}\s+{_VALUE}"),
)
_NET_USER = re.compile(r"\s+[\w.-]{1,64}\s+(?P<secret>[^\s/*\"'-]\S{2,64})")
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
_ECHO = re.compile(
    rf"\becho\s+(?:-[ne]+\s+)?{_VALUE}[\"']?\s*\|\s*(?:sudo|docker|passwd|chpasswd|su\b|kinit|podman|helm|gh |vault)"
)
_LONG = re.compile(
    rf"\s--?(?:[\w-]{{0,24}}-)?(?:password|passwd|passphrase|pwd|pass|secret|token|api-?key|storepass|keypass)"
    rf"[ ]+{_VALUE}"
)
_PASS_COLON = re.compile(r"\s-(?:pass|passin|passout)[ =]pass:(?P<secret>[^\s\"'|;&]{3,128})")
_LONG_USER = re.compile(rf"\s--(?:proxy-)?(?:auth|user|basic|creds|credentials)[ =]{_USER}{_VALUE}")
_ANYWHERE = (_ECHO, _LONG, _PASS_COLON, _LONG_USER)
_PROSE = frozenset(
    "option options flag flags argument arguments is and or for to with if prompt file the must should".split()
)
_NO_PORT = re.compile(r"\d{1,5}(?::\d{1,5})?\Z")


# Cheap tests before everything else: an option that could take a password, and what asks for one at a pipe's end.
_OPTION = re.compile(r" --?(?:[a-zA-Z]{0,8}[puawPUSb][ =:'\"\w]|[\w-]{0,24}(?:pass|pwd|secret|token|api|auth))")
_PIPE = re.compile(r"\| ?(?:sudo|passwd|chpasswd|su )")


def may_hold(text: str) -> bool:
    """Whether any option of `text` could take a password."""
    if " -" in text and _OPTION.search(text) is not None:
        return True
    return " /user:" in text or "net user " in text or ("| " in text and _PIPE.search(text) is not None)


def find(text: str) -> Iterator[PiiSpan]:
    """Values of password options, and what is piped to commands that ask for one."""
    for tool in _TOOL.finditer(text):
        limit = min(len(text), tool.end() + _REACH)
        for pattern in _patterns(tool["name"]):
            match = pattern.search(text, tool.end(), limit)
            if match is not None:
                yield from _of(match)
    for pattern in _ANYWHERE:
        for match in pattern.finditer(text):
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
