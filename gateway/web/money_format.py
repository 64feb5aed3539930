"""Formats money for the pages."""

from contracts.values import MINOR_UNITS, Money

_SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$"}


def format_money(amount: Money) -> str:
    """`€1,299.00`; with the currency code for currencies without an unambiguous symbol: `1,299.00 CHF`."""
    decimals = MINOR_UNITS[amount.currency]
    number = f"{amount.amount_minor / 10**decimals:,.{decimals}f}"
    symbol = _SYMBOLS.get(amount.currency)
    return f"{symbol}{number}" if symbol else f"{number} {amount.currency}"
