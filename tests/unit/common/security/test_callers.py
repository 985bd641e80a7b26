"""Who may call a function, by the list."""

import json
from pathlib import Path

import pytest

from common.security.callers import callers_of


def catalogue(folder: Path, callers: str) -> Path:
    path = folder / "functions.json"
    path.write_text(json.dumps({"functions": [{"name": "one", "callers": callers}]}))
    return path


@pytest.mark.parametrize("callers", ["public", "api-key", "google"])
def test_the_list_says_who_may_call(callers: str, tmp_path: Path) -> None:
    assert callers_of("one", catalogue(tmp_path, callers)) == callers


def test_a_function_that_is_not_in_the_list_asks_for_a_key(tmp_path: Path) -> None:
    assert callers_of("two", catalogue(tmp_path, "public")) == "api-key"


def test_callers_that_there_are_none_of_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="callers of one must be one of public, api-key, google"):
        callers_of("one", catalogue(tmp_path, "everybody"))


@pytest.mark.parametrize(
    "content", ["null", "{}", '{"functions": [1]}', '{"functions": [{"name": "one"}]}', "[" * 9_999]
)
def test_a_list_that_is_none_stops_the_start_in_words(content: str, tmp_path: Path) -> None:
    path = tmp_path / "functions.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"^functions\.json: must hold functions"):
        callers_of("one", path)


@pytest.mark.parametrize(
    ("function", "callers"),
    [
        ("query", "api-key"),
        ("documents", "api-key"),
        ("health", "public"),
        ("retention", "google"),
        ("budget_alert", "google"),
        ("cost_report", "api-key"),
    ],
)
def test_the_functions_of_the_product_are_listed(function: str, callers: str) -> None:
    assert callers_of(function) == callers
