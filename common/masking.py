"""Masking of any value that may be logged: nested containers, models, exceptions, bytes, things that cannot print.

The answer is made of new dicts, lists, tuples, sets and texts; the caller's objects are never touched. What goes wrong
inside a foreign `__str__` or `__iter__` stays there. Depth, breadth and size are bounded, for a log line is no archive.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import cast
from uuid import UUID

from common.recognizers import secret_values
from common.recognizers.secret_names import Evidence, evidence, is_secret_name

MAX_DEPTH = 8
MAX_ITEMS = 200  # of one container
MAX_NODES = 5_000  # of a whole value
MAX_TEXT = 65_536  # code points of one text
MAX_ALL_TEXT = 262_144  # code points of all texts of a value
# So much behind the cut is masked as well and then dropped: nothing that the cut halves escapes the recognisers.
_LOOK_AHEAD = 4_096

SECRET = "[SECRET]"  # noqa: S105  # the marker
CYCLE = "[cycle]"
LEFT_OUT = "[left out: too large]"
_PLAIN = frozenset((bool, type(None), datetime, date, time, timedelta, UUID))
_SHORT = 128  # code points: names, and values that their names may explain
# Names of what a field holds that say nothing of it: `{"ssn": {"value": ...}}`.
_GENERIC = frozenset("value values val raw data content item items list string".split())
_NAMERS = frozenset(("name", "key", "field"))  # `{"name": "ssn", "value": ...}`
_MAX_NAMES = 3  # that a value is read with, from the outside in
# What could be a card, an account or a phone number: 8 to 19 digits.
_LEAST_NUMBER = 10**7
_BEYOND_NUMBERS = 10**19
_LEAST_DIGITS = 8

Mask = Callable[[str], str]
Names = tuple[str, ...]


def mask_value(value: object, mask: Mask) -> object:
    """A copy of `value` without personal data and secrets; never raises, never changes `value`.

    Texts go through `mask` and are cut to `MAX_TEXT`, with a note of how much is missing. What stands under a
    secret-like name becomes `[SECRET]`, also in pairs such as `("X-Api-Key", "...")` and `["X-Api-Key", "..."]`. A name
    explains what stands below it at any depth: `{"ssn": [{"value": "..."}]}`. Dataclasses, named tuples and
    models become dicts, bytes and exceptions texts, other objects their masked `repr`, broken ones
    `[unprintable TypeName]`.
    """
    return _Walk(mask).value(value, 0)


def printable(text: str) -> str:
    r"""`text` with lone surrogates as escapes (`\udc80`), so that it can be encoded."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text


