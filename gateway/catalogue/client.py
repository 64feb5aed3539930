"""The catalogue, read from product_svc and inventory_svc and cached for some seconds.

Stock is optional: an article is shown without it while inventory_svc is unavailable. Without product_svc
every method raises UpstreamUnavailable.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from contracts.values import Money, Sku
from gateway.catalogue.ttl_cache import TTLCache
from gateway.web.templating import category_title

CACHE_TTL_S = 15.0
_CACHE_SIZE_MAX = 500
_FEW = 5
# Limits for the responses of product_svc and inventory_svc, well above what their contracts allow.
_TITLE_MAX = 1_000
_DESCRIPTION_MAX = 20_000
_NAME_MAX = 100
_ITEMS_MAX, _COUNT_MAX = 1_000, 10**12
_IMAGE_TYPE, _IMAGE_BYTES_MAX = "image/svg+xml", 1_000_000


class StockLevel(StrEnum):
    """The stock level that customers see: `few` is at most five pieces."""

    IN = "in"
    FEW = "few"
    OUT = "out"


class CatalogueArticle(BaseModel):
    """An article of the catalogue. `withdrawn`: it is no longer for sale."""

    model_config = ConfigDict(frozen=True)

    sku: Sku
    title: str = Field(max_length=_TITLE_MAX, examples=["Kettle, blue"])
    description: str = Field(max_length=_DESCRIPTION_MAX)
    category: str = Field(max_length=_NAME_MAX, examples=["kitchen"])
    price: Money
    revision: int = Field(strict=True, ge=0, le=_COUNT_MAX)
    withdrawn: bool = Field(strict=True)

    @property
    def image_url(self) -> str:
        """The URL contains the revision, so browsers may cache the picture."""
        return f"/pictures/{self.sku}.svg?v={self.revision}"


class CatalogueArticlePage(BaseModel):
    """A page of articles. `next`: the value of `after` for the next page; null on the last page."""

    items: list[CatalogueArticle] = Field(max_length=_ITEMS_MAX)
    next: str | None = Field(max_length=_NAME_MAX)


class CatalogueCategory(BaseModel):
    """A category. `count`: how many of its articles are for sale."""

    name: str = Field(max_length=_NAME_MAX, examples=["kitchen"])
    count: int = Field(strict=True, ge=0, le=_COUNT_MAX)

    @property
    def title(self) -> str:
        return category_title(self.name)


class _Categories(BaseModel):
    items: list[CatalogueCategory] = Field(max_length=_ITEMS_MAX)


class _Shelf(BaseModel):
    sku: Sku
    available: int = Field(strict=True, ge=-_COUNT_MAX, le=_COUNT_MAX)


class _Shelves(BaseModel):
    items: list[_Shelf] = Field(max_length=_ITEMS_MAX)


@dataclass(frozen=True, slots=True)
class ProductImage:
    body: bytes
    media_type: str


Model = TypeVar("Model", bound=BaseModel)


class CatalogueClient:
    """One per instance. Raises UpstreamUnavailable if product_svc does not respond or its response is
    invalid.
    """

    def __init__(
        self, products: UpstreamClient, inventory: UpstreamClient, cache_ttl_s: float = CACHE_TTL_S
    ) -> None:
        self._products = products
        self._inventory = inventory
        self._categories: TTLCache[list[CatalogueCategory]] = TTLCache(cache_ttl_s, 1)
        self._articles: TTLCache[CatalogueArticle | None] = TTLCache(cache_ttl_s, _CACHE_SIZE_MAX)
        self._stock: TTLCache[StockLevel] = TTLCache(cache_ttl_s, _CACHE_SIZE_MAX)
        self._images: TTLCache[ProductImage | None] = TTLCache(20 * cache_ttl_s, _CACHE_SIZE_MAX)

    async def categories(self) -> list[CatalogueCategory]:
        async def load(_: list[str]) -> Mapping[str, list[CatalogueCategory]]:
            return {"all": (await self._read(_Categories, "/categories", {})).items}

        return (await self._categories.get_many(["all"], load))["all"]

    async def page(
        self, *, q: str = "", category: str = "", after: str = "", limit: int = 24
    ) -> CatalogueArticlePage:
        """Articles that are for sale, sorted by SKU."""
        params = {"q": q, "category": category, "after": after, "limit": str(limit)}
        return await self._read(
            CatalogueArticlePage, "/products", {name: value for name, value in params.items() if value}
        )

    async def article(self, sku: str) -> CatalogueArticle | None:
        """An article, also a withdrawn one. None if it does not exist."""
        return (await self.articles([sku])).get(sku)

    async def articles(self, skus: Collection[str], *, fresh: bool = False) -> dict[str, CatalogueArticle]:
        """Articles by SKU, without those that do not exist. `fresh`: bypasses the cache."""

        async def load(wanted: list[str]) -> Mapping[str, CatalogueArticle | None]:
            page = await self._read(CatalogueArticlePage, "/products", {"skus": ",".join(wanted)})
            found = {article.sku: article for article in page.items}
            return {sku: found.get(sku) for sku in wanted}

        if fresh:
            self._articles.forget(skus)
        known = await self._articles.get_many(skus, load)
        return {sku: article for sku, article in known.items() if article is not None}

    async def stock(self, skus: Collection[str], *, fresh: bool = False) -> dict[str, StockLevel]:
        """Stock levels by SKU; articles are missing while inventory_svc is unavailable.

        `fresh`: bypasses the cache.
        """

        async def load(wanted: list[str]) -> Mapping[str, StockLevel]:
            response = await self._inventory.get("/stock", params={"skus": ",".join(wanted)})
            pieces = {
                shelf.sku: shelf.available for shelf in _parsed(_Shelves, response, "inventory_svc").items
            }
            return {sku: _stock_level(pieces.get(sku, 0)) for sku in wanted}

        if fresh:
            self._stock.forget(skus)
        try:
            return await self._stock.get_many(skus, load)
        except UpstreamUnavailable:
            return {}

    async def image(self, sku: str) -> ProductImage | None:
        async def load(_: list[str]) -> Mapping[str, ProductImage | None]:
            response = await self._products.get(f"/products/{sku}/picture")
            if response.status_code == 404:
                return {sku: None}
            _require_ok(response, "product_svc")
            media_type, _, _ = response.headers.get("Content-Type", "").partition(";")
            if media_type.strip() != _IMAGE_TYPE or len(response.content) > _IMAGE_BYTES_MAX:
                raise UpstreamUnavailable(
                    "product_svc"
                )  # other types, such as HTML, could run scripts in the shop's origin
            return {sku: ProductImage(response.content, _IMAGE_TYPE)}

        return (await self._images.get_many([sku], load))[sku]

    async def _read(self, kind: type[Model], path: str, params: dict[str, str]) -> Model:
        return _parsed(kind, await self._products.get(path, params=params), "product_svc")


def _stock_level(pieces: int) -> StockLevel:
    if pieces <= 0:
        return StockLevel.OUT
    return StockLevel.FEW if pieces <= _FEW else StockLevel.IN


def _require_ok(response: httpx.Response, name: str) -> None:
    if response.status_code != 200:
        raise UpstreamUnavailable(name)


def _parsed(kind: type[Model], response: httpx.Response, name: str) -> Model:
    _require_ok(response, name)
    try:
        return kind.model_validate_json(response.content)
    except ValidationError:
        raise UpstreamUnavailable(name) from None
