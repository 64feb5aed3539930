"""The keys that access tokens are signed with, from user_svc's JWKS (RFC 7517) and from nowhere else.

A token that names a key which is not here makes us look again, but not more than once in half a minute, however many
such tokens come: a stranger can make them up.
"""

import asyncio
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.access import AccessToken, check, kid_of
from gateway.upstream import Away, Upstream

PATH = "/.well-known/jwks.json"
_PAUSE_S = 30.0
_OLD_S = 600.0
_KEYS_MAX = 20


class Keys:
    """Asked for every token; asks user_svc now and then."""

    def __init__(self, users: Upstream, clock: Callable[[], float] = time.monotonic) -> None:
        self._users, self._clock = users, clock
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._known_at = self._asked_at = -float("inf")
        self._asking: asyncio.Task[None] | None = None

    async def check(self, compact: str) -> AccessToken:
        """What the token says. Raises NotValid, or Away while no key was ever told."""
        kid = kid_of(compact)
        if kid not in self._keys:
            await asyncio.shield(self._ask())
        elif self._clock() - self._known_at > _OLD_S:
            self._ask()
        if not self._keys:
            raise Away(self._users.name)
        return check(compact, self._keys.get)

    def _ask(self) -> "asyncio.Future[None]":
        """Shared by all who wait; done at once if it is too early to ask again."""
        if self._asking is not None and not self._asking.done():
            return self._asking
        if self._clock() - self._asked_at < _PAUSE_S:
            nothing = asyncio.get_running_loop().create_future()
            nothing.set_result(None)
            return nothing
        self._asked_at = self._clock()
        self._asking = asyncio.create_task(self._fetch(), name="jwks")
        return self._asking

    async def _fetch(self) -> None:
        """What cannot be had or read leaves the keys as they are."""
        try:
            answer = await self._users.get(PATH)
            found = keys_in(answer.json()) if answer.status_code == 200 else {}
        except (Away, ValueError):
            return
        if found:
            self._keys, self._known_at = found, self._clock()


def keys_in(jwks: Any) -> dict[str, Ed25519PublicKey]:
    """By kid. Other kinds of keys are none of ours, whatever they claim. Raises ValueError."""
    if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
        raise ValueError("no JWKS")
    ours = [key for key in jwks["keys"][:_KEYS_MAX] if isinstance(key, dict) and _is_ours(key)]
    return {key["kid"]: Ed25519PublicKey.from_public_bytes(_bytes(key["x"])) for key in ours}


def _is_ours(key: dict[str, Any]) -> bool:
    named = isinstance(key.get("kid"), str) and isinstance(key.get("x"), str)
    return named and key.get("kty") == "OKP" and key.get("crv") == "Ed25519" and key.get("use", "sig") == "sig"


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
