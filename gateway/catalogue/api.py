"""The public HTTP API of the catalogue: articles with their stock level, and categories."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from chassis.web.problems import problem_responses
from contracts.products import Category as CategoryName
from contracts.values import Sku
from gateway.catalogue.client import CatalogueArticle, CatalogueCategory, StockLevel
from gateway.catalogue.dependencies import CatalogueDependencies
from gateway.http.etag import NOT_MODIFIED, IfNoneMatch, etag_matches
from gateway.http.problems import ProblemError

_FOR_EVERYBODY = "public, max-age=30"


class ShopArticle(CatalogueArticle):
    """An article with its stock level and the path of its picture."""

    stock: StockLevel | None = Field(description="in, few or out; null: currently unknown")
    picture_url: str = Field(examples=["/pictures/KETTLE-BLUE.svg?v=1"])


class ShopArticlePage(BaseModel):
    """`next`: the value of `after` for the next page; null on the last page."""

    items: list[ShopArticle]
    next: str | None


class CategoryList(BaseModel):
    """Sorted by name."""

    items: list[CatalogueCategory]


def routes(deps: CatalogueDependencies) -> APIRouter:
    router = deps.api_router("catalogue", prefix="/api/v1")
    catalogue = deps.catalogue

    @router.get("/products", response_model=ShopArticlePage, responses=NOT_MODIFIED | problem_responses(503))
    async def list_products(
        request: Request,
        q: Annotated[
            str, Query(max_length=100, description="words or prefixes of words; all must match")
        ] = "",
        category: Annotated[CategoryName | None, Query()] = None,
        after: Annotated[Sku | None, Query(description="the `next` of the previous page")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        if_none_match: IfNoneMatch = "",
    ) -> Response:
        """The articles that are for sale, sorted by SKU."""
        page = await catalogue.page(q=q, category=category or "", after=after or "", limit=limit)
        stock = await catalogue.stock([article.sku for article in page.items])
        items = [_view(article, stock.get(article.sku)) for article in page.items]
        response = _response(ShopArticlePage(items=items, next=page.next), if_none_match)
        if page.next is not None:
            following = request.url.include_query_params(after=page.next)
            response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
        return response

    @router.get(
        "/products/{sku}", response_model=ShopArticle, responses=NOT_MODIFIED | problem_responses(404, 503)
    )
    async def show_product(sku: Annotated[Sku, Path()], if_none_match: IfNoneMatch = "") -> Response:
        """An article, also a withdrawn one."""
        article = await catalogue.article(sku)
        if article is None:
            raise ProblemError("not-found", "There is no such article.")
        stock = await catalogue.stock([sku])
        return _response(_view(article, stock.get(sku)), if_none_match)

    @router.get("/categories", response_model=CategoryList, responses=NOT_MODIFIED | problem_responses(503))
    async def list_categories(if_none_match: IfNoneMatch = "") -> Response:
        """The categories that have articles for sale, with the number of these articles."""
        return _response(CategoryList(items=await catalogue.categories()), if_none_match)

    return router


def _view(article: CatalogueArticle, stock: StockLevel | None) -> ShopArticle:
    return ShopArticle(**article.model_dump(), stock=stock, picture_url=article.image_url)


def _response(content: BaseModel, if_none_match: str) -> Response:
    """The ETag is a digest of the body, because the body combines the responses of two services."""
    body = content.model_dump_json().encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": _FOR_EVERYBODY}
    if etag_matches(etag, if_none_match):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
