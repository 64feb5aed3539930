"""Signs access tokens and the tokens of links in mails. Only user_svc has the private keys.

The database holds the private keys encrypted, so a copy of it cannot sign tokens; all other secrets there are
hashed. The encryption key is derived from the service token. That grants nothing new: holders of the token
can already obtain password-reset links. With another service token the old keys cannot be decrypted. They
stay published, so their signatures remain valid, and a new key signs from then on.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
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

from chassis.core.definition import Aggregate
from chassis.core.execute import execute, load_state
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from contracts.http import access
from contracts.http.access import ALGORITHM, ISSUER, AccessToken, NotValid
from user_svc.signing import key_ring
from user_svc.signing.key_ring import KeyRing, RotateKey, SigningKey

KEYS = Aggregate("keys", KeyRing(), key_ring.decide, handles=(), handled_max=5)
KEY_RING_ID = "ring"  # the id of the only document
_READ_AGAIN = timedelta(minutes=1)


class LinkPurpose(StrEnum):
    """The purpose of a mail link, as the `typ` of its token's header,
    so that no token is valid for another purpose.
    """

    PROOF = "proof+jwt"
    RESET = "reset+jwt"


_LINK_LIFETIME = {LinkPurpose.PROOF: timedelta(hours=24), LinkPurpose.RESET: timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class MailLink:
    """The content of a mail link.

    The link is valid until `bound_to` changes: the address's hash, or the epoch; for a change of the address
    its hash, a colon and the id of the request.
    """

    purpose: LinkPurpose
    user_id: UUID
    bound_to: str

    @property
    def email_key(self) -> str:
        """The hash of the address that the account had when the link was made."""
        return self.bound_to.partition(":")[0]

    @property
    def request_id(self) -> UUID | None:
        """The request of a change of the address; None for other links."""
        _, _, request_id = self.bound_to.partition(":")
        return UUID(request_id) if request_id else None


@dataclass(frozen=True)
class _LoadedKeys:
    """The key ring as it was read, decrypted."""

    kid: str
    private: Ed25519PrivateKey
    public: dict[str, Ed25519PublicKey]
    read_at: datetime


class _Sealing:
    """Encrypts private keys with a key that is derived from the secret. `name` identifies it."""

    def __init__(self, secret: str) -> None:
        derived = HKDF(SHA256(), length=32, salt=None, info=b"the seal of signing keys").derive(
            secret.encode()
        )
        self.fernet = Fernet(urlsafe_b64encode(derived))
        self.name = sha256(derived).hexdigest()[:16]


class TokenSigner:
    """`secret`: the encryption key is derived from it. A function is called whenever the keys are read again,
    every minute.

    `every`: how long a key signs before the next one does.
    """

    def __init__(self, runtime: Runtime, secret: str | Callable[[], str], every: timedelta) -> None:
        self._runtime = runtime
        self._every = every
        self._secret = secret
        self._loaded: _LoadedKeys | None = None

    async def access_token(self, token: AccessToken) -> str:
        keys = await self._load_keys()
        return access.sign(keys.private, keys.kid, token, self._runtime.clock())

    async def check(self, compact: str) -> AccessToken:
        """Raises NotValid."""
        keys = await self._load_keys()
        return access.check(compact, keys.public.get, self._runtime.clock())

    async def link_token(self, link: MailLink) -> str:
        keys, now = await self._load_keys(), self._runtime.clock()
        claims: dict[str, Any] = {"sub": str(link.user_id), "for": link.bound_to}
        claims |= {
            "iss": ISSUER,
            "aud": _audience(link.purpose),
            "iat": now,
            "exp": now + _LINK_LIFETIME[link.purpose],
        }
        return jwt.encode(claims, keys.private, ALGORITHM, headers={"kid": keys.kid, "typ": link.purpose})

    async def check_link(self, compact: str, purpose: LinkPurpose) -> MailLink:
        """Raises NotValid. The caller must compare `bound_to`."""
        keys = await self._load_keys()
        claims = access.claims_of(
            compact,
            keys.public.get,
            type_=purpose,
            audience=_audience(purpose),
            required=["exp", "sub", "for"],
        )
        if self._runtime.clock() >= datetime.fromtimestamp(claims["exp"], UTC):
            raise NotValid("expired")
        return MailLink(purpose, UUID(claims["sub"]), claims["for"])

    async def published(self) -> list[tuple[str, str]]:
        """The key id and `x` of each public key (RFC 8037)."""
        keys = await self._load_keys()
        return [(kid, _encoded(key.public_bytes_raw())) for kid, key in keys.public.items()]

    async def _load_keys(self) -> _LoadedKeys:
        now = self._runtime.clock()
        # The abs() covers a clock that was set back: it must not extend the cache's lifetime.
        if self._loaded is None or abs(now - self._loaded.read_at) >= _READ_AGAIN:
            sealing = _Sealing(self._secret if isinstance(self._secret, str) else self._secret())
            ring: KeyRing = await load_state(self._runtime, KEYS, KEY_RING_ID)
            if ring.is_due(sealing.name, self._every, now):
                rotated = await execute(
                    self._runtime, KEYS, KEY_RING_ID, RotateKey(_new_key(sealing, now), self._every, now)
                )
                ring = rotated.state
            self._loaded = _decrypted(ring, sealing, now)
        return self._loaded


def _new_key(sealing: _Sealing, now: datetime) -> SigningKey:
    private = Ed25519PrivateKey.generate()
    sealed = sealing.fernet.encrypt(private.private_bytes_raw()).decode()
    public = _encoded(private.public_key().public_bytes_raw())
    return SigningKey(str(new_id()), public, sealed, sealing.name, now)


def _decrypted(ring: KeyRing, sealing: _Sealing, now: datetime) -> _LoadedKeys:
    if (signing := ring.signing(sealing.name, now)) is None:
        raise RuntimeError("no signing key can be decrypted, although one was just created")
    private = Ed25519PrivateKey.from_private_bytes(sealing.fernet.decrypt(signing.private.encode()))
    public = {key.kid: Ed25519PublicKey.from_public_bytes(_decoded(key.public)) for key in ring.keys}
    return _LoadedKeys(signing.kid, private, public, now)


def _audience(purpose: LinkPurpose) -> str:
    return f"{ISSUER}/{purpose.partition('+')[0]}"


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
