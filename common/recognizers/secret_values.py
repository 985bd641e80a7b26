"""Whether a value can be a secret: no placeholder, no reference, no id, and random where the name says little."""

import re
from math import log2

from common.recognizers.patterns import pattern
from common.recognizers.secret_names import Evidence, evidence

_PLACEHOLDER = pattern(
    r"""[<\[(].{0,200}\Z                             # <your key>, [SECRET], ("x"
    |[{](?!(?-i:[A-Z]{3,8})[}])[^}=+/]{0,100}[}]?\Z # {token}, but not {SSHA}x or {AQAAABAAA=}
    |.{0,64}[{](?-i:[a-z_][a-z_.\d]{0,40})?[}:!]     # an f-string
    |.{0,64}(?:\$\{|\$\(|\{\{|\{%|<%|%\(|\#\{|\*{3}|\.{3}|\u2026|\u2022{3}|EXAMPLE)  # ${X}, {{ x }}, ****, sk-...
    |\$[A-Za-z_]\w{0,64}\Z|%[A-Za-z_]\w{0,64}%\Z|%[-+0]?[bcdefgosqvxX]\Z|@\w{1,64}@\Z|\$\d\Z|:[a-z_]{2,40}\Z|\?\Z
    |(.)\1{3,}\Z|[xX]{4,}|[*.\u2022#_-]{3,}\Z|\#[0-9a-fA-F]{3,8}\Z|!(?:vault|Ref|Sub|secret|env)|@[a-z]
    |(?:your|insert|example|sample|dummy|placeholder|redacted|removed|hidden|masked|filtered|todo|fixme)
       (?:[-_ .]?[A-Za-z]{1,20}){0,8}[-_ .!0-9]{0,3}\Z
    |(?:my|the|some|enter|replace|change|put|add|fake|test)(?:[-_ .][A-Za-z]{1,20}){1,8}\Z
    |(?:List|Dict|Optional|Union|Set|Tuple)\[|.{1,200}:\Z|0x[0-9a-f]{1,8}\Z   # a type, a prompt, a constant
    |[x*!]:\d{1,6}:                                     # a line of /etc/passwd
    |(?:vault|arn|file|env|op|ref|ssm|secretsmanager|secret|sm|data|https?|kms):[^\d]
    |.{0,64}(?:redacted|placeholder|goes.here|[_-]here\b|\bhere\Z|change.?me)
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_EMPTY_WORDS = frozenset(
    "null none nil undefined true false yes no on off tbd n/a na unknown empty unset missing default string str "
    "text bool boolean int integer number bytes any object optional required invalid valid expired incorrect wrong "
    "failed failure failing success successful ok okay error denied accepted rejected changed updated reset set "
    "enabled disabled found not is was for and or the with from to has been must should can may will never always "
    "needed provided mismatch verified created deleted revoked refreshed generated rotated basic bearer digest "
    "negotiate ntlm oauth oauth2 jwt secret password passwd token key apikey api_key username user varchar char "
    "blob file env auto inherit initial self this function static private public const let var return new void "
    "final protected async await fail skip warn def class prompt ask stdin sensitive authentication authorization "
    "internal external plain login md5 sha1 sha256 scram-sha-256 trust peer value val data result credentials pass "
    "pwd".split()
)
_UUID = pattern(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")
_HEX = pattern(r"(?:0x)?[0-9a-fA-F]{8,}\Z")
_REFERENCE = pattern(
    r"""[A-Za-z_$&*][\w$]{0,100}(?:[(\[{]                                 # a call, an index, Token{9f4ef63 ...
    |(?:(?:\.|->|::|\?\.|!\.|!!\.)[A-Za-z_$][\w$]{0,100}){1,12}(?:[(\[{/].{0,200})?\Z)    # an attribute, com.app/.x
    |[A-Za-z_$][A-Za-z$]{0,40}_(?:[A-Za-z_$]{1,60}|\d)\Z""",  # a variable
    re.DOTALL | re.VERBOSE,
)
_WORDS = pattern(r"\W{0,2}[A-Za-z]{1,40}(?:[-_ .:/,'\u2019]{1,2}[A-Za-z]{1,40}){0,20}\W{0,2}\Z")
_NAMES = pattern(r"[A-Za-z]{1,40}(?:[-_. ][A-Za-z]{1,40}|[A-Z][a-z]{1,40}){1,6}\Z")
_PATH = pattern(
    r"(?:~|\.{1,2})?/[A-Za-z_.-]{1,40}(?:/[A-Za-z_.-]{1,40}){0,12}/?\Z|\.[a-z_]{1,40}(?:\.\w{1,40}){1,8}\Z|"
    r"(?:~|\.{1,2}|[\w.-]{1,40})?/[\w.@-]{1,80}(?:/[\w.@-]{0,80}){0,20}\.[A-Za-z]{1,10}\Z"
    r"|(?:~|\.{1,2})?/(?:[\w.-]{1,20}/){1,20}[\w.-]{0,80}\Z|[A-Za-z]:\\|[a-z0-9+]{2,12}://"
    r"|\d{1,6}(?:\.\d{1,9}){1,8}\Z|(?:com|org|net|io)\.[\w.]{3,200}(?:/[\w.]{1,80})?\Z"
    r"|[\w-]{1,64}\.(?:pem|key|crt|cer|p12|pfx|jks|json|ya?ml|txt)\Z"
)
_SAME_CLASS = pattern(r"[A-Z]?[a-z]+|[A-Z]+|\d+|[^a-zA-Z\d]+")
_DIGIT = pattern(r"\d")
_DATE = pattern(r"\d{4}-\d\d-\d\d|\d{1,2}:\d\d")


def is_placeholder(value: str) -> bool:
    """Whether `value` only stands for a value: `<key>`, `${KEY}`, `xxxx`, `null`, `[SECRET]`."""
    return not value or value.lower() in _EMPTY_WORDS or _PLACEHOLDER.match(value) is not None


def is_reference(value: str) -> bool:
    """Whether `value`, written without quotes, is code: a variable, an attribute, a call, an index."""
    return _REFERENCE.match(value) is not None


def is_words(value: str) -> bool:
    """Letters alone, in words: prose, a label, or the name of something."""
    return _WORDS.match(value) is not None


def is_path(value: str) -> bool:
    """Whether `value` is a file's path, a URL or a qualified name."""
    return _PATH.match(value) is not None


def is_id(value: str) -> bool:
    """UUIDs and hexadecimal digests: secrets only under a name that says so."""
    return _UUID.match(value) is not None or _HEX.match(value) is not None


def changes(value: str) -> float:
    """How often words end, a character: .35 and more where random, .25 and less in camel case."""
    return (len(_SAME_CLASS.findall(value)) - 1) / max(len(value), 1)


def entropy(value: str) -> float:
    """Shannon's, in bits a character."""
    counts = [value.count(character) for character in set(value)]
    return -sum(count / len(value) * log2(count / len(value)) for count in counts)


def looks_random(value: str, *, least: int = 16) -> bool:
    """Whether `value` was drawn by a machine: long, with digits, and changing between classes as words never do."""
    part = value[:256]
    if not least <= len(value) <= 4096 or part.isdigit() or " " in value or _DIGIT.search(part) is None:
        return False
    if changes(part) < 0.28 or entropy(part) < 3.0:
        return False
    return not is_path(value) and _DATE.match(value) is None


def is_secret(value: str, name: Evidence, *, quoted: bool) -> bool:
    """Whether `value` under a name of that evidence is a secret; `quoted` literals are never variables."""
    if name is Evidence.WEAK and (is_id(value) or not looks_random(value)):
        return False  # first, for this is most names' evidence and cheap to tell
    if is_placeholder(value) or is_path(value):
        return False
    if name is Evidence.DIGITS:
        return value.isdigit() and 4 <= len(value) <= 8
    if not quoted and is_reference(value):
        return False
    if name is Evidence.PASSWORD:
        return len(value) >= 3 and not _is_label(value)
    if name is Evidence.WEAK:
        return True
    if name is Evidence.SESSION:
        return looks_random(value, least=20) and not _UUID.match(value)
    if len(value) < 6 or (value.isdigit() and len(value) < 10):
        return False
    if name is Evidence.SECRET and quoted:
        return not _is_label(value)
    return not is_words(value)


def _is_label(value: str) -> bool:
    """Text of a user interface (`Enter your password`), or the name of something (`db_password`)."""
    if " " in value:
        return is_words(value)
    return _NAMES.match(value) is not None and evidence(value) is not Evidence.NONE
