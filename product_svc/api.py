"""The read API of the catalogue. Changes are requested by commands over the broker."""

from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response

from chassis.runtime import Runtime
from chassis.store.protocol import Store
from chassis.web.app import flatten_routers
from chassis.web.problems import ALWAYS, problem_response, problem_responses
from contracts.http.products import ArticlePage, ArticleView, CategoryPage, CategoryView
from contracts.products import Category as CategoryName
from contracts.values import LINES_MAX, Sku, Skus
from product_svc.finding import Finder, read
from product_svc.illustrations.illustration import render_illustration
from product_svc.product import ProductStatus
from product_svc.service import PRODUCTS

_NOT_CHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Not changed"}}
_SVG = "image/svg+xml"
_ILLUSTRATION_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture", "content": {_SVG: {"schema": {"type": "string"}}}}
}
_CACHE_CONTROL = "public, max-age=3600"
_SKUS_DESCRIPTION = (
    f"up to {LINES_MAX} SKUs, separated by commas; also withdrawn articles; all other parameters are then "
    "ignored"
)


_QUERY_DESCRIPTION = (
    "words or prefixes of words of title, category and SKU; all must match, each with at most one typing "
    "error"
)


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(tags=["catalogue"], responses=ALWAYS)
    store, finder = runtime.store, Finder(runtime)

    @router.get("/products")
    async def list_products(
        q: Annotated[
            str,
            Query(
                max_length=100,
                description=_QUERY_DESCRIPTION,
            ),
        ] = "",
        category: Annotated[CategoryName | None, Query()] = None,
        skus: Annotated[Skus | None, Query(description=_SKUS_DESCRIPTION)] = None,
        after: Annotated[Sku | None, Query(description="the `next` of the previous page")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> ArticlePage:
        """The articles that are sold, by SKU, or the articles named by `skus`; unknown SKUs are left out."""
        if skus is not None:
            return ArticlePage(items=await _named(store, skus), next=None)
        where: dict[str, Any] = {"status": ProductStatus.LISTED.value}
        if category is not None:
            where["category"] = category
        found = await finder.find(where, q, after or "", limit + 1)
        page = [ArticleView.model_validate(product) for product in found[:limit]]
        return ArticlePage(items=page, next=page[-1].sku if len(found) > limit else None)

    @router.get(
        "/products/{sku}", response_model=ArticleView, responses=_NOT_CHANGED | problem_responses(404)
    )
    async def one_product(
        sku: Annotated[Sku, Path()], response: Response, if_none_match: Annotated[str, Header()] = ""
    ) -> Any:
        """One article, also a withdrawn one, because old orders refer to it."""
        loaded = (await store.load(PRODUCTS.kind, [sku]))[sku]
        product = read(loaded)
        if product.status is ProductStatus.NEW:
            return problem_response(404, "No such product", f"{sku} is not in the catalogue")
        etag = f'"{loaded.version}"'
        if _names(if_none_match, etag):
            return Response(status_code=304, headers={"ETag": etag})
        response.headers["ETag"] = etag
        return ArticleView.model_validate(product)

    @router.get("/categories")
    async def categories() -> CategoryPage:
        """Every category with an article that is sold."""
        counted = await finder.count_by_category()
        return CategoryPage(
            items=[CategoryView(name=name, count=count) for name, count in sorted(counted.items())]
        )

    return flatten_routers(router, _pictures(store))


def _pictures(store: Store) -> APIRouter:
    router = APIRouter(tags=["catalogue"], responses=ALWAYS)

    @router.get(
        "/products/{sku}/picture",
        response_class=Response,
        responses=_ILLUSTRATION_RESPONSE | _NOT_CHANGED | problem_responses(404),
    )
    async def drawn(sku: Annotated[Sku, Path()], if_none_match: Annotated[str, Header()] = "") -> Response:
        """A drawing of the article."""
        product = read((await store.load(PRODUCTS.kind, [sku]))[sku])
        if product.status is ProductStatus.NEW:
            return problem_response(404, "No such product", f"{sku} is not in the catalogue")
        svg = render_illustration(sku, product.title, product.category).encode()
        headers = {"ETag": f'"{sha256(svg).hexdigest()[:16]}"', "Cache-Control": _CACHE_CONTROL}
        if _names(if_none_match, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(svg, media_type=_SVG, headers=headers)

    return router


async def _named(store: Store, skus: str) -> list[ArticleView]:
    """The articles in the order of `skus`, without duplicates."""
    wanted = list(dict.fromkeys(skus.split(",")))
    loaded = await store.load(PRODUCTS.kind, wanted)
    products = [read(loaded[sku]) for sku in wanted]
    return [
        ArticleView.model_validate(product) for product in products if product.status is not ProductStatus.NEW
    ]


def _names(if_none_match: str, etag: str) -> bool:
    """The weak comparison of RFC 9110, section 13.1.2."""
    given = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in given or given == ["*"]
