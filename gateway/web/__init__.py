"""The pages of the shop: forms and links that work without a script, made on the server."""

from fastapi import APIRouter

from chassis.http import joined
from gateway.house import House
from gateway.web import (
    account_pages,
    basket_pages,
    checkout_pages,
    login_pages,
    order_pages,
    registration_pages,
    reset_pages,
    shop_pages,
)

_PARTS = (
    shop_pages,
    basket_pages,
    checkout_pages,
    login_pages,
    registration_pages,
    reset_pages,
    account_pages,
    order_pages,
)


def routes(house: House) -> APIRouter:
    return joined(*(part.routes(house) for part in _PARTS))
