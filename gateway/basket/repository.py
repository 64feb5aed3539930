"""Loads and changes the baskets of users and guests."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from starlette.requests import HTTPConnection
from starlette.responses import Response

from chassis.core.execute import execute, load_state
from chassis.messaging.identity import derived_id
from chassis.runtime import Runtime
from gateway.auth.principal import Principal
from gateway.basket.aggregates import BASKETS
from gateway.basket.basket import Basket, BasketCommand, HandedOver, HandOver, Merge
from gateway.http.cookies import Cookies

_GUESTS_FOR = timedelta(days=30)  # how long the browser keeps the cookie
_SECRET_BYTES = 32


def user_basket_key(user_id: UUID) -> str:
    return f"user/{user_id}"


def guest_basket_key(secret: str) -> str:
    """The key is a digest of the cookie, so a leaked database gives no access to guests' baskets."""
    return f"guest/{hashlib.sha256(secret.encode()).hexdigest()}"


class BasketRepository:
    """Methods that read or change a basket raise StoreUnavailable while the database is unavailable."""

    def __init__(self, runtime: Runtime, cookies: Cookies) -> None:
        self._runtime = runtime
        self._cookies = cookies

    def key_for(self, user: Principal | None, request: HTTPConnection) -> str:
        """The key of the user's or guest's basket. Empty for a guest without a basket."""
        if user is not None:
            return user_basket_key(user.user_id)
        secret = request.cookies.get(self._cookies.basket, "")
        return guest_basket_key(secret) if secret else ""

    def new_guest(self, response: Response) -> str:
        """The key of a guest's new basket. Sets the cookie to a random secret."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        self._cookies.set(response, self._cookies.basket, secret, self._runtime.clock() + _GUESTS_FOR)
        return guest_basket_key(secret)

    async def get(self, key: str) -> Basket:
        basket: Basket = await load_state(self._runtime, BASKETS, key) if key else BASKETS.start
        return basket

    async def change(self, key: str, command: BasketCommand) -> Basket:
        """Returns the changed basket. Raises BasketChanged, BasketFull."""
        basket: Basket = (await execute(self._runtime, BASKETS, key, command)).state
        return basket

    async def hand_over(self, guests: str, users: str) -> None:
        """Merges the guest's basket into the user's. Idempotent: an interrupted handover can be repeated."""
        found = await self.get(guests)
        if found.handed:  # an interrupted earlier login, perhaps of another user
            found = await self._merge(guests, found)
        if found.items:
            handed = await self.change(guests, HandOver(users, derived_id("merge", guests, users)))
            if handed.handed:  # empty if a concurrent request has finished it
                await self._merge(guests, handed)

    async def _merge(self, guests: str, found: Basket) -> Basket:
        await self.change(found.handed_to, Merge(found.handed, found.handed_id))
        return await self.change(guests, HandedOver(found.handed_id))
