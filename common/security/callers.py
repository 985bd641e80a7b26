"""Who may call a function, as `functions/functions.json` declares it."""

from pathlib import Path
from typing import Literal, get_args

Callers = Literal["public", "api-key", "google"]
"""public and api-key: keys and ID tokens are let in; google: ID tokens alone, as of a scheduler or Pub/Sub,
unless EVENTS_BY_KEY lets in keys too."""

CATALOGUE = Path(__file__).resolve().parents[2] / "functions" / "functions.json"


def callers_of(function: str, catalogue: Path = CATALOGUE) -> Callers:
    """Of the function with this name; one that is not in the list is as one for keys.

    Raises:
        ValueError: the list names callers that there are none of, or is no list of functions.
    """
    import json

    try:
        entries = json.loads(catalogue.read_bytes())["functions"]
        found: Callers = next((entry["callers"] for entry in entries if entry["name"] == function), "api-key")
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError("functions.json: must hold functions, each with its name and callers") from error
    if found not in get_args(Callers):
        raise ValueError(f"functions.json: callers of {function} must be one of {', '.join(get_args(Callers))}")
    return found
