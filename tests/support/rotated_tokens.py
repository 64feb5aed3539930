"""The service token and the signing key of access tokens are replaced in a running shop."""

import secrets
from functools import partial

import httpx
import jwt

from chassis.messaging.identity import new_id
from journey.admin.private_files import write_private
from journey.devenv.demo_users import DemoUser
from journey.devenv.process_shop import ProcessShop
from tests.support.eventually import until

WAIT_S = 300.0


async def logged_in(system: ProcessShop, customer: DemoUser) -> str:
    """An access token of the gateway."""
    form = {"email": customer.email, "password": customer.password}

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(timeout=60) as http:
            return await http.post(f"{system.endpoints.shop_url}/api/v1/sessions", json=form)

    response = await until(asked, lambda response: response.status_code != 503, within_s=WAIT_S)
    return str(response.raise_for_status().json()["access_token"])


async def replace_service_token_and_signing_key(system: ProcessShop, customer: DemoUser) -> None:
    """With the new service token comes a new signing key; what the old one signed stays valid."""
    before = await logged_in(system, customer)
    await replace_service_token(system)
    after = await until(
        lambda: logged_in(system, customer), lambda token: kid(token) != kid(before), within_s=WAIT_S
    )
    async with httpx.AsyncClient(timeout=60) as http:
        published = (await http.get(f"{system.endpoints.http['user_svc']}/.well-known/jwks.json")).json()
    assert {kid(before), kid(after)} <= {key["kid"] for key in published["keys"]}
    for token in (before, after):
        await until(partial(lists_orders, system, token), within_s=WAIT_S)


def kid(token: str) -> str:
    """The id of the key that signed the token."""
    return str(jwt.get_unverified_header(token)["kid"])


async def lists_orders(system: ProcessShop, token: str) -> bool:
    """Whether the gateway accepts the token."""
    async with httpx.AsyncClient(timeout=60, headers={"Authorization": f"Bearer {token}"}) as http:
        response = await http.get(f"{system.endpoints.shop_url}/api/v1/orders")
    return response.status_code == 200


async def replace_service_token(system: ProcessShop) -> None:
    """First accepted beside the old one, then alone."""
    file, old, new = system.state_dir / "service_token", system.endpoints.service_token, secrets.token_hex(16)
    assert [await accepted(system, token) for token in (old, new)] == [True, False]
    for content in (f"{old}\n{new}", f"{new}\n{old}"):
        write_private(file, content)
        assert [await accepted(system, token) for token in (old, new)] == [True, True]
    write_private(file, new)
    assert [await accepted(system, token) for token in (old, new)] == [False, True]


async def accepted(system: ProcessShop, token: str) -> bool:
    """Whether user_svc takes the caller for a service of the shop."""
    path = f"{system.endpoints.http['user_svc']}/internal/contacts/{new_id()}"
    async with httpx.AsyncClient() as http:
        response = await http.get(path, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code in (401, 404), response.text
    return response.status_code == 404
