"""Access tokens with a wrong signature, audience, lifetime or other claims are rejected."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chassis.messaging.identity import new_id
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from chassis.web.jwks import JwksClient
from chassis.web.problems import MEDIA_TYPE
from contracts.http.access import AUDIENCE, ISSUER, TYPE, AccessToken, check, kid_of
from contracts.roles import Role
from tests.support.fake_user_svc import FakeUserService
from tests.support.shops.gateway import GatewayFixture

ORDERS = "/api/v1/orders"


async def accepted(keys: JwksClient, compact: str) -> AccessToken:
    return check(compact, await keys.lookup(kid_of(compact)))


async def knock(gateway: GatewayFixture, token: str) -> httpx.Response:
    return await gateway.client().get(ORDERS, headers={"Authorization": f"Bearer {token}"})


def claims(gateway: GatewayFixture, **changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    emitted = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + timedelta(minutes=9),
        "sub": str(gateway.user_id()),
        "sid": str(new_id()),
        "jti": str(new_id()),
        "roles": ["customer"],
    }
    return {name: value for name, value in (emitted | changed).items() if value is not None}


def signed(gateway: GatewayFixture, headers: dict[str, Any] | None = None, **changed: Any) -> str:
    key = gateway.users.keys["first"]
    named: dict[str, Any] = {"kid": "first", "typ": TYPE} | (headers or {})
    return jwt.encode(claims(gateway, **changed), key, "EdDSA", headers=named)


def by_hand(header: dict[str, Any], body: dict[str, Any], secret: bytes | None) -> str:
    def part(raw: bytes) -> bytes:
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    text = part(json.dumps(header).encode()) + b"." + part(json.dumps(body, default=_seconds).encode())
    signature = b"" if secret is None else part(hmac.new(secret, text, hashlib.sha256).digest())
    return (text + b"." + signature).decode()


def _seconds(when: datetime) -> int:
    return int(when.timestamp())


async def test_a_valid_token_is_accepted() -> None:
    gateway = GatewayFixture()
    response = await knock(gateway, signed(gateway))
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256"])
async def test_a_token_that_chooses_its_own_algorithm_is_refused(algorithm: str) -> None:
    gateway = GatewayFixture()
    assert (await knock(gateway, signed(gateway))).status_code == 200  # loads the keys
    public = gateway.users.keys["first"].public_key()
    for secret in (
        public.public_bytes_raw(),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        base64.urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"="),
        None,
    ):
        forged = by_hand(
            {"alg": algorithm, "typ": TYPE, "kid": "first"}, claims(gateway, roles=["staff"]), secret
        )
        assert (await knock(gateway, forged)).status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": timedelta(seconds=-90)},
        {"exp": timedelta(days=30)},
        {"exp": None},
        {"aud": "another-shop"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"sub": "admin"},
        {"sub": None},
        {"jti": None},
        {"sid": None},
        {"roles": ["owner"]},
        {"roles": "staff"},
    ],
    ids=str,
)
async def test_a_token_with_other_claims_is_refused(changed: dict[str, Any]) -> None:
    """A duration is relative to now."""
    gateway = GatewayFixture()
    now = datetime.now(UTC)
    changed = {
        name: now + value if isinstance(value, timedelta) else value for name, value in changed.items()
    }
    assert (await knock(gateway, signed(gateway, **changed))).status_code == 401


@pytest.mark.parametrize("type_", ["JWT", "proof+jwt", "reset+jwt", "rt+jwt", None])
async def test_no_other_kind_of_token_passes_for_an_access_token(type_: str | None) -> None:
    gateway = GatewayFixture()
    response = await knock(gateway, signed(gateway, {"typ": type_}))
    assert response.status_code == 401
    assert response.headers["Content-Type"] == MEDIA_TYPE
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_a_refresh_token_is_no_access_token() -> None:
    gateway = GatewayFixture()
    assert (await knock(gateway, f"refresh-{new_id().hex}")).status_code == 401
    assert (await knock(gateway, "x" * 100_000)).status_code == 401
    assert (await knock(gateway, "")).status_code == 401


async def test_key_locations_in_tokens_are_ignored() -> None:
    gateway = GatewayFixture()
    own = Ed25519PrivateKey.generate()
    x = base64.urlsafe_b64encode(own.public_key().public_bytes_raw()).rstrip(b"=").decode()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "first"}
    for elsewhere in (
        {"jku": "https://evil.example/jwks.json"},
        {"jwk": jwk},
        {"x5u": "https://evil.example/cert"},
    ):
        for kid in ("first", "mine"):
            forged = jwt.encode(
                claims(gateway, roles=["staff"]), own, "EdDSA", headers={"typ": TYPE, "kid": kid} | elsewhere
            )
            assert (await knock(gateway, forged)).status_code == 401


async def test_unknown_key_ids_cause_one_jwks_request_per_interval() -> None:
    users, now = FakeUserService(lambda: datetime.now(UTC)), 1000.0
    keys = JwksClient(
        UpstreamClient("user_svc", "http://user_svc", transport=users.transport), clock=lambda: now
    )
    good = users.access_token(users.has("ada@example.org"))
    users.kid = "second"
    users.keys["second"] = Ed25519PrivateKey.generate()
    unknown = users.access_token(users.has("ada@example.org"))
    del users.keys["second"]
    for _ in range(3):
        for _ in range(20):
            with pytest.raises(Exception, match="unknown key"):
                await accepted(keys, unknown)
        now += 8
    assert users.jwks_asked == 1
    assert await accepted(keys, good)
    now += 8
    with pytest.raises(Exception, match="unknown key"):
        await accepted(keys, unknown)
    assert users.jwks_asked == 2


async def test_a_new_key_is_learnt_from_its_first_token() -> None:
    gateway = GatewayFixture()
    assert (await knock(gateway, signed(gateway))).status_code == 200
    now = 1000.0
    gateway.deps.keys._clock = lambda: now
    gateway.deps.keys._asked_at = gateway.deps.keys._known_at = now - 31
    gateway.users.kid = "second"
    gateway.users.keys["second"] = Ed25519PrivateKey.generate()
    token = gateway.users.access_token(
        gateway.users.has("ada@example.org"), exp=datetime.now(UTC) + timedelta(minutes=9)
    )
    assert (await knock(gateway, token)).status_code == 200
    assert gateway.users.jwks_asked == 2


async def test_keys_stay_cached_during_outages_and_withdrawn_keys_are_dropped() -> None:
    users, now = FakeUserService(lambda: datetime.now(UTC)), 1000.0
    keys = JwksClient(
        UpstreamClient("user_svc", "http://user_svc", transport=users.transport), clock=lambda: now
    )
    good = users.access_token(users.has("ada@example.org"))
    users.away = True
    with pytest.raises(UpstreamUnavailable):  # without keys the token is neither valid nor invalid
        await accepted(keys, good)
    users.away, now = False, now + 31
    assert await accepted(keys, good)
    users.away, now = True, now + 601
    assert await accepted(keys, good)
    await _settled(keys)
    users.away, now = False, now + 31
    users.keys = {"second": Ed25519PrivateKey.generate()}
    keys._issuer._circuit.record_success()
    assert await accepted(keys, good)  # fetches the keys in the background
    await _settled(keys)
    with pytest.raises(Exception, match="unknown key"):
        await accepted(keys, good)


async def _settled(keys: JwksClient) -> None:
    assert keys._asking is not None
    await keys._asking


async def test_roles_come_from_the_token_and_from_nothing_else() -> None:
    gateway = GatewayFixture()
    claims_of_headers = {
        "X-User-Id": str(new_id()),
        "X-User-Roles": "staff",
        "X-Roles": "staff",
        "Forwarded": "for=x",
    }
    response = await gateway.client(**claims_of_headers).get(ORDERS)
    assert response.status_code == 401
    staff = gateway.program("ops@example.org", Role.STAFF)
    assert (await staff.get(ORDERS)).status_code == 200
