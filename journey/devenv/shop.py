"""What the demo, the doctor and the tests need of a running shop, however it runs."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol
from uuid import UUID

import httpx

from contracts.envelope import OPERATOR
from contracts.identity import derived_id, new_id
from contracts.inventory import ReceiveStock
from contracts.message import Command
from contracts.notifications import MailKind
from contracts.products import ListProduct
from contracts.values import Money
from journey.admin.endpoints import ShopEndpoints
from journey.admin.errors import problem_in
from journey.admin.instances import answering
from journey.admin.ssl_context import tls
from journey.devenv.catalogue import CATALOGUE
from journey.infra.model import InfrastructureUnavailable

_MAILS_ON_A_PAGE = 500


class Shop(Protocol):
    """A running shop: commands go in by the broker, everything else is looked up over HTTP."""

    @property
    def endpoints(self) -> ShopEndpoints: ...
    def start(self, name: str) -> None: ...
    async def ready(self, names: list[str]) -> None: ...
    async def stop(self, name: str) -> None: ...
    async def send(self, user: str, *commands: Command) -> None: ...

    async def dead(self) -> dict[str, int]:
        """How many dead letters each service has."""
        ...


async def seed(shop: Shop) -> None:
    """List the catalogue and fill the shelves; again, it changes nothing. Returns when both are known everywhere."""
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
            receipt_id=UUID(derived_id("seed", article.sku, article.pieces)), sku=article.sku, quantity=article.pieces
        )
        for article in CATALOGUE
        if article.pieces
    ]
    await shop.send(OPERATOR, *listed, *received)
    async with httpx.AsyncClient(timeout=20, verify=tls()) as http:
        asked = await answering(http, shop.endpoints.http)
        for product in listed:  # one by one: when the last is known, so are the others, and few questions are asked
            await _known(http, f"{asked['order_svc']}/prices/{product.sku}")
        for receipt in received:
            await _known(http, f"{asked['inventory_svc']}/stock/{receipt.sku}")


async def register(shop: Shop, names: Iterable[str]) -> list[UUID]:
    """Customers with an account, so that there is somebody to write to."""
    customers = []
    async with httpx.AsyncClient(timeout=10, verify=tls()) as http:
        asked = await answering(http, shop.endpoints.http)
        for name in names:
            user_id = new_id()
            account = {
                "user_id": str(user_id),
                "email": f"{name.lower()}.{user_id.hex[-6:]}@example.org",
                "name": name,
                "password": f"a-long-password-{user_id.hex}",
            }
            answer = await http.post(f"{asked['user_svc']}/users", json=account)
            answer.raise_for_status()
            customers.append(user_id)
    return customers


async def copies_in_mailbox(shop: Shop, kind: MailKind = MailKind.ORDER_CONFIRMED) -> Callable[[UUID], int]:
    """How many copies of the mail about something lie in the mailbox now; a mail is known by its Message-ID."""
    async with httpx.AsyncClient(base_url=shop.endpoints.mailbox_url, timeout=30, verify=tls()) as http:
        found = Counter(await _message_ids(http))
    return lambda about: found[derived_id("mail", about, kind)]


async def _message_ids(http: httpx.AsyncClient) -> list[str]:
    """Of all mails. The newest come first, so one that arrives meanwhile moves the others on to pages to come."""
    found: dict[str, str] = {}
    while True:
        answer = await http.get("/api/v1/messages", params={"start": len(found), "limit": _MAILS_ON_A_PAGE})
        page = {each["ID"]: each["MessageID"] for each in answer.raise_for_status().json()["messages"]}
        if page.keys() <= found.keys():
            return [message_id.strip("<>").partition("@")[0] for message_id in found.values()]
        found |= page


async def _known(http: httpx.AsyncClient, url: str, wait_s: float = 20.0) -> None:
    end = asyncio.get_running_loop().time() + wait_s
    while (answer := await http.get(url)).status_code != 200:
        if asyncio.get_running_loop().time() > end:
            raise InfrastructureUnavailable(
                f"{url} was not known within {wait_s:.0f} s; its service answers {answer.status_code}:"
                f" {problem_in(answer)}",
                "see the log of that service, and `journey dlq list`",
            )
        await asyncio.sleep(0.1)
