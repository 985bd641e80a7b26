"""Column types that mean the same on SQLite and PostgreSQL: aware times in UTC, and exact decimals."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import DateTime, Dialect, Numeric, String
from sqlalchemy.types import TypeDecorator, TypeEngine

WHOLE_DIGITS = 9
DECIMAL_PLACES = 15


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time; comes back in UTC. SQLite has no time zones, so there the stored text is UTC.

    A naive time is refused: SQLAlchemy raises a `StatementError` with our `ValueError` in it.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal with up to 9 digits before and 15 after the point, neither rounded nor turned into a float.

    SQLite keeps it as text, for its numbers are floats: add such columns up in Python, not in SQL.
    A value that does not fit is refused as a naive time is above, where PostgreSQL alone would round it.
    """

    impl = Numeric
    cache_ok = True
    whole_digits: ClassVar[int] = WHOLE_DIGITS
    decimal_places: ClassVar[int] = DECIMAL_PLACES

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:  # of text or of numbers
        digits = self.whole_digits + self.decimal_places
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(digits + 2))
        return dialect.type_descriptor(Numeric(digits, self.decimal_places))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | str | None:
        if value is None:
            return None
        if not self._fits(value):
            most = f"{self.whole_digits} digits before and {self.decimal_places} after the point"
            raise ValueError(f"a decimal has at most {most}")
        return f"{value:f}" if dialect.name == "sqlite" else value

    def process_result_value(self, value: Decimal | str | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(value)

    def _fits(self, value: Decimal) -> bool:
        if not value.is_finite() or value.adjusted() >= self.whole_digits:
            return False
        exponent = value.normalize().as_tuple().exponent
        return isinstance(exponent, int) and exponent >= -self.decimal_places


class CurrencyAmount(ExactDecimal):
    """As `ExactDecimal`, for an amount in any currency, some of which count in millions where USD counts in hundreds:
    up to 18 digits before and 6 after the point."""

    cache_ok = True
    whole_digits = 18
    decimal_places = 6
