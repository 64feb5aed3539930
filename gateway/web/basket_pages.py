"""The basket: one form, so that whatever is typed in it counts, whichever button is pressed."""

from fastapi import APIRouter, Request, Response

from contracts.values import QUANTITY_MAX
from gateway.basket import Add, Basket, Changed, Fill, Full, Item, Put
from gateway.baskets import GUESTS_FOR, guests_key, key_of, new_secret
from gateway.contents import contents
from gateway.house import House
from gateway.web.form import Form, read
from gateway.web.shop_pages import SKU, Notice, found, show_article
from gateway.web.showing import go, show

_TOO_MUCH = f"An order can have at most 50 articles, and {QUANTITY_MAX} pieces of each."
_CHANGED = Notice(
    "wait", "Your basket has changed meanwhile, perhaps in another tab. This is how it is now; nothing was ordered."
)
_NOT_A_QUANTITY = f"Type a number from 0 to {QUANTITY_MAX}"


def routes(house: House) -> APIRouter:
    router = APIRouter()
    for part in (_the_basket(house), _into_it(house)):
        router.include_router(part)
    return router


def _the_basket(house: House) -> APIRouter:
    router = APIRouter()

    @router.get("/basket")
    async def basket(request: Request) -> Response:
        return await _shown(house, request, Form())

    @router.post("/basket")
    async def change(request: Request) -> Response:
        """`do`: update, checkout, or "out" and the SKU of what to take out."""
        key = await basket_key(house, request)
        if not key:
            return go("/basket")
        form = await read(request, "do", "revision")
        what, _, sku = form["do"].partition(" ")
        seen = int(form["revision"]) if form["revision"].isdecimal() else -1
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
    router = APIRouter()

    @router.post("/basket/items")
    async def add(request: Request) -> Response:
        form = await read(request, "sku", "quantity")
        article = await found(house, form["sku"])  # while the catalogue is away, it is believed that there is one
        quantity = _quantity(form["quantity"])
        if not quantity:
            notice = Notice("fail", f"Type a quantity from 1 to {QUANTITY_MAX}.")
            return await _refused(house, request, form, notice)
        key, secret = await basket_key(house, request), ""
        if not key:
            secret = new_secret()
            key = guests_key(secret)
        try:
            await house.baskets.change(key, Add(Item(form["sku"], quantity)))
        except Full:
            return await _refused(house, request, form, Notice("fail", _TOO_MUCH))
        response = go(f"/p/{form['sku']}?added=1" if article else "/basket")
        if secret:
            house.cookies.set(response, house.cookies.basket, secret, house.runtime.clock() + GUESTS_FOR)
        return response

    return router


async def basket_key(house: House, request: Request) -> str:
    """Empty: a guest who has put nothing in yet."""
    return key_of(await house.visitor(request), request.cookies.get(house.cookies.basket, ""))


async def basket_of(house: House, request: Request) -> Basket:
    key = await basket_key(house, request)
    return await house.baskets.of(key) if key else Basket()


async def _shown(
    house: House, request: Request, form: Form, status: int = 200, notice: Notice | None = None
) -> Response:
    seen = await contents(house.catalogue, await basket_of(house, request))
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
    typed = typed.strip()
    return int(typed) if typed.isascii() and typed.isdecimal() and int(typed[:6]) <= QUANTITY_MAX else None
