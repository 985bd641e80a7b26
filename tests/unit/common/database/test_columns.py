"""Times and decimals come back as they went in, from both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from sqlalchemy import Column, Engine, MetaData, Table, insert, select
from sqlalchemy.exc import StatementError

from common.database.columns import CurrencyAmount, ExactDecimal, UtcDateTime
from common.database.engine import read, write

things = Table(
    "things", MetaData(), Column("at", UtcDateTime), Column("amount", ExactDecimal), Column("price", CurrencyAmount)
)


@pytest.fixture
def stored(database: Engine) -> Iterator[Engine]:
    things.metadata.create_all(database)
    yield database
    things.metadata.drop_all(database)


def store(engine: Engine, **values: object) -> None:
    with write(engine) as connection:
        connection.execute(insert(things).values(**values))


@pytest.mark.parametrize("hours", [0, 2, -5])
def test_a_time_comes_back_in_utc_whatever_its_zone_was(stored: Engine, hours: int) -> None:
    at = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=hours)))
    store(stored, at=at)
    with read(stored) as connection:
        found = connection.execute(select(things.c.at)).scalar_one()
    assert found == at
    assert found.tzinfo is UTC


def test_times_are_ordered_and_compared_by_when_they_were(stored: Engine) -> None:
    early = datetime(2026, 11, 23, 12, 0, tzinfo=timezone(timedelta(hours=5)))
    late = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    store(stored, at=late)
    store(stored, at=early)
    with read(stored) as connection:
        assert connection.scalars(select(things.c.at).order_by(things.c.at)).all() == [early, late]
        assert connection.scalars(select(things.c.at).where(things.c.at > early)).all() == [late]


def test_a_time_without_a_zone_is_refused(stored: Engine) -> None:
    with pytest.raises(StatementError, match="without a time zone"):
        store(stored, at=datetime(2026, 11, 23))  # noqa: DTZ001


@pytest.mark.parametrize(
    "amount",
    ["0", "0.000000000000001", "0.1", "0.10316125", "123456789.123456789012345", "-2.50", "1E-7", "3E+8", None],
)
def test_a_decimal_comes_back_exactly(stored: Engine, amount: str | None) -> None:
    value = None if amount is None else Decimal(amount)
    store(stored, at=datetime(2026, 11, 23, tzinfo=UTC), amount=value)
    with read(stored) as connection:
        assert connection.execute(select(things.c.amount)).scalar_one() == value


def test_nothing_comes_back_as_nothing(stored: Engine) -> None:
    store(stored, at=None, amount=None)
    with read(stored) as connection:
        assert connection.execute(select(things.c.at, things.c.amount)).one() == (None, None)


@pytest.mark.parametrize("amount", ["0.0000000000000001", "1000000000", "NaN", "Infinity"])
def test_a_decimal_that_would_be_rounded_is_refused(stored: Engine, amount: str) -> None:
    with pytest.raises(StatementError, match="at most 9 digits before and 15 after the point"):
        store(stored, amount=Decimal(amount))


@pytest.mark.parametrize("price", ["123456789012345678.123456", "1500000000", "-0.000001"])
def test_an_amount_in_any_currency_comes_back_exactly(stored: Engine, price: str) -> None:
    store(stored, price=Decimal(price))
    with read(stored) as connection:
        assert connection.execute(select(things.c.price)).scalar_one() == Decimal(price)


@pytest.mark.parametrize("price", ["1000000000000000000", "0.0000001"])
def test_an_amount_that_would_be_rounded_is_refused(stored: Engine, price: str) -> None:
    with pytest.raises(StatementError, match="at most 18 digits before and 6 after the point"):
        store(stored, price=Decimal(price))
