"""Only our own, unexpired access tokens are accepted."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from contracts.http.access import (
    AUDIENCE,
    ISSUER,
    LEEWAY,
    LENGTH_MAX,
    LIFETIME,
    TYPE,
    AccessToken,
    NotValid,
    check,
)
from contracts.http.access import sign as signed_by
from contracts.roles import Role

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
STRANGER = Ed25519PrivateKey.generate()
TOKEN = AccessToken(
    sub=UUID(int=1), sid=UUID(int=2), jti=UUID(int=3), roles=(Role.CUSTOMER,), exp=NOW + LIFETIME
)
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": str(TOKEN.sub),
    "sid": str(TOKEN.sid),
    "jti": str(TOKEN.jti),
    "roles": ["customer"],
    "iat": NOW,
    "exp": NOW + LIFETIME,
}


def key_of(kid: str) -> Ed25519PublicKey | None:
    return KEY.public_key() if kid == "k1" else None


def checked(compact: str, now: datetime = NOW) -> AccessToken:
    return check(compact, key_of, now)


def made(
    key: Any = KEY, algorithm: str = "EdDSA", *, header: dict[str, Any] | None = None, **claims: Any
) -> str:
    """A valid token with some claims or headers replaced; a claim that is None is omitted."""
    emitted = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(emitted, key, algorithm, headers={"kid": "k1", "typ": TYPE} | (header or {}))


def test_a_valid_token_identifies_the_user() -> None:
    assert checked(signed_by(KEY, "k1", TOKEN, NOW)) == TOKEN
    assert checked(made()) == TOKEN
    assert not TOKEN.is_staff


def _without(claim: str) -> str:
    nothing: dict[str, Any] = {claim: None}
    return made(**nothing)


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _unsigned(alg: str, kid: str | None = "k1") -> str:
    claims = CLAIMS | {"iat": NOW.timestamp(), "exp": (NOW + LIFETIME).timestamp()}
    return f"{_part({'alg': alg, 'typ': TYPE, 'kid': kid})}.{_part(claims)}."


PUBLIC_RAW = KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


@pytest.mark.parametrize(
    "compact",
    [
        pytest.param(_unsigned("none"), id="alg none"),
        pytest.param(_unsigned("None"), id="alg None"),
        pytest.param(_unsigned("EdDSA"), id="no signature"),
        pytest.param(made(PUBLIC_RAW, "HS256"), id="HS256 with the public key"),
        pytest.param(made(STRANGER), id="another's key"),
        pytest.param(made(STRANGER, header={"kid": "k2"}), id="unknown kid"),
        pytest.param(_unsigned("EdDSA", kid=None), id="kid null"),
        pytest.param(made(STRANGER, header={"jku": "https://evil.example/jwks.json"}), id="jku"),
        pytest.param(
            made(
                STRANGER,
                header={"jwk": json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(STRANGER.public_key()))},
            ),
            id="jwk in the header",
        ),
        pytest.param(made(header={"typ": "JWT"}), id="typ JWT"),
        pytest.param(made(header={"typ": "reset+jwt"}), id="another token of ours"),
        pytest.param(made(iss="somebody"), id="another issuer"),
        pytest.param(made(aud="somewhere"), id="another audience"),
        pytest.param(made(aud=[AUDIENCE + "-not"]), id="another audience, in a list"),
        pytest.param(made(sub="not-an-id"), id="sub is no id"),
        pytest.param(made(roles=["king"]), id="a role that there is not"),
        pytest.param(made(roles="staff"), id="roles as a string"),
        pytest.param(made(exp=NOW - LEEWAY - timedelta(seconds=1)), id="expired"),
        pytest.param(made(exp=NOW + LIFETIME + 2 * LEEWAY), id="good for too long"),
        *(pytest.param(_without(claim), id=f"no {claim}") for claim in CLAIMS),
        pytest.param("", id="nothing"),
        pytest.param("a.b.c", id="no token"),
        pytest.param("x" * (LENGTH_MAX + 1), id="too long"),
    ],
)
def test_anything_else_is_refused(compact: str) -> None:
    with pytest.raises(NotValid):
        checked(compact)


def test_a_token_is_valid_until_shortly_after_its_expiry() -> None:
    assert checked(made(), NOW + LIFETIME + LEEWAY - timedelta(seconds=1)) == TOKEN
    with pytest.raises(NotValid):
        checked(made(), NOW + LIFETIME + LEEWAY)


def test_why_a_token_is_refused_repeats_nothing_of_it() -> None:
    with pytest.raises(NotValid) as refused:
        checked(made(sub="secret-part"))
    assert "secret" not in str(refused.value)


@given(st.data())
def test_a_token_with_one_changed_character_is_rejected(data: st.DataObject) -> None:
    compact = made()
    index = data.draw(st.integers(0, len(compact) - 2))  # the last one carries bits that base64url ignores
    character = data.draw(
        st.sampled_from("ABCabc019-_.").filter(lambda character: character != compact[index])
    )
    with pytest.raises(NotValid):
        checked(compact[:index] + character + compact[index + 1 :])
