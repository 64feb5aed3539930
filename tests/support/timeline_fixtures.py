"""Timelines in a gateway's database, as if it had handled the events."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import uvicorn

from chassis.store.protocol import Change, Store
from gateway.orders.aggregates import TIMELINES
from gateway.orders.timeline import OrderTimeline
from tests.support.order_outcomes import ORDER, History, replay
from tests.support.shops.gateway import GatewayFixture


async def save_timeline(store: Store, order_id: UUID, played_timeline: OrderTimeline) -> None:
    key = str(order_id)
    loaded = (await store.load(TIMELINES.kind, [key]))[key]
    assert await store.save([Change(loaded, TIMELINES.codec.dump(played_timeline))])


def played_timeline(gateway: GatewayFixture, history: History) -> OrderTimeline:
    """A timeline of an order of Ada, at the gateway's current time."""
    played, gateway.now = replay(*history)
    return replace(played, customer_id=gateway.user_id())


async def store_timeline(gateway: GatewayFixture, history: History, order_id: UUID = ORDER) -> OrderTimeline:
    written = played_timeline(gateway, history)
    await save_timeline(gateway.store, order_id, written)
    return written


class ListeningServer(uvicorn.Server):
    """Serves an app on a free local port, for clients that need a real connection. The context sets `url`."""

    def __init__(self, app: Any) -> None:
        quiet: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off"}
        super().__init__(uvicorn.Config(app, port=0, timeout_graceful_shutdown=3, **quiet))
        self.task: asyncio.Task[None] | None = None
        self.url = ""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def __aenter__(self) -> "ListeningServer":
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
