"""The price book: what each article costs, as far as product_svc has told us."""

from dataclasses import dataclass, replace

from chassis.decision import Decision, OutOfTurn
from contracts import products
from contracts.values import Money

Heard = products.ProductListed | products.PriceChanged | products.ProductWithdrawn


@dataclass(frozen=True, slots=True)
class Price:
    """Revision 0: never heard of. A price without money is a withdrawn article."""

    revision: int = 0
    money: Money | None = None


def decide(price: Price, message: Heard) -> Decision[Price]:
    """Newer news counts, whatever the order in which it arrives."""
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
