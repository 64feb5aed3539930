"""The baskets that are kept: whose is whose, and how one is changed."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from chassis.direct import decide_directly
from chassis.runtime import Runtime
from contracts.identity import derived_id
from gateway.basket import Asked, Basket, Clear, Merge
from gateway.service import BASKETS
from gateway.visitor import Visitor

GUESTS_FOR = timedelta(days=30)  # how long the browser keeps the cookie
_SECRET_BYTES = 32


def new_secret() -> str:
    """What the browser of a guest is given, and nobody else can guess."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def users_key(user_id: UUID) -> str:
    return f"user/{user_id}"


def guests_key(secret: str) -> str:
    """Only the digest is kept: whoever reads the database cannot take over a basket."""
    return f"guest/{hashlib.sha256(secret.encode()).hexdigest()}"


def key_of(visitor: Visitor | None, secret: str) -> str:
    """Whose basket it is; `secret`: what the guest's cookie says. Empty: they have none yet."""
    if visitor is not None:
        return users_key(visitor.user_id)
    return guests_key(secret) if secret else ""


class Baskets:
    """Every call raises StoreUnavailable while the database is away."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def of(self, key: str) -> Basket:
        """An empty one for nobody's key."""
        loaded = (await self._runtime.store.load(BASKETS.kind, [key]))[key]
        basket: Basket = BASKETS.start if loaded.state is None else BASKETS.codec.load(loaded.state)
        return basket

    async def change(self, key: str, asked: Asked, *, message_id: str = "") -> Basket:
        """The basket as it then is. Raises what the basket's rules raise: Changed, Full."""
        decision = await decide_directly(self._runtime, BASKETS, key, asked, message_id=message_id)
        basket: Basket = decision.state
        return basket

    async def hand_over(self, guests: str, users: str) -> None:
        """Puts what a guest has gathered into their own basket. Interrupted, it may be done again: nothing doubles."""
        found = await self.of(guests)
        if found.items:
            once = derived_id("merge", guests, users, found.revision)
            await self.change(users, Merge(found.items), message_id=once)
            await self.change(guests, Clear(found.revision))
