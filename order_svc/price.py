"""The price book: the price and title of each article, from product_svc's events."""

from dataclasses import dataclass, replace

from chassis.core.decision import Context, Decision, OutOfTurn
from contracts import products
from contracts.values import Money

Handles = products.ProductListed | products.PriceChanged | products.ProductWithdrawn


@dataclass(frozen=True, slots=True)
class Price:
    """Revision 0: no event yet. A price without money is a withdrawn article.

    `title_revision`: the revision of the listing with this title. A price book of an earlier version has no
    titles; `journey backfill` adds them from listings older than the price.
    """

    revision: int = 0
    money: Money | None = None
    title: str = ""
    title_revision: int = 0


def decide(price: Price, message: Handles, _: Context[object]) -> Decision[Price]:
    """The highest revision counts, in whatever order the events arrive."""
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
