"""What the database does, as measures."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from common.database.engine import create_engine_for, read, write
from common.metrics import REGISTRY
from tests.recorded_spans import recording


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_statements_connections_and_errors_are_counted_by_kind(tmp_path: Path) -> None:
    before = {
        kind: value("assistant_database_query_duration_seconds_count", operation=kind) for kind in ("select", "insert")
    }
    errors = value("assistant_database_errors_total", error_type="OperationalError")
    engine = create_engine_for(f"sqlite:///{tmp_path}/x.db")
    with write(engine) as connection:
        connection.execute(text("CREATE TABLE things (id INTEGER)"))
        connection.execute(text("INSERT INTO things VALUES (1)"))
        assert value("assistant_database_connections", state="in_use") == 1
    with read(engine) as connection:
        assert connection.execute(text("  SELECT id FROM things")).scalar() == 1
    with pytest.raises(OperationalError), read(engine) as connection:
        connection.execute(text("SELECT ssn FROM nowhere"))
    after = {kind: value("assistant_database_query_duration_seconds_count", operation=kind) for kind in before}
    assert {kind: after[kind] - before[kind] for kind in before} == {"select": 1, "insert": 1}
    assert value("assistant_database_errors_total", error_type="OperationalError") == errors + 1
    assert value("assistant_database_connections", state="in_use") == 0
    engine.dispose()


@pytest.mark.parametrize("statement", ["", "  ", "-- SELECT"])
def test_a_statement_without_a_word_of_sql_is_another_kind(tmp_path: Path, statement: str) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/x.db")
    before = value("assistant_database_query_duration_seconds_count", operation="other")
    with write(engine) as connection:
        connection.exec_driver_sql(statement)
    assert value("assistant_database_query_duration_seconds_count", operation="other") > before
    engine.dispose()


def test_a_transaction_is_a_span_without_its_statement(tmp_path: Path) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/x.db")
    with recording() as spans, write(engine) as connection:
        connection.execute(text("CREATE TABLE secrets (id INTEGER)"))
    (span,) = spans.finish().values()
    assert (span.name, dict(span.attributes or {})) == (
        "write sqlite", {"db.system.name": "sqlite", "db.operation.name": "write"}
    )  # fmt: skip
    engine.dispose()
