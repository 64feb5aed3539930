"""A customer at the checkout, with a basket and an address."""

import json
from typing import Any

import httpx

from contracts import orders
from tests.support.shops.gateway_with_services import (
    HOME,
    KETTLE,
    TEA,
    GatewayWithServices,
    Page,
    add_to_basket,
    redirects_to,
)


async def at_the_till(**settings: Any) -> tuple[GatewayWithServices, httpx.AsyncClient]:
    gateway = GatewayWithServices(**settings)
    await gateway.offer_product(KETTLE, "Kettle, blue", cents=2990)
    await gateway.offer_product(TEA, "Green tea", cents=420)
    ada = await gateway.logged_in_customer()
    await add_to_basket(ada, KETTLE, 2)
    await add_to_basket(ada, TEA, 1)
    assert redirects_to(await ada.post("/account/addresses", data=HOME | {"next": "/checkout"}), "/checkout")
    return gateway, ada


async def form(browser: httpx.AsyncClient) -> dict[str, Any]:
    page = Page(await browser.get("/checkout"))
    return page.form("/checkout") | {"card": "tok_visa"}


def placed(gateway: GatewayWithServices) -> list[dict[str, Any]]:
    """The published PlaceOrder commands, each once, however often it was published."""
    return [
        json.loads(body)
        for body in {
            wire_message.message_id: wire_message.body for wire_message in gateway.sent(orders.PlaceOrder)
        }.values()
    ]
