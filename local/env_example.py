"""`.env.example`, made from the settings so that the two never differ."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from common.settings import Settings

HEADER = """\
# Settings of LoanCollateralCheck, each with its default. Copy this file to .env and take the # from what you change.
# Made by `loancheck settings`; the words come from common/settings.py.
"""
WIDTH = 118


def env_example() -> str:
    """The file's text: each setting's description, range and default, in the order of `Settings`."""
    blocks = ["\n".join(_lines(name, field)) + "\n" for name, field in Settings.model_fields.items()]
    return "\n".join([HEADER, *blocks])


def _lines(name: str, field: FieldInfo) -> Iterator[str]:
    words = " ".join(filter(None, (field.description, _range(field), _choices(field))))
    yield from textwrap.wrap(words, WIDTH, initial_indent="# ", subsequent_indent="# ")
    yield f"#{name.upper()}={_default(field)}"


def _default(field: FieldInfo) -> str:
    assert field.default is not PydanticUndefined, "every setting has a default, or is None where it is not set"
    if field.default is None:
        return ""
    return field.default.as_posix() if isinstance(field.default, Path) else str(field.default)


def _choices(field: FieldInfo) -> str:
    return f"One of {', '.join(get_args(field.annotation))}." if get_origin(field.annotation) is Literal else ""


def _range(field: FieldInfo) -> str:
    """Bounds as they stand on the field, in words."""
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    bounds = [
        f"{word} {getattr(constraint, sign):,}"
        for constraint in field.metadata
        for sign, word in words.items()
        if getattr(constraint, sign, None) is not None
    ]
    return f"{' and '.join(bounds).capitalize()}." if bounds else ""
