"""The guides to deployment, self-hosting and backups name what there is."""

import re
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from common.settings import SETTINGS
from local.loancheck import app

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
GUIDES = [DOCS / f"{name}_guide.md" for name in ("deployment", "self_hosting", "backup")]

guides = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@guides
def test_links_lead_somewhere(guide: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", guide.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        page = (DOCS / name) if name else guide
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


@guides
def test_commands_and_their_options_exist(guide: Path) -> None:
    said = re.findall(r"(?<![\w/.-])loancheck ((?:[a-z-]+ )*[a-z-]+)([^|#&`;)\n]*)", guide.read_text(encoding="utf-8"))
    known = 0
    for words, rest in said:
        command = get_command(app)
        for word in words.split():
            if not isinstance(command, TyperGroup) or word not in command.commands:
                break
            command = command.commands[word]
        if isinstance(command, TyperGroup):
            continue  # the name of a program in a sentence
        known += 1
        options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= options, words
    assert known > 2


@guides
def test_settings_that_are_given_values_are_settings(guide: Path) -> None:
    others = {"PROJECT", "REGION", "INSTANCE", "DEPLOYER", "DOCUMENTS", "QUERY", "KEY", "REVISION", "COMPOSE_PROFILES"}
    others |= {"GOOGLE_BILLING_PROJECT", "USER_PROJECT_OVERRIDE", "FUNCTION_TARGET", "FUNCTION_SOURCE", "VERSION"}
    others |= {"SOURCE_DATE_EPOCH", "CN", "DNS"}
    named = set(re.findall(r"\b([A-Z][A-Z_]{2,})=", guide.read_text(encoding="utf-8")))
    assert named - others <= {name.upper() for name in SETTINGS}
