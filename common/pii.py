"""Personal data and secrets in texts: found, masked, or swapped for pseudonyms.

The recognisers in common/recognizers say what each kind is; this module joins them. What finds nothing costs little:
every recogniser stands behind a test that most texts fail, and the four kinds that are made of digits share one scan.
Everything is pure and linear in the length of the text.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from common.recognizers import gates, secrets
from common.recognizers.span import PiiKind, PiiSpan

__all__ = [
    "ALL_KINDS", "PiiKind", "PiiSpan", "Pseudonyms", "configure", "detect", "detect_all", "mask", "mask_value",
    "on_masked",
]  # fmt: skip

ALL_KINDS = frozenset(PiiKind)

# Where two kinds claim the same characters equally, the first in this order has them.
_PRIORITY = {kind: rank for rank, kind in enumerate("SECRET CREDIT_CARD IBAN SSN US_BANK EMAIL PHONE IP".split())}
_MARKERS = {kind: f"[{kind}]" for kind in PiiKind}


class _Setup(NamedTuple):
    """What is looked for. Never changed, only swapped for another, so that threads see the old or the new one."""

    kinds: frozenset[PiiKind]
    allowed: frozenset[str]
    pseudonyms: "Pseudonyms | None"


_setup = _Setup(ALL_KINDS, frozenset(), None)
_hooks: tuple[Callable[[PiiKind], None], ...] = ()
_lock = threading.Lock()


def configure(
    *,
    kinds: Iterable[str] | str = "all",
    allow: Iterable[str] = (),
    pseudonyms: "Pseudonyms | None" = None,
) -> None:
    """Set for the whole process which kinds are found, and which literal texts never are; what is not given is reset.

    `kinds` is "all", or names of kinds, also as one text with commas. `allow` compares whole values, whatever their
    case. With `pseudonyms`, `mask` writes keyed pseudonyms instead of plain markers.

    Raises:
        ValueError: a name in `kinds` is that of no kind.
    """
    global _setup  # one immutable object, swapped
    _setup = _Setup(_kinds_of(kinds), frozenset(text.strip().casefold() for text in allow), pseudonyms)


def _kinds_of(kinds: Iterable[str] | str) -> frozenset[PiiKind]:
    if isinstance(kinds, str):
        kinds = kinds.split(",")
    names = {name.strip().upper() for name in kinds} - {""}
    return ALL_KINDS if "ALL" in names else frozenset(map(PiiKind, names))


def on_masked(hook: Callable[[PiiKind], None]) -> None:
    """Have `hook` called with the kind of every span that is masked from now on; adding it again changes nothing."""
    global _hooks  # swapped, as the setup is
    with _lock:
        if hook not in _hooks:
            _hooks = (*_hooks, hook)


def detect(text: str) -> list[PiiSpan]:
    """Personal data and secrets in `text`, left to right, never overlapping.

    Of two finds that overlap the longer gives its kind, and both their characters are covered.
    """
    setup = _setup
    found = _candidates(text)
    if setup.kinds is not ALL_KINDS:
        found = [span for span in found if span.kind in setup.kinds]
    if not found:
        return found
    spans = _merged(found)
    if setup.allowed:
        spans = [span for span in spans if text[span.start : span.end].casefold() not in setup.allowed]
    return spans


def detect_all(text: str) -> list[PiiSpan]:
    """As `detect`, of every kind and whatever is allowed: what `configure` says is about masking alone."""
    found = _candidates(text)
    return _merged(found) if found else found


def _candidates(text: str) -> list[PiiSpan]:
    """What the recognisers find, in no order. Each stands behind a test that most log lines fail."""
    lowered = gates.lower(text)
    found = secrets.find(text, lowered)
    if gates.may_hold_emails(lowered):
        from common.recognizers import email

        found += email.find(text, lowered)
    flat = text if text.isascii() and "%2" not in text and "+" not in text else _plain(text)
    shape = gates.shape_of(flat)
    if "00a00" in shape and "_" in flat:
        flat = _without_underscores(flat)
        shape = gates.shape_of(flat)
    if gates.may_hold_ips_4(shape):
        from common.recognizers import ip

        found += ip.find_4(flat)
    if gates.may_hold_ips_6(flat, shape):
        from common.recognizers import ip

        found += ip.find_6(flat)
    if gates.may_hold_ibans(shape):
        from common.recognizers import iban

        found += iban.find(flat)
    if gates.may_hold_numbers(flat, lowered, shape):
        found += _numbers(flat, lowered)
    return found if flat is text else [_on_text(span, text) for span in found]


def _numbers(text: str, lowered: str) -> Iterator[PiiSpan]:
    """The four kinds that are made of digits share one scan."""
    from common.recognizers import bank, cards, phone, runs, ssn

    stretches = runs.runs(text, is_worded=gates.may_label(lowered))
    for find in (ssn.find, cards.find, bank.find, phone.find):
        yield from find(stretches)


def _plain(text: str) -> str:
    from common.recognizers.plain import plain

    return plain(text)


def _without_underscores(text: str) -> str:
    from common.recognizers.plain import without_underscores

    return without_underscores(text)


def _on_text(span: PiiSpan, text: str) -> PiiSpan:
    """`span` with the whole of a sign that is percent-encoded in `text` and stands at its beginning: "%2B1415..."."""
    start = span.start
    if start >= 2 and text[start - 2] == "%" and text[start - 1 : start + 1].lower() in {"2b", "28"}:
        start -= 2
    return PiiSpan(start, span.end, span.kind)


def _merged(found: list[PiiSpan]) -> list[PiiSpan]:
    if len(found) == 1:
        return found
    found.sort()
    spans = found[:1]
    for span in found[1:]:
        last = spans[-1]
        if span.start >= last.end:
            spans.append(span)
        else:
            best = min(last, span, key=lambda one: (one.start - one.end, _PRIORITY[one.kind]))
            spans[-1] = PiiSpan(last.start, max(last.end, span.end), best.kind)
    return spans


def mask(text: str) -> str:
    """`text` with a marker in place of every find, as in "[EMAIL]"; the same object when there is none."""
    spans = detect(text)
    if not spans:
        return text
    for hook in _hooks:
        for span in spans:
            hook(span.kind)
    pseudonyms = _setup.pseudonyms
    if pseudonyms is None:
        return _replaced(text, spans, lambda kind, _value: _MARKERS[kind])
    return _replaced(text, spans, pseudonyms.of)


def mask_value(value: object) -> object:
    """A copy of `value` of any type and depth without personal data and secrets; never raises (common/masking.py)."""
    from common import masking

    return masking.mask_value(value, mask)


def _replaced(text: str, spans: list[PiiSpan], replacement: Callable[[PiiKind, str], str]) -> str:
    parts: list[str] = []
    position = 0
    for start, end, kind in spans:
        parts += (text[position:start], replacement(kind, text[start:end]))
        position = end
    return "".join((*parts, text[position:]))


class Pseudonyms:
    """Keyed stand-ins for personal data, by which lines of one person can be told together."""

    def __init__(self, key: bytes) -> None:
        """With `key`, of any length but zero, the same value has the same keyed pseudonym in every process.

        Raises:
            ValueError: the key is empty.
        """
        if not key:
            raise ValueError("The key of pseudonyms is empty.")
        self._key = key

    def of(self, kind: PiiKind, value: str) -> str:
        """A keyed pseudonym, "[EMAIL:3f2a91c4]": eight hexadecimal digits of HMAC-SHA-256 over the normalised value."""
        import hmac

        digest = hmac.digest(self._key, f"{kind}:{_normalised(kind, value)}".encode("utf-8", "surrogatepass"), "sha256")
        return f"[{kind}:{digest[:4].hex()}]"

    def mask(self, text: str) -> str:
        """`text` with a keyed pseudonym for every find; the same object when there is none."""
        spans = detect(text)
        return _replaced(text, spans, self.of) if spans else text


def _normalised(kind: PiiKind, value: str) -> str:
    """One spelling for all that mean the same: e-mail addresses without case, numbers without separators."""
    if kind is PiiKind.SECRET:
        return value
    if kind in {PiiKind.EMAIL, PiiKind.IP}:
        return value.casefold().replace("%40", "@")
    return "".join(filter(str.isalnum, _plain(value))).upper()
