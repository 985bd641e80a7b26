"""What a change of the schema takes from programs that were written for the schema before it."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, Inspector, inspect, text

TRIGGERS = {
    "sqlite": "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`is_optional`: whoever inserts a row may leave it out."""

    type: str
    is_nullable: bool
    is_optional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A database's tables by their columns; what refuses rows, and what only makes them be found faster."""

    columns: dict[tuple[str, str], Column]
    rules: frozenset[tuple[str, str]]
    indexes: frozenset[tuple[str, str]]

    @property
    def tables(self) -> set[str]:
        return {table for table, _ in self.columns}


def schema_of(engine: Engine) -> Schema:
    inspector = inspect(engine)
    tables = [name for name in inspector.get_table_names() if name != "alembic_version"]
    columns = {
        (table, one["name"]): Column(
            type=repr(one["type"]),
            is_nullable=one["nullable"],
            is_optional=one["nullable"] or one["default"] is not None or bool(one.get("autoincrement") is True),
        )
        for table in tables
        for one in inspector.get_columns(table)
    }
    with engine.connect() as connection:
        triggers = {(row[0], f"trigger {row[1]}") for row in connection.execute(text(TRIGGERS[engine.dialect.name]))}
    return Schema(
        columns=columns,
        rules=frozenset(triggers | {(table, rule) for table in tables for rule in _rules(inspector, table)}),
        indexes=frozenset((table, str(one["name"])) for table in tables for one in inspector.get_indexes(table)),
    )


def _rules(inspector: Inspector, table: str) -> Iterator[str]:
    yield f"primary key {inspector.get_pk_constraint(table)['constrained_columns']}"
    for unique in inspector.get_unique_constraints(table):
        yield f"unique {sorted(unique['column_names'])}"
    for index in inspector.get_indexes(table):
        if index["unique"]:
            yield f"unique index {index['name']}"
    for key in inspector.get_foreign_keys(table):
        yield f"foreign key {key['constrained_columns']} to {key['referred_table']}"
    for check in inspector.get_check_constraints(table):
        yield f"check {check['sqltext']}"


def taken_away(before: Schema, after: Schema) -> list[str]:
    """Why a program that was written for `before` may fail on `after`; empty: it was only added to."""
    return [*_columns_taken_away(before, after), *_rules_changed(before, after)]


def _columns_taken_away(before: Schema, after: Schema) -> Iterator[str]:
    for (table, name), was in before.columns.items():
        now = after.columns.get((table, name))
        if now is None:
            yield f"{table}.{name} is gone"
        elif now.type != was.type:
            yield f"{table}.{name} is {now.type}"
        elif (was.is_nullable and not now.is_nullable) or (was.is_optional and not now.is_optional):
            yield f"{table}.{name} has to be given"
    for (table, name), now in after.columns.items():
        if table in before.tables and (table, name) not in before.columns and not now.is_optional:
            yield f"{table}.{name} is new and has to be given"


def _rules_changed(before: Schema, after: Schema) -> Iterator[str]:
    for table, rule in sorted(after.rules - before.rules):
        if table in before.tables:
            yield f"{table} has a new {rule}"
    for table, rule in sorted(before.rules - after.rules | before.indexes - after.indexes):
        yield f"{table} has no {rule} any more"
