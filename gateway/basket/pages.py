"""The basket page. It is one form, so that every button submits the typed quantities."""

import re

from fastapi import APIRouter, Request, Response

from chassis.web.app import flatten_routers
from contracts.values import LINES_MAX, QUANTITY_MAX
from gateway.basket.basket import AddItem, BasketChanged, BasketFull, BasketItem, ReplaceItems, SetQuantity
from gateway.basket.dependencies import BasketDependencies
from gateway.basket.priced_basket import price_basket
from gateway.catalogue.pages import SKU, load_article, render_article
from gateway.web.form import SubmittedForm, read_form
from gateway.web.templating import Notice, redirect, render_page

_TOO_MUCH = f"An order can have at most {LINES_MAX} articles, and {QUANTITY_MAX} pieces of each."
_CHANGED = Notice(
    "wait",
    "Your basket has changed, perhaps in another tab. This is its current content; nothing was ordered.",
)
_NUMBER = re.compile(r"[0-9]{1,9}")
_NOT_A_QUANTITY = f"Type a number from 0 to {QUANTITY_MAX}"


def routes(deps: BasketDependencies) -> APIRouter:
    return flatten_routers(_basket_routes(deps), _add_routes(deps))


def _basket_routes(deps: BasketDependencies) -> APIRouter:
    router = deps.page_router()

    @router.get("/basket")
    async def basket(request: Request) -> Response:
        return await _render(deps, request, SubmittedForm())

    @router.post("/basket")
    async def change(request: Request) -> Response:
        """The field `do`: "update", "checkout", or "out" and the SKU to remove."""
        key = await _key(deps, request)
        if not key:
            return redirect("/basket")
        form = await read_form(request, "do", "revision")
        what, _, sku = form["do"].partition(" ")
        seen = _number(form["revision"])
        try:
            if what == "out":
                await deps.baskets.change(key, SetQuantity(sku, 0, seen))
            else:
                items = await _read_items(request, form)
                if not form.is_valid:
                    return await _render(deps, request, form, 422)
                await deps.baskets.change(key, ReplaceItems(items, seen))
        except BasketChanged:
            return await _render(deps, request, SubmittedForm(), 409, _CHANGED)
        except BasketFull:
            form.error = _TOO_MUCH
            return await _render(deps, request, form, 422)
        return redirect("/checkout" if what == "checkout" else "/basket")

    return router


def _add_routes(deps: BasketDependencies) -> APIRouter:
    router = deps.page_router()

    @router.post("/basket/items")
    async def add(request: Request) -> Response:
        form = await read_form(request, "sku", "quantity")
        article = await load_article(deps, form["sku"])  # None while the catalogue is unavailable
        quantity = _quantity(form["quantity"])
        if not quantity:
            notice = Notice("fail", f"Type a quantity from 1 to {QUANTITY_MAX}.")
            return await _refused(deps, request, form, notice)
        response = redirect(f"/p/{form['sku']}?added=1" if article else "/basket")
        key = await _key(deps, request) or deps.baskets.new_guest(response)
        try:
            await deps.baskets.change(key, AddItem(BasketItem(form["sku"], quantity)))
        except BasketFull:
            return await _refused(deps, request, form, Notice("fail", _TOO_MUCH))
        return response

    return router


async def _key(deps: BasketDependencies, request: Request) -> str:
    return deps.baskets.key_for(await deps.current_user(request), request)


async def _render(
    deps: BasketDependencies,
    request: Request,
    form: SubmittedForm,
    status: int = 200,
    notice: Notice | None = None,
) -> Response:
    seen = await price_basket(deps.catalogue, await deps.baskets.get(await _key(deps, request)))
    return await render_page(
        deps, request, "basket.html", status, form=form, priced_basket=seen, notice=notice
    )


async def _refused(
    deps: BasketDependencies, request: Request, form: SubmittedForm, notice: Notice
) -> Response:
    """The article's page with the reason; the basket page while the catalogue is unavailable."""
    article = await load_article(deps, form["sku"])
    if article is None:
        return await _render(deps, request, SubmittedForm(), 422, notice)
    return await render_article(deps, request, article, notice, 422, form["quantity"])


async def _read_items(request: Request, form: SubmittedForm) -> tuple[BasketItem, ...]:
    """The quantities of the form. Adds errors to the form, under quantity-<sku>."""
    sent = await request.form()
    values = dict(form.values)
    items = []
    for sku, typed in zip(map(str, sent.getlist("sku")), map(str, sent.getlist("quantity")), strict=False):
        values[f"quantity-{sku}"] = typed
        quantity = _quantity(typed)
        if quantity is None or not SKU.fullmatch(sku):
            form.errors[f"quantity-{sku}"] = f"{_NOT_A_QUANTITY} for {sku}"
        else:
            items.append(BasketItem(sku, quantity))
    form.values = values
    return tuple(items)


def _quantity(typed: str) -> int | None:
    number = _number(typed.strip())
    return number if 0 <= number <= QUANTITY_MAX else None


def _number(typed: str) -> int:
    """-1 for anything but a number of up to nine digits."""
    return int(typed) if _NUMBER.fullmatch(typed) else -1
