"""`.env.example`, made from the settings so that the two never differ."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from common.setting_values import Setting
from common.settings import SETTINGS

HEADER = """\
# Settings of LoanCollateralCheck, each with its default. Copy this file to .env and take the # from what you change.
# Made by `loancheck settings`; the words come from common/settings.py.
"""
WIDTH = 118


def env_example() -> str:
    """The file's text: each setting's description, range and default, in the order of `Settings`."""
    blocks = ["\n".join(_lines(name, one)) + "\n" for name, one in SETTINGS.items()]
    return "\n".join([HEADER, *blocks])


def _lines(name: str, one: Setting) -> Iterator[str]:
    words = " ".join(filter(None, (one.description, _range(one), _choices(one))))
    yield from textwrap.wrap(words, WIDTH, initial_indent="# ", subsequent_indent="# ")
    yield f"#{name.upper()}={_default(one)}"


def _default(one: Setting) -> str:
    if one.default is None:
        return ""
    return one.default.as_posix() if isinstance(one.default, Path) else str(one.default)


def _choices(one: Setting) -> str:
    return f"One of {', '.join(one.choices)}." if one.choices else ""


def _range(one: Setting) -> str:
    return f"{one.range.capitalize()}." if one.range else ""
