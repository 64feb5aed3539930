"""The pages of the catalogue: add, describe, reprice and withdraw articles,
with a check against lost updates.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from chassis.messaging.message import Command
from chassis.web.http_client import UpstreamUnavailable
from contracts import products
from contracts.http.products import ArticlePage, ArticleView
from contracts.values import Money, parse_amount
from operations.web import forms
from operations.web.forms import StaffForm
from operations.web.staff_pages import StaffPages, get, post, wait_briefly

Article = dict[str, Any]
_ON_A_PAGE = 50


class CataloguePages(StaffPages):
    def routes(self) -> Iterable[APIRoute]:
        article = "/ops/catalogue/articles/{sku}"
        return (
            get("/ops/catalogue", self.catalogue),
            post("/ops/catalogue", self.add),
            get("/ops/catalogue/new", self.new),
            get(article, self.article),
            post(article, self.describe),
            post(f"{article}/price", self.price),
            post(f"{article}/withdrawal", self.withdraw),
        )

    async def catalogue(self, request: Request, q: str = "", after: str = "") -> Response:
        page: dict[str, Any] | None = None
        away = "product_svc rejected the search."
        query = {"limit": str(_ON_A_PAGE), "q": q.strip()[:100], "after": after}
        try:
            page = await self._fetch("product_svc", "/products", ArticlePage, **query)
        except UpstreamUnavailable:
            away = (
                "product_svc does not respond, so the catalogue cannot be shown. The shop uses its cached "
                "articles."
            )
        if page is None:
            return self._render(request, "catalogue.html", items=[], next=None, away=away, q=q)
        return self._render(request, "catalogue.html", items=page["items"], next=page["next"], away="", q=q)

    async def new(self, request: Request, sku: str = "") -> Response:
        return self._render(request, "new_article.html", form=StaffForm({"sku": sku, "currency": "EUR"}))

    async def add(self, request: Request) -> Response:
        form = await forms.read_form(request)
        command = _listing(form, form["sku"].upper())
        if command is not None and (known := await self._known(command.sku)) is not None:
            form.errors["sku"] = "This article exists already" + (
                ", withdrawn." if known["withdrawn"] else "."
            )
        if command is None or form.is_wrong:
            return self._render(request, "new_article.html", 422, form=form)
        if not await self._send(request, form, command):
            return self._render(request, "new_article.html", 503, form=form)
        return await self._done(command.sku, 0)

    async def article(self, request: Request, sku: str) -> Response:
        return self._show(request, await self._one(sku), StaffForm())

    async def describe(self, request: Request, sku: str) -> Response:
        """Change title, description and category. A withdrawn article is listed again by this."""
        article, form = await self._one(sku), await forms.read_form(request)
        return await self._change(request, article, form, _listing(form, sku))

    async def price(self, request: Request, sku: str) -> Response:
        article, form = await self._one(sku), await forms.read_form(request)
        command: Command | None = None
        try:
            command = products.ChangePrice.model_validate({"sku": sku, "price": _money(form)})
        except ValidationError as error:
            form.refuse(error)
        return await self._change(request, article, form, command)

    async def withdraw(self, request: Request, sku: str) -> Response:
        article, form = await self._one(sku), await forms.read_form(request)
        return await self._change(request, article, form, products.WithdrawProduct(sku=sku))

    async def _change(
        self, request: Request, article: Article, form: StaffForm, command: Command | None
    ) -> Response:
        """Send the command only if the article is as its editor saw it; otherwise show both versions."""
        if form["revision"] != str(article["revision"]):
            return self._show(request, article, form, 412, changed=True)
        if command is None:
            return self._show(request, article, form, 422)
        if not await self._send(request, form, command):
            return self._show(request, article, form, 503)
        return await self._done(article["sku"], article["revision"])

    async def _done(self, sku: str, before: int) -> Response:
        """`before`: the article's previous revision; 0 if there was none."""

        async def is_changed() -> bool:
            article = await self._known(sku)
            return article is not None and article["revision"] != before

        said = "changed" if await wait_briefly(is_changed) else "sent"
        return RedirectResponse(f"/ops/catalogue/articles/{quote(sku)}?{urlencode({'said': said})}", 303)

    def _show(
        self, request: Request, article: Article, form: StaffForm, status: int = 200, *, changed: bool = False
    ) -> Response:
        said = request.query_params.get("said", "")
        return self._render(
            request,
            "article.html",
            status,
            article=article,
            form=form,
            changed=changed,
            said=said,
            major=_major,
        )

    async def _one(self, sku: str) -> Article:
        article = await self._known(sku)
        if article is None:
            raise HTTPException(404, f"{sku[:40]} is not in the catalogue; add it there.")
        return article

    async def _known(self, sku: str) -> Article | None:
        """The article, even if it is withdrawn. Raises UpstreamUnavailable."""
        return await self._fetch("product_svc", f"/products/{quote(sku, safe='')}", ArticleView)


def _listing(form: StaffForm, sku: str) -> products.ListProduct | None:
    try:
        return products.ListProduct.model_validate(
            {
                "sku": sku,
                "title": form["title"],
                "description": form["description"].replace("\r\n", "\n"),
                "category": form["category"],
                "price": _money(form),
            }
        )
    except ValidationError as error:
        form.refuse(error)
        return None


def _money(form: StaffForm) -> dict[str, object]:
    """Parses an amount such as 29.90. Invalid input is left for the contract to reject."""
    currency = form["currency"].upper()
    return {"amount_minor": parse_amount(form["price"], currency), "currency": currency}


def _major(price: dict[str, Any]) -> str:
    """The amount as the form shows it."""
    return Money.model_validate(price).in_major_units()
