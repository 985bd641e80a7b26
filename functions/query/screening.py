"""The first look at a message: made uniform, bounded, and checked for signs of prompt injection.

Nothing is refused for its words: "Is $500,000 & 80% enough; or not?" is a normal question, and so is "Ignore the
previous valuation". Signals are noted on the turn and counted, those of the message and those of retrieved text, so
that somebody can look. They hold nothing back: whoever writes an attack knows how to avoid a list of words.
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from common.invisible import INVISIBLE, visible
from common.llm.chat import Passage
from common.problems import FieldError, InvalidRequest

# Zero-width and bidirectional controls hide text from a reader; other controls have no place in a question.
_DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn"}
_KEPT = {"\n", "\t"}
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")

DOCUMENT = "document"  # where a signal came from, in front of its name; those of the message have nothing there

_RULES = r"(?:instructions?|rules|prompts?|guidelines|directions|orders)"
_PROMPT = r"(?:system|hidden|initial|secret|internal|original|developer)\s+(?:prompt|instructions?|message|rules)"
# Looked for in text that `_views` made uniform: small letters, single spaces within a line.
_SIGNALS = {
    "ignore_instructions": re.compile(
        rf"\b(?:ignore|disregard|forget|override|bypass)\b.{{0,40}}\b{_RULES}\b"
        r"|\b(?:ignorier\w*|vergiss|missachte)\b.{0,40}\b(?:anweisung|regel|vorgabe)\w*"
        r"|\b(?:ignora\w*|olvida\w*|omite)\b.{0,40}\b(?:instruc|istruz|instru\u00e7|reglas|regole|regras)\w*"
        r"|\b(?:ignore[sz]?|oublie[sz]?)\b.{0,40}\b(?:consignes|instructions|r\u00e8gles)\b"
        r"|\b(?:игнорируй|забудь)\w*.{0,40}(?:инструкц|правил|указани)"
        r"|[忽无無][略视視].{0,20}[指规規][令示则則]|指[示令]を?無視",
        re.S,
    ),
    "reveal_prompt": re.compile(
        rf"\b(?:reveal|show|print|repeat|output|dump|recite|translate|summari[sz]e|encode|quote|display)\b.{{0,60}}"
        rf"\b(?:{_PROMPT}|(?:text|words|everything)\s+above|your\s+(?:{_PROMPT}|prompt|instructions))\b",
        re.S,
    ),
    "role_change": re.compile(
        r"\b(?:you are now|(?:please|must|shall|will|to|now) act as|act as if you|pretend (?:to be|you)"
        r"|developer mode|jailbr[eo]a?k\w*"
        r"|do anything now|from now on,? you|role-?play)\b"
    ),
    "fake_turn": re.compile(
        r"(?:^|\n)\W{0,4}(?:system|assistant|user|developer|model)\s*:|<\|[a-z_]{1,20}\|>|\[/?inst\]"
        r"|<(?:start|end)_of_turn>|</?(?:system|assistant|user|model)>"
    ),
    "fake_delimiter": re.compile(r"[<\u2039]\s*/?\s*(?:passages?|question)\b"),
    "fake_score": re.compile(
        r"\b(?:accuracy|completeness|clarity)\W{0,3}(?:[:=]|is|of|to)\s*\W?(?:1(?:\.0+)?|10|100)\b"
        r"|\bscores?\b.{0,30}\b(?:1\.0|10/10|100\s?%|full marks|highest)"
    ),
    "tool_call": re.compile(
        r"[\"'](?:tool_calls?|function_call|tool|function|tool_name)[\"']\s*:|</?(?:tool_call|function_calls?|invoke)\b"
        r"|\bcall the \w+ (?:tool|function|agent)\b"
    ),
    "address": re.compile(
        r"!\[[^\]\n]{0,200}\]\s?\(|<img\b|\b(?:append|include|insert|embed|send|post|add|fetch|open|load|call|render"
        r"|forward|upload)\b.{0,80}(?:https?://|www\.|\b[\w.-]{1,60}@[\w-])",
        re.S,
    ),
    "other_tenants": re.compile(
        r"\b(?:reveal|show|list|print|give|quote|search|include|output|repeat|read|copy)\b.{0,60}"
        r"\b(?:other|another|every|all)\s+(?:tenant|customer|client|lender|bank|compan(?:y|ie))\w*",
        re.S,
    ),
    "dictated_answer": re.compile(
        r"\b(?:say|state|answer|reply|respond|write|output|tell|confirm)\b.{0,60}\b(?:is |has been |as )?"
        r"(?:pre-?)?(?:approved|declined)\b"
    ),
}

_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{24,2000}={0,2}")
_HEX = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{2}[\s:]?){12,1000}")
_PERCENT = re.compile(r"(?:%[0-9a-f]{2}){6}", re.I)
_SPACED = re.compile(r"(?<!\w)(?:\w[ .\-_*|]){5,200}\w(?!\w)")
_BETWEEN = re.compile(r"[ .\-_*|]")
_SPACES = re.compile(r"[^\S\n]+")
_SPELLING = re.compile("[\U000e0000-\U000e01ef]")  # tag characters, and variation selectors that carry bytes
_BETWEEN_LETTERS = re.compile(rf"\w{INVISIBLE}{{1,8}}\w{INVISIBLE}{{1,8}}\w")
# Letters of other alphabets that look like ours, and digits and signs that stand for letters.
_LOOKALIKES = str.maketrans("асеорхуіјѕԁɡһӏαορτυινκ", "aceopxyijsdghlaoptuivk")
_MIXED = re.compile(r"[a-z][013457@$]{1,3}[a-z]")
_LEET = str.maketrans("013457@$", "oieastas")


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """`text` is NFC without characters that nobody sees; `signals` names what looked like prompt injection."""

    text: str
    signals: tuple[str, ...]


def screen(message: str, *, max_characters: int) -> Screened:
    """`message`, cleaned and bounded.

    Raises:
        InvalidRequest: nothing readable is left, or the message is too long.
    """
    if len(message) > max_characters:
        raise _refused(f"The message has {len(message):,} characters; at most {max_characters:,} are taken.")
    normal = visible(unicodedata.normalize("NFC", _LINE_ENDS.sub("\n", message)))
    text = "".join(
        letter for letter in normal if letter in _KEPT or unicodedata.category(letter) not in _DROPPED
    ).strip()
    if not any(letter.isalnum() for letter in text):
        raise _refused("The message holds no letters or digits.")
    return Screened(text=text, signals=signals_in(message))


def document_signals(passages: Iterable[Passage]) -> tuple[str, ...]:
    """The signals in retrieved text, titles, headings and sources, each once, as in "document:fake_turn"."""
    texts = dict.fromkeys(
        text for one in passages for text in (one.title, one.heading, one.source or "", one.text) if text
    )
    found = dict.fromkeys(signal for text in texts for signal in signals_in(text))
    return tuple(f"{DOCUMENT}:{signal}" for signal in found)


def signals_in(text: str) -> tuple[str, ...]:
    """What in `text` looks like prompt injection, also where it is disguised; "hidden_text" and "encoded" name how."""
    plain, *decoded = _views(text)
    found = {name for name, pattern in _SIGNALS.items() if pattern.search(plain)}
    beneath = {name for name, pattern in _SIGNALS.items() for view in decoded if pattern.search(view)} - found
    if beneath:
        found |= beneath | {"encoded"}
    if _hides_words(text):
        found.add("hidden_text")
    return tuple(name for name in (*_SIGNALS, "encoded", "hidden_text") if name in found)


def _views(text: str) -> Iterator[str]:
    """`text` made uniform, then each form in which words of it may hide."""
    seen = visible(text)
    plain = _uniform(seen)
    yield plain
    if (lookalike := plain.translate(_LOOKALIKES)) != plain:
        yield lookalike
    if _MIXED.search(plain):
        yield plain.translate(_LEET)
    if _SPACED.search(seen):
        yield _uniform(_SPACED.sub(lambda match: _BETWEEN.sub("", match[0]), seen))
    if _PERCENT.search(seen):
        yield _uniform(unquote(seen))
    for payload in _payloads(seen):
        yield _uniform(payload)
    if tags := "".join(chr(ord(letter) - 0xE0000) for letter in text if "\U000e0020" <= letter <= "\U000e007e"):
        yield _uniform(tags)


def _payloads(text: str) -> Iterator[str]:
    """What Base64 and hexadecimal strings in `text` say, where it is text."""
    for match in _ENCODED.finditer(text):
        packed = match[0].rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
        yield from _readable(base64.b64decode, packed + "=" * (-len(packed) % 4))
    for match in _HEX.finditer(text):
        yield from _readable(binascii.unhexlify, re.sub(r"[\s:]", "", match[0]))


def _readable(decode: Callable[[str], bytes], packed: str) -> Iterator[str]:
    try:
        said = decode(packed).decode("ascii")
    except ValueError:  # binascii.Error and UnicodeDecodeError are kinds of it
        return
    if said.isprintable():
        yield said


def _hides_words(text: str) -> bool:
    """Whether characters that nobody sees spell something, or stand between letter and letter: not a soft hyphen."""
    return bool(_SPELLING.search(text) or _BETWEEN_LETTERS.search(text))


def _uniform(text: str) -> str:
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text).casefold())


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest(reason, errors=[FieldError(pointer="/message", detail=reason)])
