"""The whole shop on real infrastructure: the services, two gateways behind a balancer, operations,
and a mailbox.
"""

import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from contracts.inventory import ReceiveStock
from contracts.products import ListProduct
from contracts.roles import Role
from contracts.users import GrantRole
from contracts.values import NIL_UUID, Money
from journey.admin.ssl_context import tls
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import seed
from tests.support.balancer import Balancer
from tests.support.eventually import until
from tests.support.infrastructure import fresh_system
from tests.support.proxy import Proxy
from tests.support.shops.gateway import DELIVERY

WAIT_S = 120.0
BUGGY = "CLOCK-WALL"
"""inventory_svc dead-letters orders for this SKU, as through a bug, until it is restarted without the bug."""
# One machine simulates all customers. Each has a client address of its own, as a proxy would forward it.
LIMITS = dict.fromkeys(("RATE_USER", "RATE_ANONYMOUS", "RATE_ORDERS"), "100000") | {
    "TRUSTED_PROXIES": "127.0.0.0/8"
}
# Connections are not reused when the server may be about to close them.
_SHORT = httpx.Limits(keepalive_expiry=1)
_LINK = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class Person:
    """A user with an account."""

    name: str
    email: str
    password: str = field(repr=False)
    user_id: UUID = NIL_UUID


class BrowserShop:
    """The shop, with operations for tests: register users, read e-mails, cause faults."""

    def __init__(self, system: ProcessShop, balancer: Balancer, management: Proxy) -> None:
        """`management`: the proxy between operations and the broker's management API."""
        self.system = system
        self.balancer = balancer
        self.management = management
        self.url = f"http://localhost:{balancer.port}"
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60, limits=_SHORT, verify=tls())

    @property
    def gateways(self) -> dict[int, int]:
        """The public port of each gateway, and its instance number."""
        public = self.system.endpoints.public
        return {_port(public["gateway"]): 1, _port(public["gateway.2"]): 2}

    async def register_user(self, name: str, *, staff: bool = False) -> Person:
        """Registers a user, and verifies the e-mail address with the link from the e-mail."""
        password = f"a long password of {uuid4().hex}"
        # long, so that every page with it shows whether it breaks such a word
        email = f"{name.split()[0].lower()}.{uuid4().hex}@example.org"
        account = {"email": email, "name": name, "password": password}
        response = await self.http.post("/api/v1/users", json=account, headers=random_client_address())
        assert response.status_code == 202, response.text
        token = (await self.link_for(email, "/proofs")).partition("token=")[2]
        proof = {"token": token, "password": password}
        proved = await self.http.post("/api/v1/proofs", json=proof, headers=random_client_address())
        assert proved.status_code == 201, proved.text
        person = Person(name, email, password, UUID(proved.json()["user_id"]))
        if staff:
            await self.make_staff(person)
        return person

    async def make_staff(self, person: Person) -> None:
        await self.system.send(OPERATOR, GrantRole(user_id=person.user_id, role=Role.STAFF))
        await until(lambda: self._is_staff(person), within_s=WAIT_S)

    async def _is_staff(self, person: Person) -> bool:
        return Role.STAFF in (await self.log_in(person))["roles"]

    async def log_in(self, person: Person) -> dict[str, Any]:
        """Logs in as an API client and returns the tokens."""
        credentials = {"email": person.email, "password": person.password}
        response = await self.http.post("/api/v1/sessions", json=credentials, headers=random_client_address())
        assert response.status_code == 201, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    async def program(self, person: Person) -> httpx.AsyncClient:
        """An API client with the user's access token."""
        bearer = {"Authorization": f"Bearer {(await self.log_in(person))['access_token']}"}
        return httpx.AsyncClient(base_url=self.url, headers=bearer, timeout=60, limits=_SHORT, verify=tls())

    async def order(
        self, program: httpx.AsyncClient, sku: str, quantity: int = 1, card: str = "tok_visa", **more: Any
    ) -> str:
        """Places an order as an API client and returns its id without waiting for the outcome.

        `more`: further fields of the request, such as another delivery address.
        """
        lines = [{"sku": sku, "quantity": quantity}]
        response = await program.post(
            "/api/v1/orders",
            json={"lines": lines, "card_token": card, "delivery_address": DELIVERY, **more},
            headers={"Idempotency-Key": uuid4().hex},
        )
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    async def cancel(self, program: httpx.AsyncClient, order_id: str) -> None:
        response = await program.post(
            f"/api/v1/orders/{order_id}/cancellation", headers={"Idempotency-Key": uuid4().hex}
        )
        assert response.status_code == 202, response.text

    async def state(self, program: httpx.AsyncClient, order_id: str) -> str:
        response = await program.get(f"/api/v1/orders/{order_id}")
        assert response.status_code == 200, response.text
        return str(response.json()["state"])

    async def wait_for_state(self, program: httpx.AsyncClient, order_id: str, *states: str) -> None:
        await until(lambda: self._is_in(program, order_id, states), within_s=WAIT_S)

    async def _is_in(self, program: httpx.AsyncClient, order_id: str, states: tuple[str, ...]) -> bool:
        return await self.state(program, order_id) in states

    async def link_for(self, email: str, path: str) -> str:
        """The link to this page, from the newest e-mail to the user that has one."""
        found: list[str] = []

        async def came() -> bool:
            found.extend(await self._links(email, path))
            return bool(found)

        await until(came, within_s=WAIT_S)
        return found[0]

    async def _links(self, email: str, path: str) -> list[str]:
        async with httpx.AsyncClient(
            base_url=self.system.endpoints.mailbox_url, timeout=60, verify=tls()
        ) as mailbox:
            mails = (await mailbox.get("/api/v1/messages", params={"limit": 200})).json()["messages"]
            mine = [mail["ID"] for mail in mails if any(to["Address"] == email for to in mail["To"])]
            texts = [(await mailbox.get(f"/api/v1/message/{mail_id}")).json()["Text"] for mail_id in mine]
        return [link for text in texts for link in _LINK.findall(text) if path in link]

    async def subjects(self, email: str) -> list[str]:
        """The subjects of the e-mails to the user, newest first."""
        async with httpx.AsyncClient(
            base_url=self.system.endpoints.mailbox_url, timeout=60, verify=tls()
        ) as mailbox:
            mails = (await mailbox.get("/api/v1/messages", params={"limit": 500})).json()["messages"]
        return [mail["Subject"] for mail in mails if any(to["Address"] == email for to in mail["To"])]

    async def offer(self, *listed: ListProduct, pieces: int) -> None:
        """Lists articles, and receives so many pieces of each. Returns when orders find price and stock."""
        received = [ReceiveStock(receipt_id=new_id(), sku=each.sku, quantity=pieces) for each in listed]
        await self.system.send(OPERATOR, *listed, *received)
        for each in listed:
            await self.order_svc_knows(each.sku, each.price)
            await until(partial(self._is_stocked, each.sku), within_s=WAIT_S)

    async def order_svc_knows(self, sku: str, price: Money) -> None:
        """Waits until an order placed now gets this price."""

        async def known() -> bool:
            response = await self._get("order_svc", f"/prices/{sku}")
            return response.is_success and Money.model_validate(response.json()["price"]) == price

        await until(known, within_s=WAIT_S)

    async def _is_stocked(self, sku: str) -> bool:
        response = await self._get("inventory_svc", f"/stock/{sku}")
        return response.is_success and response.json()["available"] > 0

    async def _get(self, service: str, path: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=60, verify=tls()) as http:
            return await http.get(f"{self.system.endpoints.http[service]}{path}")

    async def provider_is_away(self, away: bool) -> None:
        """Makes the payment provider unavailable for all cards, so that all orders wait for payment."""
        async with httpx.AsyncClient(timeout=60, verify=tls()) as http:
            url = f"{self.system.endpoints.http['payment_svc']}/provider/outage"
            (await http.request("PUT" if away else "DELETE", url)).raise_for_status()

    async def restart(self, name: str, **settings: str) -> None:
        await self.system.stop(name)
        self.system.start(name, 1, **settings)
        await self.system.ready([name])


