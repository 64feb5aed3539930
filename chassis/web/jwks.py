"""The keys that tokens are signed with, from the issuer's JWKS (RFC 7517) and from nowhere else.

A token with an unknown key id triggers a refresh, at most once in 30 seconds, because a client can invent key
ids.
"""

import asyncio
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

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
            found = parse_jwks(response.json()) if response.status_code == 200 else {}
        except (UpstreamUnavailable, ValueError):
            return
        if found:
            self._keys = found
            self._known_at = self._clock()


def parse_jwks(jwks: Any) -> dict[str, Ed25519PublicKey]:
    """Ed25519 keys by key id; ignores other kinds. Raises ValueError."""
    if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
        raise ValueError("no JWKS")
    ours = [key for key in jwks["keys"][:_KEYS_MAX] if isinstance(key, dict) and _is_ours(key)]
    return {key["kid"]: Ed25519PublicKey.from_public_bytes(_bytes(key["x"])) for key in ours}


def _is_ours(key: dict[str, Any]) -> bool:
    named = isinstance(key.get("kid"), str) and isinstance(key.get("x"), str)
    return (
        named and key.get("kty") == "OKP" and key.get("crv") == "Ed25519" and key.get("use", "sig") == "sig"
    )


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
