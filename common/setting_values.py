"""What one setting is, and how what stands in the environment becomes its value.

pydantic-settings would do the same; importing it costs more than half of what the functions framework itself does, at
every cold start (docs/decisions/0018-settings-and-models-off-the-cold-path.md).
"""

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

_BOUNDS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "gt": ("more than", lambda value, bound: value > bound),
    "ge": ("at least", lambda value, bound: value >= bound),
    "le": ("at most", lambda value, bound: value <= bound),
}
_BOOLS = dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True) | dict.fromkeys(
    ("0", "false", "f", "no", "n", "off"), False
)


class Unusable(ValueError):
    """A value that a setting cannot have. The message says what it must be, and never what it was."""


class Secret:
    """A text that is given out by `get_secret_value` alone: neither `str` nor `repr` shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __str__(self) -> str:
        return "**********"

    def __repr__(self) -> str:
        return f"Secret('{self}')"


class Setting:
    """One setting, an attribute of a `Described` class.

    `kind` is the type of its value, which is None where it `is_optional` and not given; `choices` are all the texts it
    may be, where they are counted; `bounds` are among gt, ge and le. `kind`, `is_optional` and `choices` come from
    the annotation.
    """

    def __init__(self, default: object, description: str, bounds: Mapping[str, float]) -> None:
        self.default = default
        self.description = description
        self.bounds = bounds

    def __set_name__(self, holder: type, name: str) -> None:
        annotation = holder.__annotations__[name]
        parts = get_args(annotation) if NoneType in get_args(annotation) else (annotation,)
        kind = next(part for part in parts if part is not NoneType)
        self.is_optional = NoneType in parts
        self.choices: tuple[str, ...] = get_args(kind) if get_origin(kind) is Literal else ()
        self.kind: type = str if self.choices else kind

    @property
    def range(self) -> str:
        """The bounds in words: "at least 0 and at most 65,535"; empty without bounds."""
        return " and ".join(f"{_BOUNDS[sign][0]} {bound:,}" for sign, bound in self.bounds.items())

    def value_of(self, given: object) -> object:
        """`given` as the setting's type: from a text, as all of the environment is, or the value itself.

        Raises:
            Unusable: it cannot be read as that type, or is not among the choices or within the bounds.
        """
        if given is None and self.is_optional:
            return None
        value = _READERS[self.kind](given)
        if self.choices and value not in self.choices:
            raise Unusable(f"must be one of {', '.join(self.choices)}")
        if not all(_BOUNDS[sign][1](value, bound) for sign, bound in self.bounds.items()):
            raise Unusable(f"must be {self.range}")
        return value


def setting(default: object, *, description: str, **bounds: float) -> Any:  # Any: the annotation beside it is the type
    """A setting, as the value of an attribute of a `Described` class; `bounds` are among gt, ge and le."""
    assert bounds.keys() <= _BOUNDS.keys()
    return Setting(default, description, bounds)


class Described:
    """Base of a class whose annotated attributes are all made by `setting`; frozen.

    A dataclass of sixty fields would do the same, and take 3 ms of each cold start to be made.
    """

    def __init__(self, values: Mapping[str, object]) -> None:
        """`values` by name, not checked; where there is none, the default."""
        self.__dict__.update({name: one.default for name, one in self.described().items()} | dict(values))

    @classmethod
    def described(cls) -> Mapping[str, Setting]:
        """What is known of each setting, by name and in their order."""
        return {name: one for name, one in vars(cls).items() if isinstance(one, Setting)}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: settings are read once and never changed")


def _text(given: object) -> str:
    if isinstance(given, str) and (text := given.strip()):
        return text
    raise Unusable("must be a text that is not empty")


def _secret(given: object) -> Secret:
    if isinstance(given, str):
        return Secret(given)
    if isinstance(given, Secret):
        return given
    raise Unusable("must be a text")


def _path(given: object) -> Path:
    if isinstance(given, str | Path) and "\0" not in str(given):
        return Path(given)
    raise Unusable("must be a path")


def _bool(given: object) -> bool:
    found = given if isinstance(given, bool) else _BOOLS.get(str(given).strip().lower())
    if found is None:
        raise Unusable("must be true or false")
    return found


def _int(given: object) -> int:
    try:
        value = int(_number(given))
    except (ValueError, OverflowError):  # of "many", nan and infinity
        raise Unusable("must be a whole number") from None
    if value != given and not isinstance(given, str):
        raise Unusable("must be a whole number")
    return value


def _float(given: object) -> float:
    try:
        value = float(_number(given))
    except (ValueError, OverflowError):
        raise Unusable("must be a number") from None
    if not isfinite(value):
        raise Unusable("must be a finite number")
    return value


def _number(given: object) -> str | int | float:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise Unusable("must be a number")
    return given


_READERS: Mapping[type, Callable[[object], Any]] = {
    str: _text, Secret: _secret, Path: _path, bool: _bool, int: _int, float: _float,
}  # fmt: skip
