"""What is in a basket, as people see it: with titles, prices and stock, as far as they are known just now."""

from dataclasses import dataclass

from contracts.values import Money
from gateway.basket import Basket
from gateway.catalogue import Article, Catalogue, Stock
from gateway.upstream import Away


@dataclass(frozen=True, slots=True)
class Line:
    """`article`: None if there is none, or if that is not known. `stock`: None if not known."""

    sku: str
    quantity: int
    article: Article | None
    stock: Stock | None

    @property
    def sold(self) -> bool:
        """Whether it can be bought at all; how much there is decides itself after the order."""
        return self.article is not None and not self.article.withdrawn

    @property
    def total(self) -> Money | None:
        return self.article.price.times(self.quantity) if self.article is not None and self.sold else None


@dataclass(frozen=True, slots=True)
class Contents:
    """`priced`: whether product_svc has told what the articles cost."""

    revision: int
    lines: tuple[Line, ...]
    priced: bool

    @property
    def pieces(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def total(self) -> Money | None:
        """Of what can be bought. None if nothing can, or if it is not known, or in more than one currency."""
        totals = [line.total for line in self.lines if line.total is not None]
        if not self.priced or len({each.currency for each in totals}) != 1:
            return None
        return Money(amount_minor=sum(each.amount_minor for each in totals), currency=totals[0].currency)

    @property
    def gone(self) -> list[Line]:
        """What was put in and is not for sale any more."""
        return [line for line in self.lines if self.priced and not line.sold]

    @property
    def sold_out(self) -> list[Line]:
        return [line for line in self.lines if line.sold and line.stock is Stock.OUT]


async def contents(catalogue: Catalogue, basket: Basket, *, fresh: bool = False) -> Contents:
    """`fresh`: with prices and stock as they are now, not a moment ago."""
    skus = [item.sku for item in basket.items]
    stock = await catalogue.stock(skus, fresh=fresh)
    try:
        articles, priced = await catalogue.articles(skus, fresh=fresh), True
    except Away:
        articles, priced = {}, False
    lines = (Line(item.sku, item.quantity, articles.get(item.sku), stock.get(item.sku)) for item in basket.items)
    return Contents(basket.revision, tuple(lines), priced)
