"""The interface of a running shop, however it runs, for the demo, the doctor and the tests."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol
from uuid import UUID

import httpx

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import derived_id, new_id
from chassis.messaging.message import Command
from contracts.inventory import ReceiveStock
from contracts.notifications import MailKind
from contracts.products import ListProduct
from contracts.values import Money
from journey.admin.endpoints import ShopEndpoints
from journey.admin.errors import problem_in
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.instances import responding
from journey.admin.ssl_context import tls
from journey.devenv.catalogue import CATALOGUE

_MAILS_ON_A_PAGE = 500


class Shop(Protocol):
    """A running shop: commands are sent over the broker, everything else is read over HTTP."""

    @property
    def endpoints(self) -> ShopEndpoints: ...
    def start(self, name: str) -> None: ...
    async def ready(self, names: list[str]) -> None: ...
    async def stop(self, name: str) -> None: ...
    async def send(self, user: str, *commands: Command) -> None: ...

    async def dead(self) -> dict[str, int]:
        """Number of dead letters of each service."""
        ...


async def seed(shop: Shop) -> None:
    """Seed catalogue and stock; running it again changes nothing.

    Returns when the services have handled it.
    """
    listed = [
        ListProduct(
            sku=article.sku,
            title=article.title,
            description=article.description,
            category=article.category,
            price=Money(amount_minor=article.cents, currency="EUR"),
        )
        for article in CATALOGUE
    ]
    received = [
        ReceiveStock(
            receipt_id=UUID(derived_id("seed", article.sku, article.pieces)),
            sku=article.sku,
            quantity=article.pieces,
        )
        for article in CATALOGUE
        if article.pieces
    ]
    await shop.send(OPERATOR, *listed, *received)
    async with httpx.AsyncClient(timeout=20, verify=tls()) as http:
        asked = await responding(http, shop.endpoints.http)
        for product in listed:  # one by one, to keep the number of requests low
            await _known(http, f"{asked['order_svc']}/prices/{product.sku}")
        for receipt in received:
            await _known(http, f"{asked['inventory_svc']}/stock/{receipt.sku}")


async def register(shop: Shop, names: Iterable[str]) -> list[UUID]:
    """Register customers with an account, so that mails about their orders have a recipient."""
    customers = []
    async with httpx.AsyncClient(timeout=10, verify=tls()) as http:
        asked = await responding(http, shop.endpoints.http)
        for name in names:
            user_id = new_id()
            account = {
                "user_id": str(user_id),
                "email": f"{name.lower()}.{user_id.hex[-6:]}@example.org",
                "name": name,
                "password": f"a-long-password-{user_id.hex}",
            }
            response = await http.post(f"{asked['user_svc']}/users", json=account)
            response.raise_for_status()
            customers.append(user_id)
    return customers


async def copies_in_mailbox(shop: Shop, kind: MailKind = MailKind.ORDER_CONFIRMED) -> Callable[[UUID], int]:
    """A function of an order id: the number of copies of its mail in the mailbox, by Message-ID."""
    found = await message_ids(shop)
    return lambda about: found[derived_id("mail", about, kind)]


async def message_ids(shop: Shop) -> Counter[str]:
    """The Message-IDs in the mailbox, without the domain: how many copies of each mail there are."""
    async with httpx.AsyncClient(base_url=shop.endpoints.mailbox_url, timeout=30, verify=tls()) as http:
        return Counter(await _message_ids(http))


async def _message_ids(http: httpx.AsyncClient) -> list[str]:
    """Of all mails. The newest come first: mails that arrive while paging shift the others to later pages."""
    found: dict[str, str] = {}
    while True:
        response = await http.get("/api/v1/messages", params={"start": len(found), "limit": _MAILS_ON_A_PAGE})
        page = {each["ID"]: each["MessageID"] for each in response.raise_for_status().json()["messages"]}
        if page.keys() <= found.keys():
            return [message_id.strip("<>").partition("@")[0] for message_id in found.values()]
        found |= page


async def _known(http: httpx.AsyncClient, url: str, wait_s: float = 20.0) -> None:
    end = asyncio.get_running_loop().time() + wait_s
    while (response := await http.get(url)).status_code != 200:
        if asyncio.get_running_loop().time() > end:
            raise InfrastructureUnavailable(
                f"{url} was not found within {wait_s:.0f} s; its service responds with "
                f"{response.status_code}: {problem_in(response)}",
                "check the log of that service, and `journey dlq list`",
            )
        await asyncio.sleep(0.1)
