"""The catalogue, read from product_svc and inventory_svc and cached for some seconds.

Stock is optional: an article is shown without it while inventory_svc is unavailable. Without product_svc
every method raises UpstreamUnavailable.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import httpx
from cachetools import TTLCache
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from contracts.values import Money, Sku
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
Value = TypeVar("Value")
Load = Callable[[list[str]], Awaitable[Mapping[str, Value]]]


class CatalogueClient:
    """One per instance, so another instance may return newer values until an entry of the cache expires.

    Raises UpstreamUnavailable if product_svc does not respond or its response is invalid.
    """

    def __init__(
        self, products: UpstreamClient, inventory: UpstreamClient, cache_ttl_s: float = CACHE_TTL_S
    ) -> None:
        self._products, self._inventory = products, inventory
        self._categories: TTLCache[str, list[CatalogueCategory]] = TTLCache(1, cache_ttl_s)
        self._articles: TTLCache[str, CatalogueArticle | None] = TTLCache(_CACHE_SIZE_MAX, cache_ttl_s)
        self._stock: TTLCache[str, StockLevel] = TTLCache(_CACHE_SIZE_MAX, cache_ttl_s)
        self._images: TTLCache[str, ProductImage | None] = TTLCache(_CACHE_SIZE_MAX, 20 * cache_ttl_s)

    async def categories(self) -> list[CatalogueCategory]:
        async def load(_: list[str]) -> Mapping[str, list[CatalogueCategory]]:
            return {"all": (await self._read(_Categories, "/categories", {})).items}

        return (await _get_many(self._categories, ["all"], load))["all"]

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
            _forget(self._articles, skus)
        known = await _get_many(self._articles, skus, load)
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
            _forget(self._stock, skus)
        try:
            return await _get_many(self._stock, skus, load)
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

        return (await _get_many(self._images, [sku], load))[sku]

    async def _read(self, kind: type[Model], path: str, params: dict[str, str]) -> Model:
        return _parsed(kind, await self._products.get(path, params=params), "product_svc")


async def _get_many(
    cache: TTLCache[str, Value], keys: Collection[str], load: Load[Value]
) -> dict[str, Value]:
    """The cached values, and those that `load` returns for the missing keys. Errors of `load` propagate."""
    found: dict[str, Value] = {}
    for key in keys:
        with suppress(KeyError):  # missing or expired
            found[key] = cache[key]
    if missing := [key for key in keys if key not in found]:
        loaded = await load(missing)
        cache.update(loaded)
        found |= loaded
    return found


def _forget(cache: TTLCache[str, Value], keys: Collection[str]) -> None:
    for key in keys:
        cache.pop(key, None)


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
        return kind.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        raise UpstreamUnavailable(name) from None
