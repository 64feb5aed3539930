"""The checkout page. Its form contains the idempotency key and a snapshot of what the customer saw.

So "Pay", pressed twice, in an old tab or after a price change, orders exactly what was shown, once, or
nothing.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from chassis.messaging.identity import new_id
from contracts.orders import NO_CARD
from contracts.values import PricedLine
from gateway.accounts.form_submit import load_account
from gateway.auth.page_user import require_login
from gateway.auth.principal import Principal
from gateway.basket.basket import Basket, Clear
from gateway.basket.priced_basket import PricedBasket, price_basket
from gateway.basket.repository import user_basket_key
from gateway.delivery.choice import DeliveryChoice, delivery_for
from gateway.orders import checkout_address
from gateway.orders.checkout_snapshot import CheckoutChange, CheckoutSnapshot, diff, parse_snapshot
from gateway.orders.customer_orders import PublishNotConfirmed
from gateway.orders.dependencies import OrderDependencies
from gateway.orders.idempotency import IdempotencyKeyReused
from gateway.orders.test_cards import TEST_CARDS
from gateway.web.form import SubmittedForm, read_form
from gateway.web.templating import redirect, render_page

_TOKENS = {card.token for card in TEST_CARDS}
_OTHER_TAB = "your basket has changed, perhaps in another tab."
_OTHER_PRICES = "something has changed since you opened this page."
_PUBLISH_NOT_CONFIRMED = (
    "We could not confirm that your order was submitted. Please press “Pay” again in a moment: "
    "you will not order twice, however often you press."
)


def routes(deps: OrderDependencies) -> APIRouter:
    router = deps.page_router()
    User = Annotated[Principal, Depends(require_login(deps, "/checkout"))]

    @router.get("/checkout")
    async def checkout(request: Request, user: User) -> Response:
        basket = await deps.baskets.get(user_basket_key(user.user_id))
        if not basket.items:
            return redirect("/basket")
        now = await price_basket(deps.catalogue, basket, fresh=True)
        return await _render(deps, request, user, now, SubmittedForm())

    @router.post("/checkout")
    async def pay(request: Request, user: User) -> Response:
        form = await read_form(request, "key", "revision", "card", *checkout_address.FIELDS)
        snapshot = parse_snapshot(form, await request.form())
        if snapshot is None:
            return redirect("/checkout")
        basket = await deps.baskets.get(user_basket_key(user.user_id))
        return await _place_order(deps, request, user, basket, snapshot, form)

    return router


async def _place_order(
    deps: OrderDependencies,
    request: Request,
    user: Principal,
    basket: Basket,
    snapshot: CheckoutSnapshot,
    form: SubmittedForm,
) -> Response:
    """Places the order if basket and prices still match the snapshot."""
    now = await price_basket(deps.catalogue, basket, fresh=True)
    changes = diff(snapshot, now)
    if basket.revision != snapshot.revision or changes:
        # this form was submitted before
        if order_id := await deps.orders.find_by_key(user.user_id, snapshot.key):
            return redirect(f"/orders/{order_id}")
        if not basket.items:
            return redirect("/basket")
        why = _OTHER_TAB if basket.revision != snapshot.revision else _OTHER_PRICES
        return await _render(deps, request, user, now, form, 409, changes=changes, changed_why=why)
    address = checkout_address.read_address(form)
    if not snapshot.total.is_zero and form["card"] not in _TOKENS:
        form.errors["card"] = "Choose a card"
    if address is None or not form.is_valid:
        return await _render(deps, request, user, now, form, 422, key=snapshot.key)
    try:
        lines = _with_titles(snapshot, now)
        card = NO_CARD if snapshot.total.is_zero else form["card"]
        delivery = delivery_for(deps.user_client, user, DeliveryChoice(address))
        order_id = await deps.orders.place(
            user.user_id, snapshot.key, lines, snapshot.total, card, delivery=delivery
        )
    except PublishNotConfirmed as error:
        form.error = _PUBLISH_NOT_CONFIRMED
        response = await _render(deps, request, user, now, form, 503, key=snapshot.key)
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    except IdempotencyKeyReused:
        if order_id := await deps.orders.find_by_key(user.user_id, snapshot.key):
            return redirect(f"/orders/{order_id}")
        form.error = (
            "This form was already submitted with another card or address. Check your orders before you pay "
            "again."
        )
        return await _render(deps, request, user, now, form, 409)
    await deps.baskets.change(user_basket_key(user.user_id), Clear(snapshot.revision))
    return redirect(f"/orders/{order_id}")


def _with_titles(snapshot: CheckoutSnapshot, now: PricedBasket) -> tuple[PricedLine, ...]:
    """Adds the titles that the customer saw. The order keeps them, also if it is rejected."""
    titles = {line.sku: line.article.title for line in now.lines if line.article is not None}
    return tuple(line.model_copy(update={"title": titles.get(line.sku)}) for line in snapshot.lines)


async def _render(
    deps: OrderDependencies,
    request: Request,
    user: Principal,
    now: PricedBasket,
    form: SubmittedForm,
    status: int = 200,
    *,
    key: str = "",
    changes: tuple[CheckoutChange, ...] = (),
    changed_why: str = "",
) -> Response:
    """`key`: the idempotency key of a failed attempt; if empty, the form gets a new key."""
    me = await load_account(deps.user_client, user)
    given: dict[str, Any] = {
        "form": form,
        "priced_basket": now,
        "addresses": None if me is None else checkout_address.choices(me.addresses),
        "address_form": SubmittedForm(),
        "key": key or str(new_id()),
        "cards": TEST_CARDS,
        "changes": changes,
        "changed_why": changed_why,
        "can_pay": (me is None or me.addresses) and now.total is not None and not now.unavailable,
    }
    return await render_page(deps, request, "checkout.html", status if now.priced else 503, **given)
