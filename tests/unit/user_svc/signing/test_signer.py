"""Published keys, signing across instances, and how little a copy of the database is worth."""

import base64
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from chassis.bus.memory import MemoryStore
from chassis.messaging.identity import new_id
from contracts.http.access import ALGORITHM, AUDIENCE, ISSUER, NotValid, check, kid_of
from tests.support.shops.user import PASSWORD, SERVICE_TOKEN, LoggedInClient, UserApp
from user_svc.accounts.email_reservation import reservation_key
from user_svc.settings import AuthPolicy
from user_svc.signing.signer import TokenSigner


def remember_keys(monkeypatch: pytest.MonkeyPatch) -> list[Ed25519PrivateKey]:
    """Every private key that is generated from now on."""
    made: list[Ed25519PrivateKey] = []
    generate = Ed25519PrivateKey.generate

    def remembered() -> Ed25519PrivateKey:
        made.append(generate())
        return made[-1]

    monkeypatch.setattr(Ed25519PrivateKey, "generate", remembered)
    return made


async def published(http: httpx.AsyncClient) -> dict[str, Ed25519PublicKey]:
    """The published keys as another service reads them."""
    response = await http.get("/.well-known/jwks.json")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "public, max-age=300"
    keys = {key["kid"]: jwt.PyJWK(key).key for key in response.json()["keys"]}
    assert all(set(key) == {"kty", "crv", "use", "alg", "kid", "x"} for key in response.json()["keys"])
    return keys


async def test_others_check_an_access_token_by_the_published_keys_alone(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    token = check(ada.token, (await published(user_app.http)).get, user_app.now)
    assert token.user_id == ada.user_id
    assert not token.is_staff


async def test_all_instances_sign_with_the_same_key_however_they_start(user_app: UserApp) -> None:
    clients = [user_app.new_client() for _ in range(3)]
    seen = [await published(client) for client in clients]
    ada = await user_app.logged_in_user()
    assert {tuple(keys) for keys in seen} == {(kid_of(ada.token),)}
    for client in clients:
        response = await client.get("/users/me", headers={"Authorization": f"Bearer {ada.token}"})
        assert response.status_code == 200


async def test_clients_polling_every_five_minutes_know_every_key() -> None:
    user_app = UserApp(MemoryStore(), policy=AuthPolicy(keys_days=1))
    ada, kids = await user_app.logged_in_user(), set()
    for _ in range(26 * 12):
        known = await published(user_app.http)
        user_app.later(minutes=5)
        refreshed = await user_app.refresh(ada.refresh_token)
        ada = LoggedInClient(user_app, refreshed.json())
        assert check(ada.token, known.get, user_app.now)
        kids.add(kid_of(ada.token))
        assert len(known) <= 3
    assert len(kids) == 2


async def test_a_mailed_link_outlives_its_signing_key() -> None:
    user_app = UserApp(MemoryStore(), policy=AuthPolicy(keys_days=1))
    user_id = (await user_app.register()).json()["user_id"]
    user_app.later(hours=23)
    await published(user_app.http)
    token = (await user_app.contact(user_id, kind="address_proof")).json()["link_token"]
    for _ in range(23):
        user_app.later(hours=1)
        await published(user_app.http)
    proved = await user_app.ask("POST", "/proofs", {"token": token, "password": PASSWORD})
    assert proved.status_code == 201


async def test_a_copy_of_the_database_signs_nothing(user_app: UserApp) -> None:
    await user_app.logged_in_user()
    (ring,) = await user_app.runtime.store.find("keys")
    assert ring.state is not None
    (key,) = ring.state["keys"]
    with pytest.raises(ValueError, match="32 bytes"):
        Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(key["private"]))
    assert SERVICE_TOKEN not in repr(ring)