class _Walk:
    """One value's masking: what is left of its bounds, and the containers on the way down."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._nodes = MAX_NODES
        self._characters = MAX_ALL_TEXT
        self._above: set[int] = set()

    def value(self, value: object, depth: int, names: Names = ()) -> object:
        """`value` masked, which stands in a container below `names`."""
        kind = type(value)
        if kind is str:
            return self.text(cast("str", value))
        if kind in _PLAIN:
            return value
        try:
            return self._other(value, depth, names)
        except Exception:  # noqa: BLE001  # foreign code: whatever its __str__ or __iter__ raises ends here
            return f"[unprintable {printable(kind.__name__)}]"

    def text(self, text: str) -> str:
        """Masked, printable, at most `MAX_TEXT` long without its note."""
        if self._characters <= 0:
            return LEFT_OUT
        limit = min(MAX_TEXT, self._characters)
        self._characters -= len(text)
        if len(text) <= limit:
            return printable(self._mask(text))
        # Masking may shorten what was cut: of the masked text the part that stems from the look-ahead is dropped.
        kept = self._mask(text[: limit + _LOOK_AHEAD])[:-_LOOK_AHEAD]
        return f"{printable(kept)}[{len(text) - limit} more characters]"

    def _other(self, value: object, depth: int, names: Names) -> object:
        if isinstance(value, int | float):
            return self._number(value, value)
        if isinstance(value, Decimal):
            return self._number(value, int(value) if value.is_finite() and value == int(value) else 0)
        if isinstance(value, str):
            return self.text(str.__str__(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes(value)
        if isinstance(value, BaseException):
            return f"{type(value).__name__}: {self.text(str(value))}"
        if id(value) in self._above:
            return CYCLE
        parts = _parts(value)
        if parts is None:
            return self.text(repr(value))
        if depth >= MAX_DEPTH:
            return f"[{type(value).__name__} at depth {depth}]"
        self._above.add(id(value))
        try:
            return self._container(value, parts, depth + 1, names)
        finally:
            self._above.discard(id(value))

    def _number(self, value: object, number: float) -> object:
        """`value`, which is `number`, or a marker where its digits are personal data by themselves."""
        if not _LEAST_NUMBER <= abs(number) < _BEYOND_NUMBERS or number != int(number):
            return value
        digits = str(abs(int(number)))
        masked = self._mask(digits)
        return value if masked == digits else masked

    def _bytes(self, value: bytes | bytearray | memoryview) -> str:
        size = len(value)
        text = bytes(value[: MAX_TEXT + _LOOK_AHEAD]).decode(errors="backslashreplace")
        note = f"[{size - MAX_TEXT - _LOOK_AHEAD} more bytes]" if size > MAX_TEXT + _LOOK_AHEAD else ""
        return self.text(text) + note

    def _container(self, value: object, parts: Iterable[object], depth: int, names: Names) -> object:
        if _is_named(value):
            return self._fields(parts, depth, names)
        if isinstance(value, list | tuple) and len(value) == 2 and _may_explain(value[0]):  # a header
            pair = [self._named(names, value[0], depth), self._named(_below(names, value[0]), value[1], depth)]
            return tuple(pair) if isinstance(value, tuple) else pair
        masked = [self._named(names, part, depth) for part in self._bounded(parts)]
        if isinstance(value, tuple):
            return tuple(masked)
        return _as_set(value, masked) if isinstance(value, Set) else masked

    def _bounded(self, parts: Iterable[object]) -> Iterator[object]:
        """At most `MAX_ITEMS` of `parts`, and no more than are left for the whole value; then a note."""
        iterator = iter(parts)
        for part in islice(iterator, MAX_ITEMS):
            if self._nodes <= 0:
                break
            self._nodes -= 1
            yield part
        else:
            if next(iterator, iterator) is iterator:
                return
        yield LEFT_OUT

    def _fields(self, parts: Iterable[object], depth: int, names: Names) -> dict[object, object]:
        out: dict[object, object] = {}
        for part in self._bounded(parts):
            if part is LEFT_OUT:
                out[LEFT_OUT] = LEFT_OUT
                continue
            name, value = cast("tuple[object, object]", part)
            key = self._key(name)
            while key in out:  # two addresses as keys: both are `[EMAIL]`
                key = f"{key} ({len(out)})"
            out[key] = self._named(_below(names, name), value, depth)
            if name in _NAMERS and _may_explain(value):
                names = _below(names, value)
        return out

    def _key(self, name: object) -> object:
        """`name` masked, as something that can be hashed: containers as text."""
        return self.value(name, MAX_DEPTH) if _parts(name) is None else self.text(repr(name))

    def _named(self, names: Names, value: object, depth: int) -> object:
        """`value`, knowing what it is called: by the last of `names`, and by those around it."""
        if value is None or isinstance(value, bool) or not names:
            return self.value(value, depth, names)
        if is_secret_name(names[-1]):
            return value if _is_empty(value) else SECRET
        masked = self.value(value, depth, names)
        if not isinstance(value, str | int) or masked != value:
            return masked
        text = str(value)
        if len(text) > _SHORT:
            return masked
        known = evidence(names[-1])
        if known is not Evidence.NONE and secret_values.is_secret(text, known, quoted=True):
            return SECRET
        return self._in_context(names, text, masked)

    def _in_context(self, names: Names, text: str, masked: object) -> object:
        """What only its name gives away: nine digits under `ssn`, eight under `number` under `account`."""
        if sum(map(str.isdigit, text)) < _LEAST_DIGITS:
            return masked
        for name in dict.fromkeys((" ".join(names), names[-1])):
            before = f"{name}: "
            whole = self._mask(before + text)
            if whole != before + text and whole.startswith(before):
                return whole.removeprefix(before)
        return masked


def _parts(value: object) -> Iterable[object] | None:
    """What `value` holds, or None for what is no container. Iterators are left alone: looking would consume them."""
    if isinstance(value, Mapping):
        return value.items()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value)]
    if _is_model(value):
        return {**vars(value), **(getattr(value, "__pydantic_extra__", None) or {})}.items()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(cast("Iterable[str]", value._fields), value, strict=False))
    return value if isinstance(value, list | tuple | Set | deque) else None


def _is_named(value: object) -> bool:
    return not isinstance(value, list | Set | deque) and (not isinstance(value, tuple) or hasattr(value, "_fields"))


def _is_model(value: object) -> bool:
    """A pydantic model, told by its class, so that pydantic need not be imported."""
    return hasattr(type(value), "model_fields") and hasattr(value, "__dict__")


def _is_name(name: object) -> bool:
    return isinstance(name, str | bytes) and len(name) <= _SHORT


def _text_of(name: object) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else str(name)


def _may_explain(first: object) -> bool:
    """Whether the first of two says what the second is: a name, and no number."""
    return _is_name(first) and sum(map(str.isdigit, _text_of(first))) < _LEAST_DIGITS


def _below(names: Names, name: object) -> Names:
    """The names of what stands under `name`; one that says nothing leaves those around it."""
    if not _is_name(name) or (names and _text_of(name).lower() in _GENERIC):
        return names
    return (*names, _text_of(name))[-_MAX_NAMES:]


def _is_empty(value: object) -> bool:
    return isinstance(value, str | bytes | list | tuple | dict | set) and not value


def _as_set(value: Set[object], masked: list[object]) -> object:
    """A set again where its masked parts can be hashed, else a list."""
    if any(part.__hash__ is None for part in masked):
        return masked
    return frozenset(masked) if isinstance(value, frozenset) else set(masked)
