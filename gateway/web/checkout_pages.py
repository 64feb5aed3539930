"""The checkout. Its form holds the key of the order-to-be and what the customer saw, so that pressing "Pay" twice,
or in an old tab, or after a change of prices, never orders anything but what was before their eyes, once."""

from typing import Any

from fastapi import APIRouter, Request, Response

from contracts.identity import new_id
from contracts.values import PricedLine
from gateway.account_forms import PostalAddress
from gateway.basket import Basket, Clear
from gateway.baskets import users_key
from gateway.contents import Contents, contents
from gateway.house import House
from gateway.orders import NotTaken
from gateway.request import OtherBody
from gateway.visitor import Visitor
from gateway.web.asking import account_of
from gateway.web.cards import CARDS
from gateway.web.form import Form, read
from gateway.web.seen import Change, Seen, changes_since, what_was_seen
from gateway.web.showing import go, log_in_first, show

_TOKENS = {card.token for card in CARDS}
_OTHER_TAB = "your basket has changed, perhaps in another tab."
_OTHER_PRICES = "something has changed since you saw it."
_NOT_TAKEN = (
    "We could not hand over your order safely just now. Please press “Pay” again in a moment: "
    "it will be one order, however often you press."
)


def routes(house: House) -> APIRouter:
    router = house.pages()

    @router.get("/checkout")
    async def checkout(request: Request) -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first("/checkout")
        basket = await house.baskets.of(users_key(visitor.user_id))
        if not basket.items:
            return go("/basket")
        now = await contents(house.catalogue, basket, fresh=True)
        return await _shown(house, request, visitor, now, Form())

    @router.post("/checkout")
    async def pay(request: Request) -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first("/checkout")
        form = await read(request, "key", "revision", "card")
        seen = what_was_seen(form, await request.form())
        if seen is None:
            return go("/checkout")
        basket = await house.baskets.of(users_key(visitor.user_id))
        return await _ordered(house, request, visitor, basket, seen, form)

    return router


async def _ordered(
    house: House, request: Request, visitor: Visitor, basket: Basket, seen: Seen, form: Form
) -> Response:
    """Orders what was seen, if that is still how things are."""
    now = await contents(house.catalogue, basket, fresh=True)
    changes = changes_since(seen, now)
    if basket.revision != seen.revision or changes:
        if order_id := await house.orders.of_key(visitor.user_id, seen.key):  # the same form, some time ago
            return go(f"/orders/{order_id}")
        if not basket.items:
            return go("/basket")
        why = _OTHER_TAB if basket.revision != seen.revision else _OTHER_PRICES
        return await _shown(house, request, visitor, now, form, 409, changes=changes, changed_why=why)
    if form["card"] not in _TOKENS:
        form.wrong["card"] = "Choose a card"
        return await _shown(house, request, visitor, now, form, 422, key=seen.key)
    try:
        lines = _with_titles(seen, now)
        order_id = await house.orders.place(visitor.user_id, seen.key, lines, seen.total, form["card"])
    except NotTaken as error:
        form.refused = _NOT_TAKEN
        response = await _shown(house, request, visitor, now, form, 503, key=seen.key)
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    except OtherBody:
        if order_id := await house.orders.of_key(visitor.user_id, seen.key):
            return go(f"/orders/{order_id}")
        form.refused = "This form was used already, with another card. Look at your orders before you press again."
        return await _shown(house, request, visitor, now, form, 409)
    await house.baskets.change(users_key(visitor.user_id), Clear(seen.revision))
    return go(f"/orders/{order_id}")


def _with_titles(seen: Seen, now: Contents) -> tuple[PricedLine, ...]:
    """The order keeps the titles under which it was asked for, also if it is rejected."""
    titles = {line.sku: line.article.title for line in now.lines if line.article is not None}
    return tuple(line.model_copy(update={"title": titles.get(line.sku)}) for line in seen.lines)


async def _shown(
    house: House,
    request: Request,
    visitor: Visitor,
    now: Contents,
    form: Form,
    status: int = 200,
    *,
    key: str = "",
    changes: tuple[Change, ...] = (),
    changed_why: str = "",
) -> Response:
    """`key`: of the order that was tried; a new one for every new intent."""
    address = await _address(house, visitor)
    given: dict[str, Any] = {
        "form": form,
        "contents": now,
        "address": address,
        "address_form": Form(),
        "key": key or str(new_id()),
        "cards": CARDS,
        "changes": changes,
        "changed_why": changed_why,
        "can_pay": address != "" and now.total is not None and not now.gone,
    }
    return await show(house, request, "checkout.html", status if now.priced else 503, **given)


async def _address(house: House, visitor: Visitor) -> PostalAddress | str | None:
    """Where the parcel goes: the first address of the account. Empty: there is none; None: not known just now."""
    me = await account_of(house, visitor)
    if me is None:
        return None
    return me.addresses[0] if me.addresses else ""
