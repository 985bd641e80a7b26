import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import functions.query.agents as package
from functions.query.agents import InvalidAgent, agents

MODULE = """
from functions.query.agent import AgentCard
AGENT = AgentCard(name="{name}", description="", examples=(), scope="query:ask", run=lambda ask: iter(()))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules the registry takes for agents."""
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    agents.cache_clear()
    yield tmp_path
    agents.cache_clear()
    for name in [name for name in sys.modules if name.startswith("functions.query.agents.extra")]:
        del sys.modules[name]


def test_every_module_of_the_package_is_an_agent_under_its_own_name() -> None:
    assert set(agents()) >= {"greeting", "help", "knowledge", "collateral"}
    assert all(name == card.name for name, card in agents().items())


def test_the_registry_is_read_once_and_cannot_be_changed() -> None:
    assert agents() is agents()
    with pytest.raises(TypeError):
        agents()["new"] = agents()["help"]  # type: ignore[index]  # that is what is tested


def test_a_new_file_is_a_new_agent(folder: Path) -> None:
    (folder / "extra_weather.py").write_text(MODULE.format(name="weather"))
    assert "weather" in agents()


def test_a_module_without_an_agent_is_named(folder: Path) -> None:
    (folder / "extra_empty.py").write_text("")
    with pytest.raises(InvalidAgent, match="extra_empty"):
        agents()


def test_two_agents_of_one_name_are_refused(folder: Path) -> None:
    (folder / "extra_help.py").write_text(MODULE.format(name="help"))
    with pytest.raises(InvalidAgent, match="help"):
        agents()


def test_examples_are_shared_by_no_two_agents() -> None:
    everything = [example.casefold() for card in agents().values() for example in card.examples]
    assert len(everything) == len(set(everything))
