"""The form that refunds a part of an order: an amount, or pieces that come back or are written off."""

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from contracts.http.orders import OrderView
from contracts.http.payments import PaymentStatus, PaymentView
from contracts.values import (
    AMOUNT_MAX,
    QUANTITY_MAX,
    Money,
    ReturnedLine,
    ReturnTo,
    parse_amount,
    quantities,
)
from operations.web.forms import StaffForm

# The names of the fields of one article begin with these.
PREFIXES = {ReturnTo.STOCK: "stock-", ReturnTo.WRITTEN_OFF: "written-off-"}


@dataclass(frozen=True)
class RefundableItem:
    """An article of a dispatched order. `left`: the pieces that no refund is for yet."""

    sku: str
    title: str
    price: Money
    dispatched: int
    left: int

    @property
    def limits(self) -> Markup:
        """Attributes of its fields."""
        return Markup(' min="0" max="{}"').format(min(self.left, QUANTITY_MAX))


def refundable_items(order: OrderView) -> tuple[RefundableItem, ...]:
    known, left = {line.sku: line for line in order.lines}, order.left_to_return()
    return tuple(
        RefundableItem(sku, known[sku].title or "", known[sku].price, dispatched, left[sku])
        for sku, dispatched in quantities(order.lines).items()
    )


def names_goods(form: StaffForm) -> bool:
    """Whether the form has a number of pieces, of whatever article."""
    return any(form[name] for name in form.given if name.startswith(tuple(PREFIXES.values())))


def returned_lines(form: StaffForm, order: OrderView, now: datetime) -> tuple[ReturnedLine, ...]:
    """The chosen pieces. The form has an error for each number that is not possible."""
    if names_goods(form) and order.return_window_ended(now):
        form.errors["amount"] = (
            f"Pieces could come back until {order.returnable_until:%Y-%m-%d %H:%M} UTC. Give the "
            "amount back without them, and correct the stock."
        )
        return ()
    lines: list[ReturnedLine] = []
    for sku, left in order.left_to_return().items():
        for to, prefix in PREFIXES.items():
            name = f"{prefix}{sku}"
            pieces = form.whole_number(name) if form[name] else 0
            chosen = sum(line.quantity for line in lines if line.sku == sku)
            if pieces and pieces > min(left - chosen, QUANTITY_MAX):
                form.errors[name] = f"{sku}: enter at most {min(left - chosen, QUANTITY_MAX)}."
            elif pieces:
                lines.append(ReturnedLine(sku=sku, quantity=pieces, to=to))
    return tuple(lines)


def refund_amount(
    form: StaffForm, payment: PaymentView, order: OrderView | None, returned: tuple[ReturnedLine, ...]
) -> Money:
    """The amount that was entered, or else the price of the pieces. The form may have an error for it."""
    if payment.settled_outside and not returned:
        form.errors.setdefault(
            "amount", "Enter a number of pieces. The payment was settled outside: give an amount back there."
        )
    if order is None or not returned:
        amount = entered_amount(form, payment)
        if amount.is_zero:
            hint = "e.g. 29.90, or a number of pieces."
            form.errors.setdefault("amount", f"Enter an amount in {payment.total.currency}, {hint}")
        return amount
    price = order.price_of(returned)
    amount = entered_amount(form, payment) if form["amount"] else price
    left = refundable(payment)
    if amount.amount_minor > price.amount_minor:
        form.errors["amount"] = f"Enter at most {price}, the price of these pieces."
    elif left is not None and amount.amount_minor > left.amount_minor:
        form.errors["amount"] = f"Enter at most {left}: no more is left to refund."
    elif amount.is_zero:
        form.errors.setdefault("amount", "Enter an amount above 0. Free pieces are a stock correction.")
    return amount


def refundable(payment: PaymentView) -> Money | None:
    """What is left to refund, if the payment's status allows a refund of a part."""
    if payment.status is not PaymentStatus.CAPTURED or payment.settlements:
        return None
    left = payment.total.amount_minor - sum(refund.amount.amount_minor for refund in payment.refunds)
    return Money(amount_minor=left, currency=payment.total.currency) if left > 0 else None


def entered_amount(form: StaffForm, payment: PaymentView) -> Money:
    """0, with an error in the form, if it is not an amount in the order's currency."""
    currency = payment.total.currency
    amount_minor = parse_amount(form["amount"] or "0", currency)
    if amount_minor is None or amount_minor > AMOUNT_MAX:
        amount_minor = 0
        form.errors["amount"] = f"Enter an amount in {currency}, e.g. 29.90."
    return Money(amount_minor=amount_minor, currency=currency)
