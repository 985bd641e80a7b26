"""The agents: every module of this package that holds an `AgentCard` named `AGENT`."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from common.once import once
from functions.query.agent import AgentCard


class InvalidAgent(Exception):
    """A module of this package is no agent, or two agents have one name. Names the modules."""


@once
def agents() -> Mapping[str, AgentCard]:
    """Every agent by its name, in alphabetical order of the modules; read once.

    Raises:
        InvalidAgent: a module without `AGENT`, or a name that is taken.
    """
    found: dict[str, AgentCard] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda one: one.name):
        card = getattr(importlib.import_module(f"{__name__}.{module.name}"), "AGENT", None)
        if not isinstance(card, AgentCard):
            raise InvalidAgent(f"{module.name} holds no AgentCard named AGENT")
        if card.name in found:
            raise InvalidAgent(f"{module.name}: the name {card.name} is taken")
        found[card.name] = card
    return MappingProxyType(found)
