"""Access tokens: user_svc signs them, and every service checks them without calling user_svc.

A JWT as defined by RFC 9068 and RFC 8725. It is signed with EdDSA only, whatever its header says, has the
type at+jwt, so that no other token of ours is accepted as one, and is valid for at most ten minutes. It
contains ids and roles, and no personal data. Keys come only from user_svc's JWKS (RFC 7517): the headers jku,
jwk and x5u are ignored.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError

from chassis.clock import CLOCK_SKEW_MAX
from contracts.roles import Role
from contracts.values import Id

ALGORITHM = "EdDSA"
TYPE = "at+jwt"
ISSUER = "order-journey/user_svc"
AUDIENCE = "order-journey"
LIFETIME = timedelta(minutes=10)
LEEWAY = CLOCK_SKEW_MAX
LENGTH_MAX = 4096
# Headers of a user_svc response that ended sessions: the user, and the lowest version of access tokens that
# still count.
USER_HEADER, VERSION_HEADER = "X-User-Id", "X-Access-Version"
_CLAIMS = ["exp", "iat", "sub", "jti"]

KeyOf = Callable[[str], Ed25519PublicKey | None]


class AccessToken(BaseModel):
    """The authenticated user.

    `sid`: the session that it belongs to, a family of refresh tokens (OpenID Connect's name).

    `access_version`: the user's version when it was signed; see users.AccessChanged. Tokens of an older
    user_svc have none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    sub: Id
    sid: Id
    jti: Id
    roles: tuple[Role, ...]
    exp: datetime
    access_version: int = 0

    @property
    def user_id(self) -> UUID:
        return self.sub

    @property
    def is_staff(self) -> bool:
        return Role.STAFF in self.roles


class NotValid(Exception):
    """The token is not accepted. The text names the reason and repeats nothing of the token."""


def sign(key: Ed25519PrivateKey, kid: str, token: AccessToken, now: datetime) -> str:
    """Sign a token, in JWS compact form. Only user_svc has a signing key."""
    claims: dict[str, Any] = token.model_dump(mode="json", exclude={"exp"})
    claims |= {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": token.exp}
    return jwt.encode(claims, key, ALGORITHM, headers={"kid": kid, "typ": TYPE})


def kid_of(compact: str, type_: str = TYPE) -> str:
    """The id of the key that a token claims to be signed with, unverified. Raises NotValid."""
    if len(compact) > LENGTH_MAX:
        raise NotValid("too long")
    try:
        header = jwt.get_unverified_header(compact)
    except jwt.InvalidTokenError as error:
        raise NotValid(type(error).__name__) from None
    if header.get("typ") != type_ or header.get("alg") != ALGORITHM or not isinstance(header.get("kid"), str):
        raise NotValid(f"not an {ALGORITHM} token of type {type_} that names its key")
    return str(header["kid"])


def claims_of(
    compact: str, key_of: KeyOf, *, type_: str, audience: str, required: list[str]
) -> dict[str, Any]:
    """The verified claims of a token of any of our types. Raises NotValid.

    The caller checks the expiry, against its own clock.
    """
    key = key_of(kid_of(compact, type_))
    if key is None:
        raise NotValid("signed with an unknown key")
    try:
        return jwt.decode(
            compact,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            options={
                "require": ["iss", "aud", *required],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.InvalidTokenError as error:
        raise NotValid(type(error).__name__) from None


def check(compact: str, key_of: KeyOf, now: datetime | None = None) -> AccessToken:
    """The content of an access token whose signature, issuer, audience and expiry are valid.

    Raises NotValid.
    """
    claims = claims_of(compact, key_of, type_=TYPE, audience=AUDIENCE, required=_CLAIMS)
    try:
        token = AccessToken.model_validate(claims)
    except ValidationError as error:
        raise NotValid(type(error).__name__) from None
    now = now or datetime.now(UTC)
    if not now - LEEWAY < token.exp <= now + LIFETIME + LEEWAY:
        raise NotValid("expired, or valid for longer than any of our tokens")
    return token
