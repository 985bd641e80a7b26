"""Secrets in source code that no name precedes: literals given to calls such as `jwt.decode(raw, "x")`.

A short list of words in a callee's name makes its quoted arguments candidates; algorithms, hosts and encodings among
them are known by their form.
"""

import re
from collections.abc import Iterator

from common.recognizers import secret_values
from common.recognizers.gates import CALL_OPENING
from common.recognizers.patterns import pattern
from common.recognizers.secret_names import Evidence
from common.recognizers.span import PiiKind, PiiSpan

_WORD_OPENING = pattern(r"""(?:identified (?:with \w{1,32} )?by|securestring(?: -string)?) (?=["'])""")
_CALLEE = pattern(
    r"""(?P<name>auth|login|logon|signin|credential|securestring|secure_string|password|passwd|secretkeyspec|hmac|jwt
        |fernet|cipher|encrypt|decrypt|signwith|verifywith|hashsync|bcrypt|pbkdf2|scrypt|argon2|secret|token|apikey|api_key
        |getconnection|connect|signer|serializer|setsigningkey|wifi\.begin|send_keys|ws\.begin|keyspec|access_?key
        |mac\.new|sign|\bkey)
    """,
    re.VERBOSE,
)
_CALLEE_REACH = 48
_LAST_WORD = pattern(r"[ =:]{0,3}(?:wen )?[ =:]{0,3}([\w.]{1,40})")  # read backwards; "wen" is new
_ARGUMENTS = pattern(
    r"""(?:[^)"'\n]{0,80}(?:\\?"(?:[^"\\\n]|\\.){0,256}"|'(?:[^'\\\n]|\\.){0,256}'|\([^()"'\n]{0,40}\))){1,6}"""
)
_LITERAL = pattern(r"""(?P<before>[\w=:\[.]{0,24})(?P<quote>["'])(?P<value>(?:[^"'\\\n]|\\.){0,256})(?P=quote)""")
# What else stands in such calls: algorithms, hosts, addresses, content types, field names, formats.
_ORDINARY = pattern(
    r"""(?:[HRPE]S\d{3}|h?mac|sha|md5|aes|rsa|des|utf|ascii|latin|base64|hex|binary|pkcs|bcrypt|argon|pbkdf|ecdsa|ed25519
        |jdbc|tcp|http|ws|localhost|x-|application/|text/|\d{1,3}(?:\.\d{1,3}){3}|[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}(?::\d+)?\Z
        |[\w.+-]{1,64}@[\w-]{1,64}\.|[\w-]{1,24}=[^=]|\.|\#|\\x|(?-i:[A-Z0-9_]{1,24})\Z)""",
    re.VERBOSE | re.IGNORECASE,
)
_PASSWORD_CALLS = frozenset(("auth", "login", "logon", "signin", "credential", "getconnection", "connect", "wifi.begin",
                             "ws.begin", "securestring", "secure_string", "password", "passwd"))  # fmt: skip


def find(text: str, lowered: str) -> Iterator[PiiSpan]:
    """Literals that can only be the key or the password of the call; `lowered` is `text` in lower case."""
    position = 0
    while (opening := CALL_OPENING.search(text, position)) is not None:
        position = opening.end()
        word = _LAST_WORD.match(lowered[max(0, opening.start() - _CALLEE_REACH) : opening.start()][::-1])
        callee = _CALLEE.search(word[1][::-1]) if word is not None else None
        arguments = _ARGUMENTS.match(text, position) if callee is not None else None
        if callee is not None and arguments is not None:
            yield from _of(arguments, takes_password=callee["name"] in _PASSWORD_CALLS)
            position = arguments.end()


def find_worded(text: str, lowered: str) -> Iterator[PiiSpan]:
    """`IDENTIFIED BY 'x'` (SQL) and `ConvertTo-SecureString "x"` (PowerShell)."""
    for opening in _WORD_OPENING.finditer(lowered):
        literal = _LITERAL.match(text, opening.end())
        if literal is not None and secret_values.is_secret(literal["value"], Evidence.PASSWORD, quoted=True):
            yield PiiSpan(literal.start("value"), literal.end("value"), PiiKind.SECRET)


def _of(arguments: re.Match[str], *, takes_password: bool) -> Iterator[PiiSpan]:
    for index, literal in enumerate(_LITERAL.finditer(arguments.string, arguments.start(), arguments.end())):
        if literal["before"].endswith(("=", ":", "[")):
            continue  # named: see assigned_secrets
        if _is_secret(literal["value"], is_second=takes_password and index > 0):
            yield PiiSpan(literal.start("value"), literal.end("value"), PiiKind.SECRET)


def _is_secret(value: str, *, is_second: bool) -> bool:
    if len(value) < 5 or _ORDINARY.match(value) or secret_values.is_placeholder(value) or secret_values.is_path(value):
        return False
    if secret_values.is_words(value) or " " in value or ("/" in value and value == value.lower()):
        return False
    return is_second or (len(value) >= 8 and any(map(str.isdigit, value)) and not value.isdigit())
