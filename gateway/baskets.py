"""The baskets that are kept: whose is whose, and how one is changed."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from starlette.requests import HTTPConnection
from starlette.responses import Response

from chassis.direct import decide_directly, load_directly
from chassis.runtime import Runtime
from contracts.identity import derived_id
from gateway.basket import Asked, Basket, HandedOver, HandOver, Merge
from gateway.cookies import Cookies
from gateway.service import BASKETS
from gateway.visitor import Visitor

_GUESTS_FOR = timedelta(days=30)  # how long the browser keeps the cookie
_SECRET_BYTES = 32


def users_key(user_id: UUID) -> str:
    return f"user/{user_id}"


def guests_key(secret: str) -> str:
    """Only the digest is kept: whoever reads the database cannot take over a basket."""
    return f"guest/{hashlib.sha256(secret.encode()).hexdigest()}"


class Baskets:
    """What reads or changes a basket raises StoreUnavailable while the database is away."""

    def __init__(self, runtime: Runtime, cookies: Cookies) -> None:
        self._runtime, self._cookies = runtime, cookies

    def key_of(self, visitor: Visitor | None, request: HTTPConnection) -> str:
        """Whose basket it is. Empty: a guest who has put nothing in yet."""
        if visitor is not None:
            return users_key(visitor.user_id)
        secret = request.cookies.get(self._cookies.basket, "")
        return guests_key(secret) if secret else ""

    def new_guest(self, response: Response) -> str:
        """The key of a guest's first basket. The browser is given what nobody else can guess."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        self._cookies.set(response, self._cookies.basket, secret, self._runtime.clock() + _GUESTS_FOR)
        return guests_key(secret)

    async def of(self, key: str) -> Basket:
        basket: Basket = await load_directly(self._runtime, BASKETS, key) if key else BASKETS.start
        return basket

    async def change(self, key: str, asked: Asked) -> Basket:
        """The basket as it then is. Raises what the basket's rules raise: Changed, Full."""
        basket: Basket = (await decide_directly(self._runtime, BASKETS, key, asked)).state
        return basket

    async def hand_over(self, guests: str, users: str) -> None:
        """Puts what a guest has gathered into their own basket. Interrupted, it may be done again: nothing doubles."""
        found = await self.of(guests)
        if found.handed:  # an earlier log-in was interrupted, maybe somebody else's
            found = await self._merge(guests, found)
        if found.items:
            handed = await self.change(guests, HandOver(users, derived_id("merge", guests, users)))
            if handed.handed:  # or another request of this browser has done all of it meanwhile
                await self._merge(guests, handed)

    async def _merge(self, guests: str, found: Basket) -> Basket:
        await self.change(found.handed_to, Merge(found.handed, found.handed_id))
        return await self.change(guests, HandedOver(found.handed_id))
