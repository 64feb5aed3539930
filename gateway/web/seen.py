"""What a customer had before their eyes when they pressed "Pay", and what is otherwise by now."""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData

from contracts.values import LINES_MAX, Money, PricedLine
from gateway.amounts import money
from gateway.contents import Contents, Line
from gateway.web.form import Form


class Seen(BaseModel):
    """`key`: of the order-to-be; it was made with the form."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    key: str = Field(pattern=r"^[0-9a-f-]{36}$")
    revision: int
    lines: tuple[PricedLine, ...] = Field(min_length=1, max_length=LINES_MAX)

    @property
    def total(self) -> Money:
        return Money(
            amount_minor=sum(line.total.amount_minor for line in self.lines), currency=self.lines[0].price.currency
        )


class Change(NamedTuple):
    title: str
    what: str


def what_was_seen(form: Form, sent: FormData) -> Seen | None:
    """None: that is not what our form sends. Each line is as its hidden field has it: "KETTLE-BLUE 2 2990 EUR"."""
    try:
        lines = tuple(_line(str(line)) for line in sent.getlist("line"))
        seen = Seen(key=form["key"], revision=int(form["revision"]), lines=lines)
        return seen if seen.total and len({line.price.currency for line in lines}) == 1 else None
    except (ValidationError, ValueError):
        return None


def _line(text: str) -> PricedLine:
    sku, quantity, amount, currency = text.split(" ")
    return PricedLine(sku=sku, quantity=int(quantity), price=Money(amount_minor=int(amount), currency=currency))


def changes_since(seen: Seen, now: Contents) -> tuple[Change, ...]:
    """Prices that nobody can tell just now are left to order_svc, which rejects an order whose total has changed."""
    before = {line.sku: line for line in seen.lines}
    after = {line.sku: line for line in now.lines}
    compared = ((sku, before.get(sku), after.get(sku)) for sku in dict.fromkeys((*before, *after)))
    return tuple(
        Change(_title(sku, then), what)
        for sku, first, then in compared
        if (what := _other_quantity(first, then) or _other_price(first, then, now.priced))
    )


def _title(sku: str, line: Line | None) -> str:
    return line.article.title if line is not None and line.article is not None else sku


def _other_quantity(first: PricedLine | None, then: Line | None) -> str:
    if then is None:
        return "it is not in the basket any more."
    if first is None:
        return "it has come into the basket."
    if first.quantity != then.quantity:
        return f"{then.quantity} instead of {first.quantity}."
    return ""


def _other_price(first: PricedLine | None, then: Line | None, priced: bool) -> str:
    if first is None or then is None or not priced:
        return ""
    if then.article is None or not then.sold:
        return "it is not for sale any more."
    if then.article.price != first.price:
        return f"one costs {money(then.article.price)} now, and not {money(first.price)}."
    return ""
