"""A basket with titles, prices and stock, as far as product_svc and inventory_svc are available."""

from dataclasses import dataclass

from chassis.web.http_client import UpstreamUnavailable
from contracts.values import Money, order_total
from gateway.basket.basket import Basket
from gateway.catalogue.client import CatalogueArticle, CatalogueClient, StockLevel


@dataclass(frozen=True, slots=True)
class PricedItem:
    """`article`: None if it does not exist or is unavailable. `stock`: None if unknown."""

    sku: str
    quantity: int
    article: CatalogueArticle | None
    stock: StockLevel | None

    @property
    def for_sale(self) -> bool:
        """Whether the article can be bought. inventory_svc checks the quantity after the order is placed."""
        return self.article is not None and not self.article.withdrawn

    @property
    def total(self) -> Money | None:
        return self.article.price.times(self.quantity) if self.article is not None and self.for_sale else None


@dataclass(frozen=True, slots=True)
class PricedBasket:
    """`priced`: whether product_svc returned the prices."""

    revision: int
    lines: tuple[PricedItem, ...]
    priced: bool

    @property
    def pieces(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def total(self) -> Money | None:
        """The total of the items for sale.

        None if there are none, or prices are unknown or in several currencies.
        """
        items = [
            (line.article.price, line.quantity)
            for line in self.lines
            if line.article is not None and line.for_sale
        ]
        if not self.priced or len({price.currency for price, _ in items}) != 1:
            return None
        return order_total(items)

    @property
    def unavailable(self) -> list[PricedItem]:
        """Items that are no longer for sale."""
        return [line for line in self.lines if self.priced and not line.for_sale]

    @property
    def sold_out(self) -> list[PricedItem]:
        return [line for line in self.lines if line.for_sale and line.stock is StockLevel.OUT]


async def price_basket(catalogue: CatalogueClient, basket: Basket, *, fresh: bool = False) -> PricedBasket:
    """`fresh`: bypasses the cache of prices and stock."""
    skus = [item.sku for item in basket.items]
    stock = await catalogue.stock(skus, fresh=fresh)
    try:
        articles, priced = await catalogue.articles(skus, fresh=fresh), True
    except UpstreamUnavailable:
        articles, priced = {}, False
    lines = (
        PricedItem(item.sku, item.quantity, articles.get(item.sku), stock.get(item.sku))
        for item in basket.items
    )
    return PricedBasket(basket.revision, tuple(lines), priced)
