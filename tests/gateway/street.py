"""The whole shop in one process, in memory, behind real ports: every service, the door, and a mailbox.

`python -m tests.gateway.street` keeps it open to look around in.
"""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from contracts.products import ListProduct
from gateway.settings import GatewaySettings
from journey import accounts, addresses
from journey.infra import ports
from journey.infra.mailbox import LOOPBACK, Receiver, listen_smtp
from journey.infra.mails import Faults, Mailbox
from journey.infra.model import MEMORY_URL, Infrastructure
from journey.memory_shop import MemoryShop
from journey.shop import seed

_LINK = re.compile(r"https?://[^\s\"<>]+")


class Street(MemoryShop):
    """A MemoryShop on free ports, for visitors in a hurry."""

    def __init__(self, infrastructure: Infrastructure, deadline_s: float | None) -> None:
        super().__init__(infrastructure, deadline_s)
        http, public = addresses.of_all(usual=False)
        self.place = replace(self.place, http={name: http[name] for name in self.place.http}, public=public)
        self.mailbox = Mailbox(None)
        self.people: accounts.People

    @property
    def url(self) -> str:
        return self.place.shop_url

    def links(self, email: str) -> list[str]:
        """What can be followed in the mails to somebody, the newest first."""
        mails = [mail for mail in self.mailbox.newest(0, 1000) if email in mail.sent_to]
        return [link for mail in mails for link in _LINK.findall(mail.body("plain")) if link.startswith(self.url)]

    async def list(self, product: ListProduct) -> None:
        await self.send("operator", product)

    def _door(self) -> GatewaySettings:
        hurried = {"rate_user": 100_000, "rate_anonymous": 100_000, "rate_orders": 100_000}
        patient = {"upstream_s_max": 10, "publish_s_max": 10, "request_s_max": 60}
        return super()._door().model_copy(update=hurried | patient)


@asynccontextmanager
async def open_street(deadline_s: float | None = None) -> AsyncIterator[Street]:
    [smtp_port] = ports.free_ports(1)
    found = Infrastructure("memory", MEMORY_URL, MEMORY_URL, MEMORY_URL, f"smtp://{LOOPBACK}:{smtp_port}", "", "memory")
    street = Street(found, deadline_s)
    smtp = await listen_smtp(Receiver(street.mailbox, Faults()), smtp_port)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(smtp.close)
        await street.up(lambda said: None)
        stack.push_async_callback(street.down, lambda said: None)
        await seed(street)
        street.people = await accounts.ensure(street)
        yield street


async def main() -> None:
    async with open_street() as street:
        print(street.url)
        for person in (street.people.customer, street.people.staff):
            print(f"{person.email}  {person.password}")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
