"""The HTTP API of the basket: of the logged-in user, or of a guest, who is identified by a cookie."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis.web.http_client import UpstreamUnavailable
from chassis.web.problems import problem_responses
from chassis.web.strict_json import StrictRoute
from contracts.values import LINES_MAX, QUANTITY_MAX, Money, Sku
from gateway.basket.basket import Basket, BasketChanged, BasketFull, SetQuantity
from gateway.basket.dependencies import BasketDependencies
from gateway.basket.priced_basket import PricedItem, price_basket
from gateway.catalogue.client import StockLevel
from gateway.http.problems import ProblemError

_REVISION = re.compile(r'"([0-9]{1,9})"')
_ETAG: dict[str, Any] = {"ETag": {"schema": {"type": "string"}, "description": "the basket's revision"}}
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"headers": _ETAG}}
IfMatch = Annotated[
    str,
    Header(
        description="the ETag of the basket that you read; without it, your change overwrites concurrent ones"
    ),
]


class Wanted(BaseModel):
    """The total quantity of an article. 0 removes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: Annotated[int, Field(strict=True, ge=0, le=QUANTITY_MAX, examples=[2])]


class ItemView(BaseModel):
    """`title`, `price` and `total` are null while product_svc is unavailable,
    `stock` while inventory_svc is.
    """

    sku: str = Field(examples=["KETTLE-BLUE"])
    quantity: int
    title: str | None
    price: Money | None
    total: Money | None
    stock: StockLevel | None
    for_sale: bool | None = Field(description="null: currently unknown")


class BasketView(BaseModel):
    """`total`: of the items that are for sale; null if unknown."""

    revision: int
    items: list[ItemView]
    total: Money | None


def routes(deps: BasketDependencies) -> APIRouter:
    router = deps.api_router("basket", prefix="/api/v1/basket", route_class=StrictRoute)

    @router.get("", responses=_SHOWN | problem_responses(503))
    async def show_basket(request: Request, response: Response) -> BasketView:
        """The basket with current prices, as far as they are available."""
        return await _view(deps, await deps.baskets.get(await _key(deps, request)), response)

    @router.put("/items/{sku}", responses=_SHOWN | problem_responses(404, 412, 503))
    async def put_item(
        sku: Annotated[Sku, Path()],
        wanted: Wanted,
        request: Request,
        response: Response,
        if_match: IfMatch = "",
    ) -> BasketView:
        """Sets the quantity of an article. A guest without a basket gets a new one, with its cookie."""
        if wanted.quantity and not await _is_for_sale(deps, sku):
            raise ProblemError("not-found", "There is no such article for sale.")
        return await _put(deps, request, response, sku, wanted.quantity, if_match)

    @router.delete("/items/{sku}", responses=_SHOWN | problem_responses(412, 503))
    async def take_out(
        sku: Annotated[Sku, Path()], request: Request, response: Response, if_match: IfMatch = ""
    ) -> BasketView:
        """Removes an article. Succeeds also if the basket does not contain it."""
        return await _put(deps, request, response, sku, 0, if_match)

    return router


async def _key(deps: BasketDependencies, request: Request) -> str:
    return deps.baskets.key_for(await deps.current_user(request), request)


async def _is_for_sale(deps: BasketDependencies, sku: str) -> bool:
    """True while product_svc is unavailable: order_svc checks it again when the order is placed."""
    try:
        article = await deps.catalogue.article(sku)
    except UpstreamUnavailable:
        return True
    return article is not None and not article.withdrawn


async def _put(
    deps: BasketDependencies, request: Request, response: Response, sku: str, quantity: int, if_match: str
) -> BasketView:
    key, seen = await _key(deps, request), _revision(if_match)
    if not key and not quantity and seen is None:
        return await _view(deps, Basket(), response)
    try:
        basket = await deps.baskets.change(
            key or deps.baskets.new_guest(response), SetQuantity(sku, quantity, seen)
        )
    except BasketChanged:
        raise ProblemError("changed") from None
    except BasketFull:
        raise ProblemError(
            "not-valid", f"An order can have at most {LINES_MAX} articles: remove one first."
        ) from None
    return await _view(deps, basket, response)


def _revision(if_match: str) -> int | None:
    """The revision in an If-Match header.

    None matches every revision, -1 (for a foreign ETag) matches none.
    """
    if if_match.strip() in ("", "*"):
        return None
    found = _REVISION.fullmatch(if_match.strip())
    return int(found[1]) if found else -1


async def _view(deps: BasketDependencies, basket: Basket, response: Response) -> BasketView:
    known = await price_basket(deps.catalogue, basket)
    response.headers["ETag"] = f'"{known.revision}"'
    response.headers["Cache-Control"] = "private, no-cache"
    items = [_item(line, known.priced) for line in known.lines]
    return BasketView(revision=known.revision, items=items, total=known.total)


def _item(line: PricedItem, priced: bool) -> ItemView:
    article = line.article
    return ItemView(
        sku=line.sku,
        quantity=line.quantity,
        title=None if article is None else article.title,
        price=None if article is None else article.price,
        total=line.total,
        stock=line.stock,
        for_sale=line.for_sale if priced else None,
    )
