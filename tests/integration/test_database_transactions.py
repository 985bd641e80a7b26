"""Transactions mean the same on SQLite and PostgreSQL."""

import pytest
from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from common.database.engine import read, write
from common.database.tables import knowledge_state


def generation(connection: Connection) -> int:
    found: int = connection.execute(select(knowledge_state.c.generation)).scalar_one()
    return found


def set_generation(connection: Connection, value: int) -> None:
    connection.execute(update(knowledge_state).values(generation=value))


def test_what_was_written_is_there_afterwards(database: Engine) -> None:
    with write(database) as connection:
        set_generation(connection, 7)
    with read(database) as connection:
        assert generation(connection) == 7


def test_an_exception_undoes_everything_that_was_written(database: Engine) -> None:
    with pytest.raises(IntegrityError), write(database) as connection:  # noqa: PT012  # the first write is undone
        set_generation(connection, 7)
        connection.execute(insert(knowledge_state).values(id=1, generation=0))
    with read(database) as connection:
        assert connection.execute(select(knowledge_state)).all() == [(1, 0)]


def test_a_reader_sees_one_state_while_others_write(database: Engine) -> None:
    with read(database) as reader:
        assert generation(reader) == 0
        with write(database) as writer:
            set_generation(writer, 1)
        assert generation(reader) == 0
    with read(database) as reader:
        assert generation(reader) == 1


def test_a_reader_does_not_wait_for_a_writer(database: Engine) -> None:
    with write(database) as writer:
        set_generation(writer, 1)
        with read(database) as reader:
            assert generation(reader) == 0


def test_a_reader_cannot_write(database: Engine) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"), read(database) as connection:
        set_generation(connection, 1)


def test_a_connection_that_read_can_write_again(database: Engine) -> None:
    for value in range(1, 4):
        with read(database) as connection:
            assert generation(connection) == value - 1
        with write(database) as connection:
            set_generation(connection, value)
