"""The commands and events of product_svc.

`revision` counts up per product, so that outdated events are recognised.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from chassis.messaging.message import Command, Event, Owner, Sender
from contracts.text import one_line, several_lines
from contracts.values import Money, Sku, Title

PRODUCT = Owner("product", service="product_svc")

Revision = Annotated[int, Field(strict=True, ge=1)]
Category = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["kitchen"])]


class ListProduct(Command, owner=PRODUCT, type="product.list.v1", subject="sku", sender=Sender.STAFF):
    """Add an article to the catalogue, or list a withdrawn one again."""

    sku: Sku
    title: Annotated[Title, AfterValidator(one_line)]
    description: Annotated[str, Field(strict=True, max_length=4000), AfterValidator(several_lines)] = ""
    category: Category
    price: Money


class ChangePrice(Command, owner=PRODUCT, type="product.change_price.v1", subject="sku", sender=Sender.STAFF):
    """Change the article's price."""

    sku: Sku
    price: Money


class WithdrawProduct(Command, owner=PRODUCT, type="product.withdraw.v1", subject="sku", sender=Sender.STAFF):
    """Remove the article from the catalogue."""

    sku: Sku


class ProductListed(Event, owner=PRODUCT, type="product.listed.v1", subject="sku"):
    """The article can be bought at this price."""

    sku: Sku
    title: Title
    category: Category
    price: Money
    revision: Revision


class PriceChanged(Event, owner=PRODUCT, type="product.price_changed.v1", subject="sku"):
    """The article has a new price."""

    sku: Sku
    price: Money
    revision: Revision


class ProductWithdrawn(Event, owner=PRODUCT, type="product.withdrawn.v1", subject="sku"):
    """The article can no longer be bought."""

    sku: Sku
    revision: Revision


class ProductCommandRefused(Event, owner=PRODUCT, type="product.command_refused.v1", subject="sku"):
    """A command was refused because the article is not in the catalogue."""

    sku: Sku
    detail: str
