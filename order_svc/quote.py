"""Prices an order from the price book, or explains why it cannot be priced.

A total that differs from what the customer saw is never charged.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts import orders
from contracts.orders import RejectReason
from contracts.values import QUANTITY_MAX, Money, PricedLine, RequestedLine, order_total, quantities
from order_svc.price import Price


@dataclass(frozen=True, slots=True)
class Quote:
    lines: tuple[PricedLine, ...]
    total: Money


@dataclass(frozen=True, slots=True)
class QuoteRejected:
    reason: RejectReason
    detail: str
    total_now: Money | None = None


def price_order(command: orders.PlaceOrder, price_book: Mapping[str, Price]) -> Quote | QuoteRejected:
    """Merges duplicate lines, requires a single currency, and checks the total that the customer saw,
    if given.
    """
    lines: list[PricedLine] = []
    for sku, quantity in quantities(command.lines).items():
        price = price_book[sku]
        if quantity > QUANTITY_MAX:
            return QuoteRejected(
                RejectReason.QUANTITY_TOO_LARGE, f"{quantity} of {sku}; at most {QUANTITY_MAX} in one order"
            )
        if price.revision == 0:
            return QuoteRejected(RejectReason.UNKNOWN_SKU, f"{sku} is not in the price book")
        if price.money is None:
            return QuoteRejected(RejectReason.WITHDRAWN, f"{sku} is no longer sold")
        lines.append(PricedLine(sku=sku, quantity=quantity, price=price.money, title=price.title or None))
    currencies = sorted({line.price.currency for line in lines})
    if len(currencies) > 1:
        return QuoteRejected(
            RejectReason.MIXED_CURRENCY,
            f"the lines are priced in {' and '.join(currencies)}; order them separately",
        )
    try:
        total = order_total((line.price, line.quantity) for line in lines)
    except ValueError:
        return QuoteRejected(RejectReason.QUANTITY_TOO_LARGE, "the total exceeds the limit of one order")
    if command.total_seen is not None and command.total_seen != total:
        return QuoteRejected(
            RejectReason.TOTAL_CHANGED,
            f"you saw {command.total_seen}, it is now {total}; check the order again",
            total,
        )
    return Quote(tuple(lines), total)


def requested(command: orders.PlaceOrder, price_book: Mapping[str, Price]) -> tuple[RequestedLine, ...]:
    """The requested lines with the current price and title, as far as the price book has them."""
    known = ((line, price_book[line.sku]) for line in command.lines)
    return tuple(
        RequestedLine(sku=line.sku, quantity=line.quantity, price=price.money, title=price.title or None)
        for line, price in known
    )
