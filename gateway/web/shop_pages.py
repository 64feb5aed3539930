"""What can be looked at without an account: articles by category and by search, one article, and the shop itself."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from chassis.http import joined
from gateway.catalogue import Article, Articles, Catalogue, category_title
from gateway.house import House
from gateway.problems import Refusal
from gateway.stops import State
from gateway.upstream import Away
from gateway.web.cards import CARDS
from gateway.web.form import read
from gateway.web.showing import THEMES, Notice, go, own_path, show

SKU = re.compile(r"[A-Z0-9][A-Z0-9-]{0,31}")
_CATEGORY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_QUERY_MAX = 100
_ON_HOME = 12
_THEME_FOR = timedelta(days=365)
_PICTURE_FOR = "public, max-age=86400"


def routes(house: House) -> APIRouter:
    return joined(_shelves(house), _one_article(house), _the_shop_itself(house))


def _shelves(house: House) -> APIRouter:
    router = house.pages()
    catalogue = house.catalogue

    @router.get("/")
    async def home(request: Request) -> Response:
        try:
            categories, articles = await catalogue.categories(), (await catalogue.page(limit=_ON_HOME)).items
        except Away:
            return await show(house, request, "home.html", articles=None)
        stock = await catalogue.stock([article.sku for article in articles])
        return await show(house, request, "home.html", categories=categories, articles=articles, stock=stock)

    @router.get("/c/{category}")
    async def category(request: Request, category: str, after: str = "") -> Response:
        if not _CATEGORY.fullmatch(category):
            raise Refusal("not-found", "There is no such category.")
        page = await _page(catalogue, category=category, after=after)
        return await show(
            house,
            request,
            "articles.html",
            **await _surroundings(catalogue, page),
            articles=page,
            heading=category_title(category),
            current=category,
            more=f"/c/{category}?after=",
            empty="There is nothing in this category just now.",
        )

    @router.get("/search")
    async def search(request: Request, q: str = "", after: str = "") -> Response:
        words = " ".join(q.split())[:_QUERY_MAX]
        page = await _page(catalogue, q=words, after=after)
        return await show(
            house,
            request,
            "articles.html",
            **await _surroundings(catalogue, page),
            articles=page,
            heading=f"Found for “{words}”" if words else "All articles",
            current="",
            query=words,
            more=f"/search?q={quote(words)}&after=",
            empty="Nothing was found. Type at least two letters or digits of a word, or try another word.",
        )

    return router


async def _page(catalogue: Catalogue, *, q: str = "", category: str = "", after: str = "") -> Articles | None:
    try:
        return await catalogue.page(q=q, category=category, after=after if SKU.fullmatch(after) else "")
    except Away:
        return None


async def _surroundings(catalogue: Catalogue, page: Articles | None) -> dict[str, Any]:
    """The categories, and the stock of what is on the page; without product_svc there is no use in either."""
    if page is None:
        return {"categories": [], "stock": {}}
    try:
        categories = await catalogue.categories()
    except Away:
        categories = []
    return {"categories": categories, "stock": await catalogue.stock([article.sku for article in page.items])}


def _one_article(house: House) -> APIRouter:
    router = house.pages()

    @router.get("/p/{sku}")
    async def product(request: Request, sku: str, added: str = "") -> Response:
        article = await found(house, sku)
        if article is None:
            return await show(house, request, "articles.html", 503, **_NOT_SHOWN)
        notice = Notice("ok", "It is in your basket.") if added else None
        return await show_article(house, request, article, notice)

    return router


def pictures(house: House) -> APIRouter:
    """Apart from the pages: a page has many, and nobody needs to be known for one."""
    router = APIRouter(include_in_schema=False)

    @router.get("/pictures/{name}.svg")
    async def picture(name: str) -> Response:
        drawn = await house.catalogue.picture(name) if SKU.fullmatch(name) else None
        if drawn is None:
            raise Refusal("not-found", "There is no such picture.")
        return Response(drawn.body, media_type=drawn.media_type, headers={"Cache-Control": _PICTURE_FOR})

    return router


_NOT_SHOWN: dict[str, Any] = {"articles": None, "categories": [], "stock": {}, "heading": "This article", "current": ""}


async def found(house: House, sku: str) -> Article | None:
    """None: not known just now. Raises Refusal if there is none."""
    if not SKU.fullmatch(sku):
        raise Refusal("not-found", "There is no such article.")
    try:
        article = await house.catalogue.article(sku)
    except Away:
        return None
    if article is None:
        raise Refusal("not-found", "There is no such article.")
    return article


async def show_article(
    house: House, request: Request, article: Article, notice: Notice | None, status: int = 200, quantity: str = "1"
) -> Response:
    stock = (await house.catalogue.stock([article.sku])).get(article.sku)
    category = category_title(article.category)
    given: dict[str, Any] = {
        "article": article,
        "category": category,
        "stock": stock,
        "notice": notice,
        "quantity": quantity,
    }
    return await show(house, request, "product.html", status, **given)


def _the_shop_itself(house: House) -> APIRouter:
    router = house.pages()

    @router.get("/about")
    async def about(request: Request) -> Response:
        return await show(house, request, "about.html", cards=CARDS, states=State)

    @router.post("/theme")
    async def theme(request: Request) -> Response:
        form = await read(request, "theme", "back")
        response = go(own_path(form["back"]))
        if form["theme"] in THEMES:
            until = house.runtime.clock() + _THEME_FOR
            house.cookies.set(response, "theme", form["theme"], until)
        else:
            house.cookies.clear(response, "theme")
        return response

    return router