@asynccontextmanager
async def run_browser_shop(
    infrastructure: Infrastructure, state_dir: Path, **settings: str
) -> AsyncIterator[BrowserShop]:
    """Runs the shop for the duration of the context, and removes all of its data from the infrastructure."""
    balancer, management = Balancer(), Proxy(infrastructure.management_url, 15672)
    await balancer.open()
    await management.come_back()
    url = f"http://localhost:{balancer.port}"
    usual = {
        "SHOP_URL": url,
        "PUBLIC_URL": url,
        "JOURNEY_ALLOW_FAULTS": "1",
        "INVENTORY_FAULT_SKU": BUGGY,
    } | LIMITS
    endpoints = urlsplit(infrastructure.management_url)
    credentials = endpoints.netloc.rpartition("@")[0]
    usual["RABBITMQ_MANAGEMENT_URL"] = endpoints._replace(
        netloc=f"{credentials}@127.0.0.1:{management.port}"
    ).geturl()
    async with fresh_system(infrastructure, state_dir, 0.003, usual | settings) as system:
        try:
            await system.up(_quiet, web=True)
            system.start("gateway", instance=2)
            await system.ready(["gateway.2"])
            await seed(system)
            opened = BrowserShop(system, balancer, management)
            balancer.ports += list(opened.gateways)
            async with opened.http:
                yield opened
        finally:
            await balancer.close()
            await management.leave()


def random_client_address() -> dict[str, str]:
    """An X-Forwarded-For header with a random address, so that the client shares no rate limit."""
    return {"X-Forwarded-For": ".".join(str(random.randint(1, 254)) for _ in range(4))}


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _quiet(text: str) -> None:
    """Discards the output of the launcher."""
