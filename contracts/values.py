"""Values that messages carry. All are frozen and strict: "1", 1.0 and true are not a quantity."""

import re
from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

LINES_MAX = 50
QUANTITY_MAX = 100
AMOUNT_MAX = 10**12

# ISO 4217:2015, the active currencies that the shop supports; the number is the count of decimals of the
# minor unit. An unlisted code is rejected rather than shown with the wrong decimal point.
_TWO_DECIMALS = """
AED ARS AUD BGN BRL CAD CHF CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR KES MAD MXN MYR NGN NOK
NZD PEN PHP PKR PLN QAR RON RSD SAR SEK SGD THB TRY TWD UAH USD ZAR
"""
MINOR_UNITS = dict.fromkeys(_TWO_DECIMALS.split(), 2) | {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "VND"), 0),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
}

_SKU = "[A-Z0-9][A-Z0-9-]{0,31}"
Sku = Annotated[str, Field(strict=True, pattern=f"^{_SKU}$", examples=["KETTLE-BLUE"])]
# Several SKUs in a query: as many as an order may have lines.
Skus = Annotated[
    str, Field(pattern=f"^{_SKU}(,{_SKU}){{0,{LINES_MAX - 1}}}$", examples=["KETTLE-BLUE,TEA-GREEN"])
]
Title = Annotated[str, Field(strict=True, min_length=1, max_length=120)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX)]
Amount = Annotated[int, Field(strict=True, ge=0, le=AMOUNT_MAX)]


_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def _canonical(given: object) -> object:
    """Accept one spelling of an id only, because keys, logs and links compare ids as text."""
    canonical = _CANONICAL_UUID.fullmatch(given) if isinstance(given, str) else given
    if not canonical or given in (NIL_UUID, str(NIL_UUID)):
        raise ValueError(
            "write the UUID with lower-case digits and hyphens, without braces or urn:, and not all zeros"
        )
    return given


Id = Annotated[UUID, BeforeValidator(_canonical)]


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _iso_day(given: object) -> object:
    """Not the other spellings that pydantic accepts, such as Unix times."""
    if not isinstance(given, str) or not _DAY.fullmatch(given):
        raise ValueError("write the day as 2031-05-06")
    return given


Day = Annotated[date, BeforeValidator(_iso_day)]


class Value(BaseModel):
    """A frozen model with value equality."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Money(Value):
    """An amount in minor units (cents, pence, yen) and its ISO 4217 currency."""

    amount_minor: Amount
    currency: str = Field(
        strict=True,
        pattern=r"^[A-Z]{3}$",
        examples=["EUR"],
        json_schema_extra={"enum": [*sorted(MINOR_UNITS)]},
    )

    @field_validator("currency")
    @classmethod
    def _is_known(cls, code: str) -> str:
        if code not in MINOR_UNITS:
            raise ValueError(
                f"{code} is not a supported currency; use one of {', '.join(sorted(MINOR_UNITS))}"
            )
        return code

    @property
    def is_zero(self) -> bool:
        return self.amount_minor == 0

    def times(self, quantity: int) -> "Money":
        return Money(amount_minor=self.amount_minor * quantity, currency=self.currency)

    def in_major_units(self, *, grouped: bool = False) -> str:
        """`1299.00`, or `1,299.00` if grouped."""
        decimals = MINOR_UNITS[self.currency]
        amount = self.amount_minor / 10**decimals
        return f"{amount:,.{decimals}f}" if grouped else f"{amount:.{decimals}f}"

    def __str__(self) -> str:
        return f"{self.in_major_units()} {self.currency}"


_SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$"}


def format_money(amount: Money, *, symbols: bool = True) -> str:
    """`€1,299.00`; with the currency code for currencies without an unambiguous symbol: `1,299.00 CHF`.

    `symbols`: False for the code always.
    """
    number = amount.in_major_units(grouped=True)
    symbol = _SYMBOLS.get(amount.currency) if symbols else None
    return f"{symbol}{number}" if symbol else f"{number} {amount.currency}"


def parse_amount(text: str, currency: str) -> int | None:
    """The minor units of an amount such as `29.90` or `29,9`; None if it is not one of this currency."""
    whole, _, part = text.strip().replace(",", ".").partition(".")
    decimals = MINOR_UNITS.get(currency, 2)
    digits = whole + part.ljust(decimals, "0")
    is_amount = (
        whole and digits.isascii() and digits.isdigit() and len(part) <= decimals and len(digits) <= 15
    )
    return int(digits) if is_amount else None


def order_total(items: Iterable[tuple[Money, int]]) -> Money:
    """The sum of the prices of some items, each a unit price and a quantity.

    Raises ValueError if there are no items or several currencies, or if the sum exceeds AMOUNT_MAX.
    """
    priced = list(items)
    currencies = {price.currency for price, _ in priced}
    if len(currencies) != 1:
        raise ValueError("a total needs prices in one currency")
    amount_minor = sum(price.amount_minor * quantity for price, quantity in priced)
    return Money(amount_minor=amount_minor, currency=currencies.pop())


# Initial values of states. No message contains them.
NIL_UUID = UUID(int=0)
NOTHING = Money(amount_minor=0, currency="EUR")


class OrderLine(Value):
    """A quantity of one article."""

    sku: Sku
    quantity: Quantity


class PricedLine(OrderLine):
    """An order line with the unit price and the article's title, as fixed by order_svc.

    `title`: None in orders of an older version, and if the price book has no title.
    """

    price: Money
    title: Title | None = None

    @property
    def total(self) -> Money:
        return self.price.times(self.quantity)


class RequestedLine(OrderLine):
    """A line of an order that was not accepted, with the price and title at that time,
    if the price book had them.
    """

    price: Money | None = None
    title: Title | None = None

    @property
    def total(self) -> Money | None:
        return None if self.price is None else self.price.times(self.quantity)


class ReturnTo(StrEnum):
    """Where returned pieces go: back to the stock, or out of the books because they cannot be sold."""

    STOCK = "stock"
    WRITTEN_OFF = "written_off"


class ReturnedLine(OrderLine):
    """Pieces of a dispatched order that are refunded. `title`: as in the order; order_svc fills it in."""

    to: ReturnTo
    title: Title | None = None


# Of one refund: each line of an order may be divided between the two destinations.
ReturnedLines = Annotated[tuple[ReturnedLine, ...], Field(max_length=2 * LINES_MAX)]


def item_names(lines: Iterable[ReturnedLine]) -> tuple[str, ...]:
    """`2 × Kettle, blue`, one for each article, by its title or else its SKU."""
    known = list(lines)
    titles = {line.sku: line.title for line in known if line.title}
    return tuple(f"{count} × {titles.get(sku, sku)}" for sku, count in quantities(known).items())


def quantities(lines: Iterable[OrderLine]) -> dict[str, int]:
    """The quantity of each SKU; duplicate lines are added up."""
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return wanted
