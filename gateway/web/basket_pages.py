"""The basket: one form, so that whatever is typed in it counts, whichever button is pressed."""

import re

from fastapi import APIRouter, Request, Response

from chassis.http import joined
from contracts.values import LINES_MAX, QUANTITY_MAX
from gateway.basket import Add, Changed, Fill, Full, Item, Put
from gateway.contents import contents
from gateway.house import House
from gateway.web.form import Form, read
from gateway.web.shop_pages import SKU, found, show_article
from gateway.web.showing import Notice, go, show

_TOO_MUCH = f"An order can have at most {LINES_MAX} articles, and {QUANTITY_MAX} pieces of each."
_CHANGED = Notice(
    "wait", "Your basket has changed meanwhile, perhaps in another tab. This is how it is now; nothing was ordered."
)
_NUMBER = re.compile(r"[0-9]{1,9}")
_NOT_A_QUANTITY = f"Type a number from 0 to {QUANTITY_MAX}"


def routes(house: House) -> APIRouter:
    return joined(_the_basket(house), _into_it(house))


def _the_basket(house: House) -> APIRouter:
    router = house.pages()

    @router.get("/basket")
    async def basket(request: Request) -> Response:
        return await _shown(house, request, Form())

    @router.post("/basket")
    async def change(request: Request) -> Response:
        """`do`: update, checkout, or "out" and the SKU of what to take out."""
        key = await _key(house, request)
        if not key:
            return go("/basket")
        form = await read(request, "do", "revision")
        what, _, sku = form["do"].partition(" ")
        seen = _number(form["revision"])
        try:
            if what == "out":
                await house.baskets.change(key, Put(sku, 0, seen))
            else:
                items = await _typed(request, form)
                if not form.good:
                    return await _shown(house, request, form, 422)
                await house.baskets.change(key, Fill(items, seen))
        except Changed:
            return await _shown(house, request, Form(), 409, _CHANGED)
        except Full:
            form.refused = _TOO_MUCH
            return await _shown(house, request, form, 422)
        return go("/checkout" if what == "checkout" else "/basket")

    return router


def _into_it(house: House) -> APIRouter:
    router = house.pages()

    @router.post("/basket/items")
    async def add(request: Request) -> Response:
        form = await read(request, "sku", "quantity")
        article = await found(house, form["sku"])  # while the catalogue is away, it is believed that there is one
        quantity = _quantity(form["quantity"])
        if not quantity:
            notice = Notice("fail", f"Type a quantity from 1 to {QUANTITY_MAX}.")
            return await _refused(house, request, form, notice)
        response = go(f"/p/{form['sku']}?added=1" if article else "/basket")
        key = await _key(house, request) or house.baskets.new_guest(response)
        try:
            await house.baskets.change(key, Add(Item(form["sku"], quantity)))
        except Full:
            return await _refused(house, request, form, Notice("fail", _TOO_MUCH))
        return response

    return router


async def _key(house: House, request: Request) -> str:
    return house.baskets.key_of(await house.visitor(request), request)


async def _shown(
    house: House, request: Request, form: Form, status: int = 200, notice: Notice | None = None
) -> Response:
    seen = await contents(house.catalogue, await house.baskets.of(await _key(house, request)))
    return await show(house, request, "basket.html", status, form=form, contents=seen, notice=notice)


async def _refused(house: House, request: Request, form: Form, notice: Notice) -> Response:
    """The article again, with the reason; the basket if the article cannot be shown just now."""
    article = await found(house, form["sku"])
    if article is None:
        return await _shown(house, request, Form(), 422, notice)
    return await show_article(house, request, article, notice, 422, form["quantity"])


async def _typed(request: Request, form: Form) -> tuple[Item, ...]:
    """The quantities of the form; what is wrong with them is noted in it, under quantity-<sku>."""
    sent = await request.form()
    values = dict(form.values)
    items = []
    for sku, typed in zip(map(str, sent.getlist("sku")), map(str, sent.getlist("quantity")), strict=False):
        values[f"quantity-{sku}"] = typed
        quantity = _quantity(typed)
        if quantity is None or not SKU.fullmatch(sku):
            form.wrong[f"quantity-{sku}"] = f"{_NOT_A_QUANTITY} for {sku}"
        else:
            items.append(Item(sku, quantity))
    form.values = values
    return tuple(items)


def _quantity(typed: str) -> int | None:
    number = _number(typed.strip())
    return number if 0 <= number <= QUANTITY_MAX else None


def _number(typed: str) -> int:
    """-1: it is none, or so long that it is none of ours."""
    return int(typed) if _NUMBER.fullmatch(typed) else -1
