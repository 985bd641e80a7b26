"""Labelled texts for `tests.performance.pii`, made from the templates in the `pii_*.txt` files beside this module.

A template is one line; `⏎` stands for a line break, `«EMAIL»` or `«PHONE.us»` for a labelled value and `«city»` for
one that is not (see `tests.performance.pii_values`). Lines that begin with `## ` open a group. Every third template of
a group is held out, and all of a group named `held out`: what is built is looked at with the others, and reported on
both.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.performance.pii_values import draw

PLACEHOLDER = re.compile("«([^»]+)»")
HOLD_OUT_EVERY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    group: str
    text: str
    is_held_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Half-open, in code points."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledText:
    text: str
    labels: tuple[Label, ...]
    template: Template


def read_templates(name: str) -> list[Template]:
    """The templates of `pii_{name}.txt`, in their order."""
    found: list[Template] = []
    group, place = "", 0
    for line in Path(__file__).with_name(f"pii_{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            group, place = line.removeprefix("## "), 0
        elif line:
            place += 1
            found.append(
                Template(group=group, text=line, is_held_out=group == "held out" or place % HOLD_OUT_EVERY == 0)
            )
    return found


def fill(template: Template, random: Random) -> LabelledText:
    """`template` with fresh values and the labels of those whose name is in capitals."""
    parts: list[str] = []
    labels: list[Label] = []
    position = 0
    for place, part in enumerate(PLACEHOLDER.split(template.text.replace("⏎", "\n"))):
        value = draw(part, random) if place % 2 else part
        kind = part.partition(".")[0]
        if place % 2 and kind.isupper():
            labels.append(Label(start=position, end=position + len(value), kind=kind))
        parts.append(value)
        position += len(value)
    return LabelledText(text="".join(parts), labels=tuple(labels), template=template)


def texts(name: str, *, seed: int, times: int, held_out: bool) -> Iterator[LabelledText]:
    """Each template of that half of `pii_{name}.txt`, filled `times` times."""
    random = Random(f"{name} {seed} {held_out}")
    for template in read_templates(name):
        if template.is_held_out is held_out:
            for _ in range(times):
                yield fill(template, random)
