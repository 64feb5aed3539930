"""The price book: what each article costs and is called, as far as product_svc has told us."""

from dataclasses import dataclass, replace

from chassis.core.decision import Context, Decision, OutOfTurn
from contracts import products
from contracts.values import Money

Handles = products.ProductListed | products.PriceChanged | products.ProductWithdrawn


@dataclass(frozen=True, slots=True)
class Price:
    """Revision 0: never heard of. A price without money is a withdrawn article.

    `title_revision`: of the listing that the title is from. A price book of an older version has no titles; `journey
    backfill` brings them from listings that are older than the price.
    """

    revision: int = 0
    money: Money | None = None
    title: str = ""
    title_revision: int = 0


def decide(price: Price, message: Handles, _: Context[object]) -> Decision[Price]:
    """Newer news counts, whatever the order in which it arrives."""
    if isinstance(message, products.ProductListed) and message.revision > price.title_revision:
        price = replace(price, title=message.title, title_revision=message.revision)
    match message:
        case products.ProductListed() | products.PriceChanged() | products.ProductWithdrawn() if (
            message.revision <= price.revision
        ):
            return Decision(price)
        case products.ProductListed(price=money, revision=revision):
            return Decision(replace(price, money=money, revision=revision))
        case products.PriceChanged(price=money, revision=revision):
            return Decision(replace(price, money=money, revision=revision))
        case products.ProductWithdrawn(revision=revision):
            return Decision(replace(price, money=None, revision=revision))
        case _:
            raise OutOfTurn(price, message)
