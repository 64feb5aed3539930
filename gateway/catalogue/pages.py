"""The public pages: categories, search, one article, and information about the shop."""

import re
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from chassis.web.app import flatten_routers
from chassis.web.http_client import UpstreamUnavailable
from gateway.catalogue.client import CatalogueArticle, CatalogueArticlePage, CatalogueClient
from gateway.catalogue.dependencies import CatalogueDependencies
from gateway.http.problems import ProblemError
from gateway.web.templating import Notice, category_title, render_page

SKU = re.compile(r"[A-Z0-9][A-Z0-9-]{0,31}")
_CATEGORY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_QUERY_MAX = 100
_ON_HOME = 12
_IMAGE_MAX_AGE = "public, max-age=86400"


def routes(deps: CatalogueDependencies) -> APIRouter:
    return flatten_routers(_listing_routes(deps), _article_routes(deps))


def _listing_routes(deps: CatalogueDependencies) -> APIRouter:
    router = deps.page_router()
    catalogue = deps.catalogue

    @router.get("/")
    async def home(request: Request) -> Response:
        try:
            categories, articles = await catalogue.categories(), (await catalogue.page(limit=_ON_HOME)).items
        except UpstreamUnavailable:
            return await render_page(deps, request, "home.html", articles=None)
        stock = await catalogue.stock([article.sku for article in articles])
        return await render_page(
            deps, request, "home.html", categories=categories, articles=articles, stock=stock
        )

    @router.get("/c/{category}")
    async def category(request: Request, category: str, after: str = "") -> Response:
        if not _CATEGORY.fullmatch(category):
            raise ProblemError("not-found", "There is no such category.")
        page = await _page(catalogue, category=category, after=after)
        return await render_page(
            deps,
            request,
            "articles.html",
            **await _listing_context(catalogue, page),
            articles=page,
            heading=category_title(category),
            current=category,
            more=f"/c/{category}?after=",
            empty="There are no articles in this category.",
        )

    @router.get("/search")
    async def search(request: Request, q: str = "", after: str = "") -> Response:
        terms = " ".join(q.split())[:_QUERY_MAX]
        page = await _page(catalogue, q=terms, after=after)
        return await render_page(
            deps,
            request,
            "articles.html",
            **await _listing_context(catalogue, page),
            articles=page,
            heading=f"Search results for “{terms}”" if terms else "All articles",
            current="",
            query=terms,
            more=f"/search?q={quote(terms)}&after=",
            empty="No articles found. Type at least two letters or digits of a word, or try another word.",
        )

    return router


async def _page(
    catalogue: CatalogueClient, *, q: str = "", category: str = "", after: str = ""
) -> CatalogueArticlePage | None:
    try:
        return await catalogue.page(q=q, category=category, after=after if SKU.fullmatch(after) else "")
    except UpstreamUnavailable:
        return None


async def _listing_context(catalogue: CatalogueClient, page: CatalogueArticlePage | None) -> dict[str, Any]:
    """The categories, and the stock of the listed articles. Both are empty if product_svc is unavailable."""
    if page is None:
        return {"categories": [], "stock": {}}
    try:
        categories = await catalogue.categories()
    except UpstreamUnavailable:
        categories = []
    return {"categories": categories, "stock": await catalogue.stock([article.sku for article in page.items])}


def _article_routes(deps: CatalogueDependencies) -> APIRouter:
    router = deps.page_router()

    @router.get("/p/{sku}")
    async def product(request: Request, sku: str, added: str = "") -> Response:
        article = await load_article(deps, sku)
        if article is None:
            return await render_page(deps, request, "articles.html", 503, **_UNAVAILABLE_CONTEXT)
        notice = Notice("ok", "Added to your basket.") if added else None
        return await render_article(deps, request, article, notice)

    return router


def image_routes(deps: CatalogueDependencies) -> APIRouter:
    """Separate from `routes`, because images need no authentication."""
    router = APIRouter(include_in_schema=False)

    @router.get("/pictures/{name}.svg")
    async def picture(name: str) -> Response:
        image = await deps.catalogue.image(name) if SKU.fullmatch(name) else None
        if image is None:
            raise ProblemError("not-found", "There is no such picture.")
        return Response(image.body, media_type=image.media_type, headers={"Cache-Control": _IMAGE_MAX_AGE})

    return router


_UNAVAILABLE_CONTEXT: dict[str, Any] = {
    "articles": None,
    "categories": [],
    "stock": {},
    "heading": "This article",
    "current": "",
}


async def load_article(deps: CatalogueDependencies, sku: str) -> CatalogueArticle | None:
    """None while product_svc is unavailable. Raises ProblemError for an unknown article."""
    if not SKU.fullmatch(sku):
        raise ProblemError("not-found", "There is no such article.")
    try:
        article = await deps.catalogue.article(sku)
    except UpstreamUnavailable:
        return None
    if article is None:
        raise ProblemError("not-found", "There is no such article.")
    return article


async def render_article(
    deps: CatalogueDependencies,
    request: Request,
    article: CatalogueArticle,
    notice: Notice | None,
    status: int = 200,
    quantity: str = "1",
) -> Response:
    stock = (await deps.catalogue.stock([article.sku])).get(article.sku)
    category = category_title(article.category)
    given: dict[str, Any] = {
        "article": article,
        "category": category,
        "stock": stock,
        "notice": notice,
        "quantity": quantity,
    }
    return await render_page(deps, request, "product.html", status, **given)
