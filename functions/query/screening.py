"""The first look at a message: made uniform, bounded, and checked for signs of prompt injection.

Nothing is refused for its words: "Is $500,000 & 80% enough; or not?" is a normal question. Signals are noted on the
turn, since retrieved and e-mailed text is data whatever it says.
"""

import re
import unicodedata
from dataclasses import dataclass

from common.problems import FieldError, InvalidRequest

# Zero-width and bidirectional controls hide text from a reader; other controls have no place in a question.
_DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn"}
_KEPT = {"\n", "\t"}

_SIGNALS = {
    "ignore_instructions": re.compile(
        r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|rules|prompts?|guidelines)\b", re.I | re.S
    ),
    "reveal_prompt": re.compile(
        r"\b(?:reveal|show|print|repeat|output)\b.{0,30}\b(?:system|hidden|initial)\s+(?:prompt|instructions?)\b",
        re.I | re.S,
    ),
    "role_change": re.compile(r"\b(?:you are now|act as|pretend to be|developer mode|jailbreak)\b", re.I),
    "fake_turn": re.compile(r"(?:^|\n)\s*(?:system|assistant|user)\s*:|<\|[a-z_]{1,20}\|>|\[/?INST\]", re.I),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """`text` is NFC without control characters; `signals` names what looked like prompt injection."""

    text: str
    signals: tuple[str, ...]


def screen(message: str, *, max_characters: int) -> Screened:
    """`message`, cleaned and bounded.

    Raises:
        InvalidRequest: nothing readable is left, or the message is too long.
    """
    if len(message) > max_characters:
        raise _refused(f"The message has {len(message):,} characters; at most {max_characters:,} are taken.")
    normal = unicodedata.normalize("NFC", message)
    text = "".join(
        letter for letter in normal if letter in _KEPT or unicodedata.category(letter) not in _DROPPED
    ).strip()
    if not any(letter.isalnum() for letter in text):
        raise _refused("The message holds no letters or digits.")
    return Screened(text=text, signals=tuple(name for name, pattern in _SIGNALS.items() if pattern.search(text)))


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest(reason, errors=[FieldError(pointer="/message", detail=reason)])
