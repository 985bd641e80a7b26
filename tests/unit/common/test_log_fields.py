"""Our own log lines, read from the source: events in the past tense with fields of the allow-list, and nothing else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.logging import FIELDS

ROOT = Path(__file__).parents[3]
LEVELS = {"debug", "info", "warning", "error", "critical"}
WRITING = LEVELS | {"exception", "log", "warn", "fatal", "bind"}
MAKERS = {"get_logger", "component_logger"}
CONTEXT = {"log_context", "bind_context"}
EVENT = re.compile(r"[a-z][a-z_]*(\.[a-z_]+)+")

Call = tuple[str, ast.Call, str]


def calls(source: str, where: str = "") -> Iterator[Call]:
    """Where, the call, and the method: of every logger that the module makes, and of the context."""
    tree = ast.parse(source)
    loggers = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and name_of(node.value.func) in MAKERS
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Attribute) and name_of(function.value) in loggers and function.attr in WRITING:
            yield f"{where}:{node.lineno}", node, function.attr
        elif name_of(function) in CONTEXT:
            yield f"{where}:{node.lineno}", node, "context"


def name_of(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def wrong_with(call: ast.Call, method: str) -> list[str]:
    """What is not as it should be in one call."""
    found = [f"field {keyword.arg}" for keyword in call.keywords if keyword.arg not in FIELDS]
    if method in LEVELS:
        event = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
        if len(call.args) != 1 or not isinstance(event, str) or not EVENT.fullmatch(event):
            found.append("event")
    elif method not in {"context", "bind"}:  # `exception` would bring an exception's words
        found.append(f"method {method}")
    return found


def all_calls() -> list[Call]:
    files = [path for folder in ("common", "functions", "local") for path in sorted((ROOT / folder).rglob("*.py"))]
    own = ROOT / "common" / "logging.py"
    return [call for path in files if path != own for call in calls(path.read_text(), str(path.relative_to(ROOT)))]


def test_every_line_of_ours_is_an_event_with_fields_of_the_allow_list() -> None:
    found = all_calls()
    assert len(found) > 20
    assert {where: wrong for where, call, method in found if (wrong := wrong_with(call, method))} == {}


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("log.info('a.b', count=1)", []),
        ("log.info('a.b', borrower=1)", ["field borrower"]),
        ("log.info('a.b', **fields)", ["field None"]),
        ("log.info('a.b', exc_info=True)", ["field exc_info"]),
        ("log.info('Some words')", ["event"]),
        ("log.info(f'{x}.y')", ["event"]),
        ("log.info('a.b', 1)", ["event"]),
        ("log.exception('a.b')", ["method exception"]),
        ("log_context(borrower=1)", ["field borrower"]),
        ("log.bind(borrower=1)", ["field borrower"]),
    ],
)
def test_what_is_wrong_is_found(source: str, wrong: list[str]) -> None:
    ((_, call, method),) = calls(f"log = get_logger('x')\n{source}")
    assert wrong_with(call, method) == wrong
