"""docs/api.md says what the code does: problem types, request and answer shapes, the stream's events."""

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from common.openapi import Problem
from common.problems import AssistantError
from common.telemetry.metric_catalogue import CATALOGUE
from functions.query.models import CitationModel, DeltaEvent, QueryAnswer, QueryPreview, QueryRequest, StatusEvent

PACKAGES = ("common", "functions", "local")
ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "api.md").read_text()
EVENTS: dict[str, type[BaseModel]] = {
    "status": StatusEvent,
    "delta": DeltaEvent,
    "citation": CitationModel,
    "done": QueryAnswer,
    "error": Problem,
}
_EVENT = re.compile(r"^event: (\w+)\ndata: (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def errors() -> list[type[AssistantError]]:
    """All kinds of error of ours: imports all our modules but the ways in and the migrations."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).with_suffix("")
            if "migrations" not in name.parts and name.name not in {"main", "__init__", "__main__"}:
                importlib.import_module(".".join(name.parts))
    return [error for error in family(AssistantError) if error.__module__.partition(".")[0] in PACKAGES]


def family(base: type[AssistantError]) -> Iterator[type[AssistantError]]:
    """`base` and all its subclasses, those that tests define among them."""
    yield base
    for subclass in base.__subclasses__():
        yield from family(subclass)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def documented() -> dict[str, tuple[int, str]]:
    """Status and title of each problem type in the guide's tables."""
    rows = re.findall(
        r"^\| `((?:/problems/|https://iana\.org/\S+#)[a-z-]+)` \| (\d{3}) \| ([^|]+?) \|", GUIDE, re.MULTILINE
    )
    return {kind: (int(status), title) for kind, status, title in rows}


def test_every_problem_type_stands_in_the_guide_with_its_status_and_title(errors: list[type[AssistantError]]) -> None:
    assert documented() == {error.type: (int(error.status), error.title) for error in errors}


def test_two_kinds_of_error_never_share_a_type(errors: list[type[AssistantError]]) -> None:
    types = [error.type for error in errors if "type" in vars(error)]
    assert len(types) == len(set(types))


def test_the_shown_answer_has_the_shape_of_the_model() -> None:
    shown = [json.loads(block) for block in blocks("json") if '"critique"' in block]
    assert shown
    for answer in shown:
        assert QueryAnswer.model_validate(answer).model_dump(mode="json") == answer


def test_the_shown_preview_has_the_shape_of_the_model() -> None:
    (shown,) = (json.loads(block) for block in blocks("json") if '"dry_run"' in block)
    assert QueryPreview.model_validate(shown).model_dump(mode="json") == shown


def test_the_shown_problem_has_the_shape_of_every_problem() -> None:
    shown = [json.loads(block) for block in blocks("json") if '"/problems/' in block]
    assert shown
    for problem in shown:
        assert Problem.model_validate(problem).type in documented()


def test_the_shown_stream_has_the_events_that_the_function_sends() -> None:
    events = [event for block in blocks("text") for event in _EVENT.findall(block)]
    assert {name for name, _ in events} == EVENTS.keys()
    for name, data in events:
        EVENTS[name].model_validate_json(data)


def test_the_shown_metrics_are_such_as_there_are() -> None:
    (shown,) = (block for block in blocks("text") if block.startswith("# HELP"))
    (family,) = text_string_to_metric_families(shown)
    (sample,) = family.samples
    (metric,) = (metric for metric in CATALOGUE if metric.name == sample.name)
    assert (family.documentation, family.type) == (metric.help, metric.kind)
    assert sample.labels.keys() == {label.name for label in metric.labels}


@pytest.mark.parametrize("field", QueryRequest.model_fields)
def test_every_field_of_a_query_is_explained(field: str) -> None:
    assert f"| `{field}` |" in GUIDE


@pytest.mark.parametrize("field", QueryAnswer.model_fields)
def test_every_field_of_an_answer_is_explained(field: str) -> None:
    assert f"| `{field}` |" in GUIDE