async def test_a_new_service_token_brings_a_new_signing_key(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    after = TokenSigner(user_app.runtime, "another secret of ours", timedelta(days=30))
    token = await after.check(ada.token)
    renewed = await after.access_token(token)
    assert kid_of(renewed) != kid_of(ada.token)
    keys = await published(user_app.new_client())
    assert set(keys) == {kid_of(renewed), kid_of(ada.token)}
    assert check(renewed, keys.get, user_app.now) == token
    before = TokenSigner(user_app.runtime, SERVICE_TOKEN, timedelta(days=30))  # still with the old token
    assert kid_of(await before.access_token(token)) == kid_of(ada.token)


async def test_a_signing_key_is_replaced_without_a_restart(user_app: UserApp) -> None:
    """By a new service token; access tokens of the old key stay valid."""
    secret = SERVICE_TOKEN
    signer = TokenSigner(user_app.runtime, lambda: secret, timedelta(days=30))
    ada = await user_app.logged_in_user()
    token = await signer.check(ada.token)
    before = await signer.access_token(token)
    secret = "another secret of ours"
    assert kid_of(await signer.access_token(token)) == kid_of(before), "keys are read once a minute"
    user_app.now += timedelta(minutes=1)
    after = await signer.access_token(token)
    assert kid_of(after) != kid_of(before)
    assert await signer.check(before) == await signer.check(after) == token


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "JWT"}, {}),
        ({"typ": "proof+jwt"}, {}),
        ({"kid": "unknown"}, {}),
        ({}, {"aud": "somebody else"}),
        ({}, {"iss": "somebody else"}),
        ({}, {"sid": str(new_id())}),
        ({}, {"sub": str(new_id())}),
    ],
)
async def test_tokens_of_another_kind_or_login_are_rejected(
    user_app: UserApp, header: dict[str, str], claims: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if it is signed with a valid key."""
    made = remember_keys(monkeypatch)
    ada = await user_app.logged_in_user()
    good = jwt.decode(ada.token, options={"verify_signature": False})
    published_messages = {"kid": kid_of(ada.token), "typ": "at+jwt"} | header
    forged = jwt.encode(good | claims, made[0], ALGORITHM, headers=published_messages)
    response = await user_app.http.get("/users/me", headers={"Authorization": f"Bearer {forged}"})
    assert response.status_code == 401
    assert (good["iss"], good["aud"]) == (ISSUER, AUDIENCE)


PROOF = {"iss": ISSUER, "aud": f"{ISSUER}/proof"}


@pytest.mark.parametrize(
    ("header", "claims", "status"),
    [
        ({"typ": "proof+jwt"}, {}, 201),
        ({"typ": "at+jwt"}, {}, 401),
        ({"typ": "reset+jwt"}, {}, 401),
        ({"typ": "proof+jwt"}, {"aud": f"{ISSUER}/reset"}, 401),
        ({"typ": "proof+jwt"}, {"iss": "somebody else"}, 401),
        ({"typ": "proof+jwt"}, {"for": reservation_key("another@example.org")}, 401),
        ({"typ": "proof+jwt"}, {"sub": str(new_id())}, 401),
        ({"typ": "proof+jwt"}, {"exp": 0}, 401),
    ],
)
async def test_a_link_is_valid_for_its_purpose_only(
    user_app: UserApp,
    header: dict[str, str],
    claims: dict[str, Any],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if it is signed with a valid key."""
    made = remember_keys(monkeypatch)
    user_id = (await user_app.register()).json()["user_id"]
    (kid,) = await published(user_app.http)
    published_messages = PROOF | {
        "sub": user_id,
        "for": reservation_key("ada@example.org"),
        "exp": user_app.now + timedelta(hours=1),
    }
    forged = jwt.encode(published_messages | claims, made[0], ALGORITHM, headers={"kid": kid} | header)
    response = await user_app.ask("POST", "/proofs", {"token": forged, "password": PASSWORD})
    assert response.status_code == status


async def test_a_token_signed_with_a_foreign_key_is_rejected(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    claims = jwt.decode(ada.token, options={"verify_signature": False})
    stranger = Ed25519PrivateKey.generate()
    forged = jwt.encode(claims, stranger, ALGORITHM, headers={"kid": kid_of(ada.token), "typ": "at+jwt"})
    with pytest.raises(NotValid):
        check(forged, (await published(user_app.http)).get, user_app.now)
    response = await user_app.http.get("/users/me", headers={"Authorization": f"Bearer {forged}"})
    assert response.status_code == 401
