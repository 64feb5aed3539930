"""Secrets of the shop in containers: who sees which file, and how one is replaced."""

import secrets
from functools import partial

import pytest

from journey.admin.endpoints import GATEWAY
from journey.admin.registry import SERVICES
from journey.devenv.compose_shop import ComposeShop
from tests.containers.engine import containers, docker
from tests.support.eventually import until
from tests.support.system_fixtures import OrderLoad

pytestmark = [pytest.mark.timeout(1800), pytest.mark.asyncio(loop_scope="package")]

WAIT_S = 240.0
TOKEN_READERS = (GATEWAY, "notification_svc", "user_svc")
# Prints the files in the folders in which any container has secrets.
SECRET_FILES = """
import os
places = "/credentials /service_credentials /service_token /operator /mongo_admin /run/secrets".split()
print(*(f"{folder}/{name}" for place in places for folder, _, names in os.walk(place) for name in names))
"""


async def run_python(service: str, code: str) -> str:
    """What the program prints in the service's container."""
    [container] = await containers(service)
    return await docker("exec", container, "python", "-c", code)


@pytest.mark.parametrize("service", [*SERVICES, GATEWAY, "operations"])
async def test_a_container_sees_its_own_credentials_only(compose_shop: ComposeShop, service: str) -> None:
    own = {f"/credentials/{service}", f"/credentials/mongo_{service}"}
    token = {"/service_token/service_token"} if service in TOKEN_READERS else set()
    expected = {"/operator/password"} if service == "operations" else own | token
    assert set((await run_python(service, SECRET_FILES)).split()) == expected
    for file in expected:
        assert await run_python(service, f"print(len(open({file!r}).read()) > 16)") == "True"
        written = f"try: open({file!r}, 'a')\nexcept OSError: print('refused')"
        assert await run_python(service, written) == "refused"


async def test_a_replaced_password_reaches_service_and_servers(
    compose_shop: ComposeShop, order_load: OrderLoad
) -> None:
    """As docs/security.md describes it: write the file, then restart the operator's container."""
    replaced = {file: secrets.token_hex(16) for file in ("order_svc", "mongo_order_svc")}
    for file, password in replaced.items():
        await run_python("operator", f"open('/credentials/{file}', 'w').write({password!r})")
    for file, password in replaced.items():
        shown = partial(run_python, "order_svc", f"print(open('/credentials/{file}').read())")
        await until(shown, password.__eq__, within_s=WAIT_S)
    for service in ("operator", "order_svc"):
        await docker("restart", *(await containers(service)))
        await compose_shop.ready([service])
    await order_load.place(10)
    await order_load.all_end_as_expected(wait_s=WAIT_S)
