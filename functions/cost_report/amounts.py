"""Amounts as people read them."""

from decimal import Decimal


def in_usd(amount: Decimal) -> str:
    """To the cent, and less than one to two digits that count."""
    if amount == 0 or abs(amount) >= Decimal("0.01"):
        return f"{amount:,.2f} USD"
    return f"{amount:.2g} USD" if abs(amount) >= Decimal("0.000001") else "less than 0.000001 USD"
