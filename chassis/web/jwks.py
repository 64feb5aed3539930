"""The keys that tokens are signed with, from the issuer's JWKS (RFC 7517) and from nowhere else.

A token with an unknown key id triggers a refresh, at most once in 30 seconds, because a client can invent key
ids.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt import PyJWKSet
from jwt.exceptions import PyJWKSetError

from chassis.web.http_client import UpstreamClient, UpstreamUnavailable

JWKS_PATH = "/.well-known/jwks.json"
_PAUSE_S = 30.0
_OLD_S = 600.0
_KEYS_MAX = 20


class JwksClient:
    """Caches the public keys of the service that signs tokens. It does not parse tokens."""

    def __init__(self, issuer: UpstreamClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._known_at = self._asked_at = -float("inf")
        self._asking: asyncio.Task[None] | None = None

    async def lookup(self, kid: str) -> Callable[[str], Ed25519PublicKey | None]:
        """Finds a key by its id, after a refresh if `kid` is unknown.

        Raises UpstreamUnavailable before the first keys are loaded.
        """
        if kid not in self._keys:
            await asyncio.shield(self._ask())
        elif self._clock() - self._known_at > _OLD_S:
            self._ask()
        if not self._keys:
            raise UpstreamUnavailable(self._issuer.name)
        return self._keys.get

    def _ask(self) -> "asyncio.Future[None]":
        """One refresh, shared by all callers; completes at once if the last one is too recent."""
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
        """Keeps the current keys if the response is missing or unreadable."""
        try:
            response = await self._issuer.get(JWKS_PATH)
            if response.status_code != 200:
                return
            self._keys = parse_jwks(response.json())
            self._known_at = self._clock()
        except (UpstreamUnavailable, ValueError):
            return


def parse_jwks(jwks: Any) -> dict[str, Ed25519PublicKey]:
    """Public Ed25519 keys for signatures, by key id; ignores other keys.

    Raises ValueError if there is none.
    """
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    try:
        found = PyJWKSet(keys[:_KEYS_MAX] if isinstance(keys, list) else [])
    except PyJWKSetError as error:
        raise ValueError(f"no JWKS: {error}") from error
    ours = {
        each.key_id: each.key
        for each in found
        if isinstance(each.key, Ed25519PublicKey)
        and isinstance(each.key_id, str)
        and each.public_key_use in (None, "sig")
    }
    if not ours:
        raise ValueError("no JWKS: it contains no public Ed25519 key with an id")
    return ours
