"""What user_svc signs: access tokens, and the tokens of links in mails. Nobody else has the keys.

In the database the private keys are sealed, so that a copy of it lets nobody in: everything else there is hashed. The
seal is made of the service token, which is no new power in the hands of those who have it: with it one is told the
links by which passwords are reset. With another service token old keys cannot be opened any more; they are still
published, so that what they signed stays good, and a new key signs from then on.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

import jwt
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chassis.direct import decide_directly, load_directly
from chassis.runtime import Runtime
from contracts import access
from contracts.access import ALGORITHM, ISSUER, AccessToken, NotValid
from contracts.identity import new_id
from user_svc.ring import Key, Ring, Turn
from user_svc.service import KEYS

RING = "ring"  # the key of the one document
_READ_AGAIN = timedelta(minutes=1)


class Purpose(StrEnum):
    """What the token of a link in a mail is good for: the `typ` of its header, so that none passes for another."""

    PROOF = "proof+jwt"
    RESET = "reset+jwt"


_GOOD_FOR = {Purpose.PROOF: timedelta(hours=24), Purpose.RESET: timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class Link:
    """What a link in a mail says: about whom, and for how long it is good: `bound_to` says until what changes."""

    purpose: Purpose
    user_id: UUID
    bound_to: str


@dataclass(frozen=True)
class _Opened:
    """The ring as it was read, ready for use."""

    kid: str
    private: Ed25519PrivateKey
    public: dict[str, Ed25519PublicKey]
    read_at: datetime


class Signing:
    """`secret`: of what the seal is made. `every`: how long a key signs before the next one does."""

    def __init__(self, runtime: Runtime, secret: str, every: timedelta) -> None:
        self._runtime, self._every = runtime, every
        derived = HKDF(SHA256(), length=32, salt=None, info=b"the seal of signing keys").derive(secret.encode())
        self._fernet = Fernet(urlsafe_b64encode(derived))
        self._seal = sha256(derived).hexdigest()[:16]
        self._opened: _Opened | None = None

    async def access_token(self, token: AccessToken) -> str:
        opened = await self._open()
        return access.sign(opened.private, opened.kid, token, self._runtime.clock())

    async def check(self, compact: str) -> AccessToken:
        """Raises NotValid."""
        opened = await self._open()
        return access.check(compact, opened.public.get, self._runtime.clock())

    async def link_token(self, link: Link) -> str:
        opened, now = await self._open(), self._runtime.clock()
        claims: dict[str, Any] = {"sub": str(link.user_id), "for": link.bound_to}
        claims |= {"iss": ISSUER, "aud": _audience(link.purpose), "iat": now, "exp": now + _GOOD_FOR[link.purpose]}
        return jwt.encode(claims, opened.private, ALGORITHM, headers={"kid": opened.kid, "typ": link.purpose})

    async def check_link(self, compact: str, purpose: Purpose) -> Link:
        """Raises NotValid. What it is bound to is the caller's to compare."""
        opened = await self._open()
        claims = access.claims_of(
            compact, opened.public.get, type_=purpose, audience=_audience(purpose), required=["exp", "sub", "for"]
        )
        if self._runtime.clock() >= datetime.fromtimestamp(claims["exp"], UTC):
            raise NotValid("expired")
        return Link(purpose, UUID(claims["sub"]), claims["for"])

    async def published(self) -> list[tuple[str, str]]:
        """The id and the `x` of each public key, as RFC 8037 has it."""
        opened = await self._open()
        return [(kid, _encoded(key.public_bytes_raw())) for kid, key in opened.public.items()]

    async def _open(self) -> _Opened:
        now = self._runtime.clock()
        # A clock that was corrected backwards must not keep the copy for longer.
        if self._opened is None or abs(now - self._opened.read_at) >= _READ_AGAIN:
            ring: Ring = await load_directly(self._runtime, KEYS, RING)
            if ring.is_due(self._seal, self._every, now):
                turned = await decide_directly(self._runtime, KEYS, RING, Turn(self._spare(now), self._every, now))
                ring = turned.state
            self._opened = self._unsealed(ring, now)
        return self._opened

    def _spare(self, now: datetime) -> Key:
        private = Ed25519PrivateKey.generate()
        sealed = self._fernet.encrypt(private.private_bytes_raw()).decode()
        return Key(str(new_id()), _encoded(private.public_key().public_bytes_raw()), sealed, self._seal, now)

    def _unsealed(self, ring: Ring, now: datetime) -> _Opened:
        if (signing := ring.signing(self._seal, now)) is None:
            raise RuntimeError("no signing key can be opened, though one was just made")
        private = Ed25519PrivateKey.from_private_bytes(self._fernet.decrypt(signing.private.encode()))
        public = {key.kid: Ed25519PublicKey.from_public_bytes(_decoded(key.public)) for key in ring.keys}
        return _Opened(signing.kid, private, public, now)


def _audience(purpose: Purpose) -> str:
    return f"{ISSUER}/{purpose.partition('+')[0]}"


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
