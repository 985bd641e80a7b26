"""Secrets given to a name: `DB_PASSWORD=x`, `"api_key": "x"`, `<password>x</password>`, `--token x`, `?sig=x`.

One pattern finds a stem of a telling name together with what joins it to a value, so that most lines stop there. Then
names are judged by `secret_names`, values by `secret_values`. Quotes may be escaped (JSON inside JSON) and signs
percent-encoded. Every repeat is bounded, those before a sign also possessive: no text makes the search slow.
"""

import re
from collections.abc import Iterator

from common.recognizers import secret_values
from common.recognizers.patterns import pattern
from common.recognizers.secret_names import FOREIGN_STEMS, Evidence, evidence
from common.recognizers.span import PiiKind, PiiSpan

# Stems of telling names, by their first letters: the search compares a character with few alternatives.
_STEMS = (
    "(?:pass|p(?:w|in|sk|hrase)|s(?:e(?:cret|ss|nha)|ig|alt|id|crt)|t(?:ok|kn)|key|k(?:ennw)|auth|c(?:red|ook|ode|ontras)"
    "|jwt|otp|_pat|wachtw|bearer|hmac|" + "|".join(FOREIGN_STEMS) + ")"
)
# Read in the lower-cased text. What follows the stem: the rest of the name, its closing quote, and one of the ways to
# join a value to it.
_JOINED = pattern(
    _STEMS
    + r"""
    (?P<tail>(?:\w|[.\-](?=\w)){0,48}+)
    (?:
      (?P<typed>(?:[ ]?:[ ]?[a-z<\[][\w<>\[\]|?.]{1,30}|[ ](?:string|str|text|\[\]byte))[ ]?:?=[ ]?)(?=["'`])
      |\]?(?P<close>\\{0,4}["'`]|&quot;|%22)?[\])]?(?:
        [\s,]{1,40}+\\{0,4}["']?value\\{0,4}["']?[ ]?(?P<value>[=:])[ ]?
        |(?:[ ]\w{1,20}=["'][^"'<>]{0,40}["']){0,3}(?P<tag>>)[ ]{0,4}
        |[ \t]{0,16}+(?P<sign>:=|=>|={1,3}|!==?|%3d|%3a|：|:(?!:))[ \t]{0,16}+
        |[ ]{0,4},[ ]{0,4}(?P<argument>(?=\\{0,4}["'`]))
        |(?P<call>\((?=["'`]))
      )
      |[ \t]{1,8}+(?P<space>
        (?P<prose>(?:for[ ][\w@.]{1,40}(?:[ ]is|[ ]was)?[ :]{1,3}|(?:is|was|to|of)[ :]{1,3})?)
        (?=\\?["']|[^\s]{0,40}\d))
    )""",
    re.VERBOSE,
)
_NAME_LEFT = pattern(r"[\w.\-]{0,64}")
_WORD_LEFT = pattern(r"[ :]([A-Za-z]{1,16})\b")  # read backwards
_OPEN = pattern(r"""(?:[@$bBrRuUfFLN]{1,2}(?=["']))?(?P<quote>\\{0,4}["'`]|&quot;|%22)""")
_INSIDE = {quote: pattern(rf"(?:[^{quote}\\\n]{{1,512}}+|\\.){{0,64}}+") for quote in "\"'`"}
_BARE = pattern(r"""[^\s"'`<>]{1,256}""")
_CUT = pattern(
    r"""[,;|)}\]\\](?=\Z|[\s"'nrtu]|[\w.\-]{1,40}[=:]|[)}\],;])|&(?:amp;)?(?=[\w.\-\[\]%]{1,40}=|\Z)"""
    r"""|%26(?=[\w.\-]{1,40}(?:=|%3[dD]))"""
)
_DIGIT = pattern(r"\d")
_GETTER = pattern(r"(?:get|fetch|read|load|find|check|is|has|validate|verify|resolve|lookup|require|use)(?![a-z])")
_LONGEST = 16_384
_SPLIT_NAMES = frozenset(("key", "keys", "token", "code", "id", "phrase"))


def find(text: str, lowered: str) -> Iterator[PiiSpan]:
    """The values alone; `lowered` is `text` in lower case and of the same length."""
    position = 0
    while (join := _JOINED.search(lowered, position)) is not None:
        position = join.end("tail")
        name = _name(text, join.start(), position)
        known = evidence(name)
        if known is Evidence.NONE or not _joins(text, join, name, known):
            continue
        span = _value(text, join, name, known)
        if span is not None:
            yield PiiSpan(span[0], span[1], PiiKind.SECRET)
            position = span[1]


def _name(text: str, stem: int, end: int) -> str:
    before = text[max(0, stem - 64) : stem][::-1]
    left = _NAME_LEFT.match(before)
    length = _end(left)
    name = text[stem - length : end]
    if name.lower() in _SPLIT_NAMES:  # "API key: x": the word before is part of the name
        word = _WORD_LEFT.match(before, length)
        return f"{word[1][::-1]} {name}" if word else name
    return name


