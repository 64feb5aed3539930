"""The whole shop in one process, in memory, on real ports: every service, the gateway, and a mailbox.

`python -m tests.support.shops.in_memory` keeps it running for manual use.
"""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.products import ListProduct
from gateway.settings import GatewaySettings
from journey.devenv import demo_users
from journey.devenv.infra import ports
from journey.devenv.infra.fake_smtp.server import LOOPBACK, Receiver, listen_smtp
from journey.devenv.infra.fake_smtp.store import Faults, Mailbox
from journey.devenv.infra.model import MEMORY_URL, Infrastructure
from journey.devenv.memory_shop import MemoryShop
from journey.devenv.shop import seed

_LINK = re.compile(r"https?://[^\s\"<>]+")


class InMemoryShop(MemoryShop):
    """A MemoryShop on free ports, without rate limits."""

    def __init__(self, infrastructure: Infrastructure, deadline_s: float | None) -> None:
        super().__init__(infrastructure, deadline_s, own_ports=True)
        self.mailbox = Mailbox(None)
        self.mail_faults = Faults()
        self.people: demo_users.DemoUsers

    @property
    def url(self) -> str:
        return self.endpoints.shop_url

    def links(self, email: str) -> list[str]:
        """The links in the e-mails to an address, newest first."""
        mails = [mail for mail in self.mailbox.newest(0, 1000) if email in mail.sent_to]
        return [
            link for mail in mails for link in _LINK.findall(mail.body("plain")) if link.startswith(self.url)
        ]

    async def list(self, product: ListProduct) -> None:
        await self.send("operator", product)

    def _gateway_settings(self) -> GatewaySettings:
        hurried = {"rate_user": 100_000, "rate_anonymous": 100_000, "rate_orders": 100_000}
        patient = {"upstream_s_max": 10, "publish_s_max": 10, "request_s_max": 60}
        return super()._gateway_settings().model_copy(update=hurried | patient)


@asynccontextmanager
async def run_in_memory_shop(deadline_s: float | None = None) -> AsyncIterator[InMemoryShop]:
    [smtp_port] = ports.free_ports(1)
    found = Infrastructure(
        "memory", MEMORY_URL, MEMORY_URL, MEMORY_URL, f"smtp://{LOOPBACK}:{smtp_port}", "", "memory"
    )
    shop = InMemoryShop(found, deadline_s)
    smtp = await listen_smtp(Receiver(shop.mailbox, shop.mail_faults), smtp_port)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(smtp.close)
        await shop.up(lambda emitted: None)
        stack.push_async_callback(shop.down, lambda emitted: None)
        await seed(shop)
        shop.people = await demo_users.ensure(shop)
        yield shop


async def main() -> None:
    async with run_in_memory_shop() as shop:
        print(shop.url)
        for person in (shop.people.customer, shop.people.staff):
            print(f"{person.email}  {person.password}")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
