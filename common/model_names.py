"""Models by their name, so that a route can tell which ones it has before anybody pays for importing pydantic."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

ModelName = str
"""Module and class, as in "functions.query.models:QueryRequest"."""


def model_of(named: "type[BaseModel] | ModelName") -> "type[BaseModel]":
    """The model itself; its module is imported at the first use.

    Raises:
        ImportError, AttributeError, TypeError: there is none of that name. A test looks up those of every function.
    """
    from pkgutil import resolve_name

    from pydantic import BaseModel

    found = resolve_name(named) if isinstance(named, str) else named
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise TypeError(f"{named} is no model")
    return found
