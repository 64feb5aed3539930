"""What the checkout page showed when the customer pressed "Pay",
and how the current basket differs from it.
"""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData

from contracts.values import LINES_MAX, Money, PricedLine, format_money, order_total
from gateway.basket.priced_basket import PricedBasket, PricedItem
from gateway.web.form import SubmittedForm


class CheckoutSnapshot(BaseModel):
    """`key`: the idempotency key, created with the form. `revision`: of the basket."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    key: str = Field(pattern=r"^[0-9a-f-]{36}$")
    revision: int
    lines: tuple[PricedLine, ...] = Field(min_length=1, max_length=LINES_MAX)

    @property
    def total(self) -> Money:
        return order_total((line.price, line.quantity) for line in self.lines)


class CheckoutChange(NamedTuple):
    title: str
    difference: str


def parse_snapshot(form: SubmittedForm, sent: FormData) -> CheckoutSnapshot | None:
    """None for a malformed form. A line is a hidden field such as "KETTLE-BLUE 2 2990 EUR"."""
    try:
        lines = tuple(_line(str(line)) for line in sent.getlist("line"))
        snapshot = CheckoutSnapshot(key=form["key"], revision=int(form["revision"]), lines=lines)
        return snapshot if snapshot.total and len({line.price.currency for line in lines}) == 1 else None
    except (ValidationError, ValueError):
        return None


def _line(text: str) -> PricedLine:
    sku, quantity, amount, currency = text.split(" ")
    return PricedLine(
        sku=sku, quantity=int(quantity), price=Money(amount_minor=int(amount), currency=currency)
    )


def diff(snapshot: CheckoutSnapshot, now: PricedBasket) -> tuple[CheckoutChange, ...]:
    """The differences. Skips unknown prices, because order_svc rejects an order whose total has changed."""
    before = {line.sku: line for line in snapshot.lines}
    after = {line.sku: line for line in now.lines}
    compared = ((sku, before.get(sku), after.get(sku)) for sku in dict.fromkeys((*before, *after)))
    return tuple(
        CheckoutChange(_title(sku, then), difference)
        for sku, first, then in compared
        if (difference := _other_quantity(first, then) or _other_price(first, then, now.priced))
    )


def _title(sku: str, line: PricedItem | None) -> str:
    return line.article.title if line is not None and line.article is not None else sku


def _other_quantity(first: PricedLine | None, then: PricedItem | None) -> str:
    if then is None:
        return "it is no longer in the basket."
    if first is None:
        return "it was added to the basket."
    if first.quantity != then.quantity:
        return f"{then.quantity} instead of {first.quantity}."
    return ""


def _other_price(first: PricedLine | None, then: PricedItem | None, priced: bool) -> str:
    if first is None or then is None or not priced:
        return ""
    if then.article is None or not then.for_sale:
        return "it is no longer for sale."
    if then.article.price != first.price:
        return f"each now costs {format_money(then.article.price)} instead of {format_money(first.price)}."
    return ""
