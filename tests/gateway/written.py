"""Journeys in a gateway's database, as if it had heard all of it."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import uvicorn

from chassis.store import Change, Store
from gateway.journey import Journey
from gateway.service import JOURNEYS
from tests.gateway.endings import ORDER, Words, play
from tests.gateway.house import GatewayHouse


async def write(store: Store, order_id: UUID, journey: Journey) -> None:
    key = str(order_id)
    loaded = (await store.load(JOURNEYS.kind, [key]))[key]
    assert await store.save([Change(loaded, JOURNEYS.codec.dump(journey))])


def journey(gateway: GatewayHouse, words: Words) -> Journey:
    """Of Ada's, and heard just now as far as this gateway's clock knows."""
    played, gateway.now = play(*words)
    return replace(played, customer_id=gateway.user_id())


async def known(gateway: GatewayHouse, words: Words, order_id: UUID = ORDER) -> Journey:
    written = journey(gateway, words)
    await write(gateway.store, order_id, written)
    return written


class Listening(uvicorn.Server):
    """An app on a free port of this machine, for clients that want a real connection: await it, then read `url`."""

    def __init__(self, app: Any) -> None:
        quiet: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off"}
        super().__init__(uvicorn.Config(app, port=0, timeout_graceful_shutdown=3, **quiet))
        self.task: asyncio.Task[None] | None = None
        self.url = ""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def __aenter__(self) -> "Listening":
        self.task = asyncio.create_task(self.serve())
        while not self.started and not self.task.done():
            await asyncio.sleep(0.01)
        port = self.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.should_exit = True
        assert self.task is not None
        await self.task
