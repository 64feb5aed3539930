"""What is for sale: read from product_svc and inventory_svc, and remembered for a moment.

Stock is what may be missing: an article without it is shown all the same, and says so. Without product_svc there is
nothing to show, and whoever asks is told by Away.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.values import Money, Sku
from gateway.recent import Recent
from gateway.upstream import Away, Upstream

FRESH_S = 15.0  # how long an answer is remembered
_REMEMBERED_MAX = 500
_FEW = 5
# Bounds of what product_svc and inventory_svc may answer, well above what their contracts allow.
_TITLE_MAX, _DESCRIPTION_MAX, _NAME_MAX = 1_000, 20_000, 100
_ITEMS_MAX, _COUNT_MAX = 1_000, 10**12
_PICTURE_TYPE, _PICTURE_BYTES_MAX = "image/svg+xml", 1_000_000


class Stock(StrEnum):
    """How much there is, as customers are told."""

    IN = "in"
    FEW = "few"
    OUT = "out"


class Article(BaseModel):
    """An article of the catalogue. `withdrawn`: it can no longer be bought."""

    model_config = ConfigDict(frozen=True)

    sku: Sku
    title: str = Field(max_length=_TITLE_MAX, examples=["Kettle, blue"])
    description: str = Field(max_length=_DESCRIPTION_MAX)
    category: str = Field(max_length=_NAME_MAX, examples=["kitchen"])
    price: Money
    revision: int = Field(strict=True, ge=0, le=_COUNT_MAX)
    withdrawn: bool = Field(strict=True)

    @property
    def picture(self) -> str:
        """The revision is in the address, so that a browser may keep the picture as long as it likes."""
        return f"/pictures/{self.sku}.svg?v={self.revision}"


class Articles(BaseModel):
    """A page of articles; `next` is what to give as `after` for the one that follows, if one does."""

    items: list[Article] = Field(max_length=_ITEMS_MAX)
    next: str | None = Field(max_length=_NAME_MAX)


class Category(BaseModel):
    """A category, and how many articles of it can be bought."""

    name: str = Field(max_length=_NAME_MAX, examples=["kitchen"])
    count: int = Field(strict=True, ge=0, le=_COUNT_MAX)

    @property
    def title(self) -> str:
        return category_title(self.name)


def category_title(name: str) -> str:
    return name.replace("-", " ").capitalize()


class _Categories(BaseModel):
    items: list[Category] = Field(max_length=_ITEMS_MAX)


class _Shelf(BaseModel):
    sku: Sku
    available: int = Field(strict=True, ge=-_COUNT_MAX, le=_COUNT_MAX)


class _Shelves(BaseModel):
    items: list[_Shelf] = Field(max_length=_ITEMS_MAX)


@dataclass(frozen=True, slots=True)
class Picture:
    body: bytes
    media_type: str


Model = TypeVar("Model", bound=BaseModel)


class Catalogue:
    """One per instance. Raises Away when product_svc is silent or makes no sense."""

    def __init__(self, products: Upstream, inventory: Upstream, fresh_s: float = FRESH_S) -> None:
        self._products, self._inventory = products, inventory
        self._categories: Recent[list[Category]] = Recent(fresh_s, 1)
        self._articles: Recent[Article | None] = Recent(fresh_s, _REMEMBERED_MAX)
        self._stock: Recent[Stock] = Recent(fresh_s, _REMEMBERED_MAX)
        self._pictures: Recent[Picture | None] = Recent(20 * fresh_s, _REMEMBERED_MAX)

    async def categories(self) -> list[Category]:
        async def ask(_: list[str]) -> Mapping[str, list[Category]]:
            return {"all": (await self._read(_Categories, "/categories", {})).items}

        return (await self._categories.of(["all"], ask))["all"]

    async def page(self, *, q: str = "", category: str = "", after: str = "", limit: int = 24) -> Articles:
        """Articles that can be bought, by SKU."""
        params = {"q": q, "category": category, "after": after, "limit": str(limit)}
        return await self._read(Articles, "/products", {name: value for name, value in params.items() if value})

    async def article(self, sku: str) -> Article | None:
        """One article, also a withdrawn one. None: there is none."""
        return (await self.articles([sku])).get(sku)

    async def articles(self, skus: Collection[str], *, fresh: bool = False) -> dict[str, Article]:
        """Articles by SKU; those that do not exist are missing. `fresh`: as they are now, not a moment ago."""

        async def ask(wanted: list[str]) -> Mapping[str, Article | None]:
            page = await self._read(Articles, "/products", {"skus": ",".join(wanted)})
            found = {article.sku: article for article in page.items}
            return {sku: found.get(sku) for sku in wanted}

        if fresh:
            self._articles.forget(skus)
        known = await self._articles.of(skus, ask)
        return {sku: article for sku, article in known.items() if article is not None}

    async def stock(self, skus: Collection[str], *, fresh: bool = False) -> dict[str, Stock]:
        """How much there is of each. An article is missing when that is not known just now: inventory_svc is away."""

        async def ask(wanted: list[str]) -> Mapping[str, Stock]:
            answer = await self._inventory.get("/stock", params={"skus": ",".join(wanted)})
            pieces = {shelf.sku: shelf.available for shelf in _parsed(_Shelves, answer, "inventory_svc").items}
            return {sku: _in_words(pieces.get(sku, 0)) for sku in wanted}

        if fresh:
            self._stock.forget(skus)
        try:
            return await self._stock.of(skus, ask)
        except Away:
            return {}

    async def picture(self, sku: str) -> Picture | None:
        async def ask(_: list[str]) -> Mapping[str, Picture | None]:
            answer = await self._products.get(f"/products/{sku}/picture")
            if answer.status_code == 404:
                return {sku: None}
            _must_be_good(answer, "product_svc")
            media_type, _, _ = answer.headers.get("Content-Type", "").partition(";")
            if media_type.strip() != _PICTURE_TYPE or len(answer.content) > _PICTURE_BYTES_MAX:
                raise Away("product_svc")  # anything else, such as HTML, would run in the shop's own name
            return {sku: Picture(answer.content, _PICTURE_TYPE)}

        return (await self._pictures.of([sku], ask))[sku]

    async def _read(self, kind: type[Model], path: str, params: dict[str, str]) -> Model:
        return _parsed(kind, await self._products.get(path, params=params), "product_svc")


def _in_words(pieces: int) -> Stock:
    if pieces <= 0:
        return Stock.OUT
    return Stock.FEW if pieces <= _FEW else Stock.IN


def _must_be_good(answer: httpx.Response, name: str) -> None:
    if answer.status_code != 200:
        raise Away(name)


def _parsed(kind: type[Model], answer: httpx.Response, name: str) -> Model:
    _must_be_good(answer, name)
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError:
        raise Away(name) from None