def _end(match: re.Match[str] | None) -> int:
    """Of a pattern that matches everywhere."""
    assert match is not None
    return match.end()


def _joins(text: str, join: re.Match[str], name: str, known: Evidence) -> bool:
    """Whether what stands between is such a join also where it depends on what comes before the name."""
    before = text[join.end("tail") - len(name) - 1 : join.end("tail") - len(name)]
    if before == "[" and name in PiiKind.__members__:  # a marker of an earlier masking
        return False
    if join["tag"]:
        return before == "<" or join["close"] is not None
    if join["argument"] is not None:  # the first argument of a call: `put("password", "x")`
        return _is_first_argument(text, join, name)
    if name.lower().endswith(("authorization", "cookie")):  # see auth_headers
        return False
    return join["space"] is None or known is not Evidence.WEAK


def _is_first_argument(text: str, join: re.Match[str], name: str) -> bool:
    """`put("password", "x")`, `strcpy(password, "x")`, `setopt(h, OPT_USERPWD, "x")`, `fill("[name=key]", "x")`."""
    start = join.end("tail") - len(name) - (1 if join["close"] else 0)
    before = text[max(0, start - 40) : start].rstrip(" ")
    if before.endswith("("):
        return before[-2:-1].isalnum() or before[-2:-1] == "_"
    return before.endswith("name=") or (join["close"] is None and name.isupper() and "_" in name)


def _value(text: str, join: re.Match[str], name: str, known: Evidence) -> tuple[int, int] | None:
    opening = _OPEN.match(text, join.end())
    if opening is not None:
        if _is_closing(text, opening, join, name) or (join["call"] is not None and _GETTER.match(name)):
            return None
        return _quoted(text, opening, join, name, known)
    return _bare(text, join, name, known)


def _is_closing(text: str, opening: re.Match[str], join: re.Match[str], name: str) -> bool:
    """Whether the quote ends the text that the name stands in: `prompt='Password: '`."""
    start = join.end("tail") - len(name) - 1
    return join["close"] is None and start >= 0 and text[start] == opening["quote"]


def _quoted(
    text: str, opening: re.Match[str], join: re.Match[str], name: str, known: Evidence
) -> tuple[int, int] | None:
    start = opening.end()
    quote = opening["quote"]
    if len(quote) == 1:
        end = _end(_INSIDE[quote].match(text, start))
    else:
        end = text.find(quote, start, start + _LONGEST)
        end = end if end >= 0 else min(len(text), start + _LONGEST)
    value = text[start:end]
    if join["space"] is not None and not (_is_strong(value) or (name.lower() != "password" and name[0].islower())):
        return None
    if value[:7].lower() in ("bearer ", "basic d") or (join["space"] is not None and " " in value):
        return None  # see auth_headers; a sentence
    return (start, end) if secret_values.is_secret(value.strip(), known, quoted=True) else None


def _bare(text: str, join: re.Match[str], name: str, known: Evidence) -> tuple[int, int] | None:
    match = _BARE.match(text, join.end())
    if match is None or (known is Evidence.WEAK and _DIGIT.search(match[0]) is None):
        return None
    cut = _CUT.search(match[0])
    value = (match[0][: cut.start()] if cut else match[0]).rstrip(".,;:")
    if "#" in value and text.rfind("?", max(0, join.start() - 512), join.start()) >= 0:
        value = value[: value.index("#")]
    if not _reads_as_value(text, join, name, value, match.start() + len(value)):
        return None
    is_literal = name.isupper() and join["sign"] == "=" and join.end() - join.end("tail") == 1 and "(" not in value
    if not secret_values.is_secret(value, known, quoted=is_literal):
        return None
    return match.start(), match.start() + len(value)


def _reads_as_value(text: str, join: re.Match[str], name: str, value: str, end: int) -> bool:
    """Whether what follows the name without quotes is its value, and not the next word of a sentence or code."""
    if join["space"] is not None:
        if name.startswith("--") and not join["prose"]:
            return not value.startswith("-")
        return _is_strong(value) and (
            evidence(name) is Evidence.PASSWORD or name.isupper() or secret_values.looks_random(value, least=8)
        )
    if not secret_values.is_words(value):
        return True
    if join["sign"] != "=" or join.end() - join.end("tail") > 1:  # `password: words that go on`, `password = other`
        rest = text[end : end + 2].strip()
        if rest and rest[0] not in ",;}]&<#":
            return False
    return name.isupper() or evidence(value) is Evidence.NONE


def _is_strong(value: str) -> bool:
    """Letters and digits (or symbols) mixed, as no word of prose is."""
    has_digit = any(map(str.isdigit, value))
    has_other = any(map(str.isalpha, value))
    return len(value) >= 6 and has_digit and has_other and value.isascii() and "=" not in value and "/" not in value[1:]
