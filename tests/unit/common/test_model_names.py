"""Models by their name: what is found, and that every function's routes name models that are there."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import flask
import pytest
from pydantic import BaseModel

from common.function import Function
from common.model_names import model_of
from common.openapi import Live

ROOT = Path(__file__).parents[3]
SOURCES = [entry["source"] for entry in json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]]


def test_a_name_is_a_module_and_a_class_in_it() -> None:
    assert model_of("common.openapi:Live") is Live


def test_a_model_stands_for_itself() -> None:
    assert model_of(Live) is Live


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ("common.opanapi:Live", ImportError),
        ("common.openapi:Life", AttributeError),
        ("common.openapi:openapi_document", TypeError),
        ("common.problems:NotFound", TypeError),
    ],
)
def test_what_is_no_model_is_an_error(named: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        model_of(named)


@pytest.mark.parametrize("source", SOURCES)
def test_every_route_names_models_that_are_there(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Function] = []
    serve = Function.entry_point

    def noted(function: Function) -> Callable[[flask.Request], flask.Response]:
        made.append(function)
        return serve(function)

    monkeypatch.setattr(Function, "entry_point", noted)
    module = importlib.import_module(source.removesuffix(".py").replace("/", "."))
    if not made:  # another test imported it first
        importlib.reload(module)
    (function,) = made
    for route in function.all_routes:
        for named in (route.request, route.answer):
            assert named is None or issubclass(model_of(named), BaseModel)
