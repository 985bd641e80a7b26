"""docs/security_guide.md names tests, settings, commands and modules that are there."""

import re
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from common.security.audit import ACTIONS
from common.settings import SETTINGS
from local.loancheck import app

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "security_guide.md").read_text()
QUOTED = re.findall(r"`([^`\n]+)`", GUIDE)
ITEMS = [f"LLM{number:02}" for number in range(1, 11)] + [f"API{number}" for number in range(1, 11)]


def test_every_file_that_it_names_is_there() -> None:
    named = {text for text in QUOTED if re.fullmatch(r"(?:tests|common|functions|infra|docs|local)/[\w/.-]+", text)}
    assert len(named) > 25
    assert [text for text in sorted(named) if not (ROOT / text).exists()] == []
    short = {text for text in QUOTED if re.fullmatch(r"\w+\.py", text)}
    there = {path.name for folder in ("tests", "common") for path in (ROOT / folder).rglob("*.py")}
    assert short <= there


def test_every_setting_that_it_names_is_one() -> None:
    named = {text.partition("=")[0] for text in QUOTED if re.fullmatch(r"[A-Z]+(?:_[A-Z]+)+(?:=\S*)?", text)}
    assert named
    assert {name for name in named if name.lower() not in SETTINGS} == set()


def test_every_command_that_it_shows_is_one() -> None:
    shown = re.findall(r"loancheck (\w+(?: [a-z-]+)?)", GUIDE)
    assert shown
    groups = get_command(app).commands  # type: ignore[attr-defined]  # a group has some
    for words in shown:
        group, _, name = words.partition(" ")
        assert group in groups, words
        assert not name.strip("-") or name in groups[group].commands, words


@pytest.mark.parametrize("item", ITEMS)
def test_every_item_of_both_lists_has_what_holds_it_and_a_test_that_shows_it(item: str) -> None:
    (row,) = re.findall(rf"^\| {item} ([^|]+)\| ([^|]+) \| ([^|]+) \|$", GUIDE, re.MULTILINE)
    assert all(cell.strip() for cell in row)
    assert "tests/" in row[2]


def test_the_audited_actions_that_it_shows_are_such() -> None:
    assert set(re.findall(r"--action ([a-z_.]+)", GUIDE)) <= set(ACTIONS)


def test_the_command_line_explains_itself() -> None:
    assert {"keys", "audit", "data"} <= set(re.findall(r"^  (\w+)", CliRunner().invoke(app, ["--help"]).output, re.M))
