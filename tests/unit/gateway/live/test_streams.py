"""Live updates by server-sent events: no entry is missed or repeated,
whichever instance serves the stream.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.bus.memory import MemoryBus
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Event
from contracts.catalog import CATALOG
from contracts.roles import Role
from gateway.live.sse import StreamTimings
from tests.support.eventually import until
from tests.support.order_outcomes import ORDER, OUTCOMES, SUBMIT
from tests.support.shops.gateway import GatewayFixture, running
from tests.support.timeline_fixtures import ListeningServer, played_timeline, save_timeline, store_timeline

WAIT_S_MAX = 30.0
QUICK = StreamTimings(tick_s=0.02, ping_s=0.1, check_s=0.1, life_s=600)
EVENTS = f"/api/v1/orders/{ORDER}/events"


@dataclass(frozen=True)
class Message:
    event: str
    data: str
    id: str


async def messages(response: httpx.Response) -> AsyncIterator[Message]:
    """Parses a stream like a browser (WHATWG HTML, section 9.2.6). Comments become events named "comment"."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(":")
        if line:
            fields[name] = "\n".join(filter(None, (fields.get(name), value.removeprefix(" "))))
        elif "data" in fields:
            yield Message(fields.get("event", "message"), fields["data"], fields.get("id", ""))
            fields = {}
        else:
            if "" in fields:
                yield Message("comment", fields[""], "")
            fields = {}


def opened(**shared: Any) -> GatewayFixture:
    gateway = GatewayFixture(**shared)
    gateway.deps.live.timings = QUICK
    return gateway


@pytest.fixture
async def gateway() -> AsyncIterator[GatewayFixture]:
    async with running(opened()) as gateway:
        yield gateway


@asynccontextmanager
async def following(
    server: ListeningServer, program: httpx.AsyncClient, path: str = EVENTS, **headers: str
) -> AsyncIterator[AsyncIterator[Message]]:
    """Opens a stream on a real connection:
    httpx's ASGI transport reads a stream to its end before it returns.
    """
    async with (
        asyncio.timeout(WAIT_S_MAX),
        httpx.AsyncClient(base_url=server.url, timeout=WAIT_S_MAX, headers=program.headers) as client,
        client.stream("GET", path, headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield messages(response)


def session(browser: httpx.AsyncClient) -> dict[str, str]:
    """The browser's cookies as a header, because a client does not send `__Host-` cookies without TLS."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}


def seqs(received: list[Message]) -> list[int]:
    return [int(message.id) for message in received if message.event == "message"]


async def received_until(stream: AsyncIterator[Message], event: str) -> list[Message]:
    received = []
    async for message in stream:
        received.append(message)
        if message.event == event:
            return received
    raise AssertionError(f"the stream ended without {event!r}: {received}")


async def news(count: int, stream: AsyncIterator[Message]) -> list[int]:
    """The ids of the first `count` message events. Skips other events."""
    seen: list[int] = []
    while len(seen) < count:
        seen += seqs([await anext(stream)])
    return seen


async def test_all_events_arrive_once_in_order_and_the_stream_ends(gateway: GatewayFixture) -> None:
    entry = await store_timeline(gateway, OUTCOMES["refunded"])
    response = await gateway.program().get(EVENTS)
    received = [message async for message in messages(response)]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "retry: 2000" in response.text
    assert seqs(received) == list(range(1, entry.seq + 1))
    assert received[-1].event == "end"
    assert json.loads(received[0].data)["sentence"] == "We received your order."


async def test_a_complete_reader_of_a_finished_order_gets_204(gateway: GatewayFixture) -> None:
    entry = await store_timeline(gateway, OUTCOMES["refunded"])
    program = gateway.program()
    assert (await program.get(EVENTS, params={"after": entry.seq})).status_code == 204
    assert (await program.get(EVENTS, headers={"Last-Event-ID": str(entry.seq)})).status_code == 204


async def test_a_reader_resumes_after_its_last_event(gateway: GatewayFixture) -> None:
    entry = await store_timeline(gateway, OUTCOMES["refunded"])
    response = await gateway.program().get(
        EVENTS, params={"after": "1"}, headers={"Last-Event-ID": str(entry.seq - 2)}
    )
    received = [message async for message in messages(response)]
    assert seqs(received) == [entry.seq - 1, entry.seq], "the header is newer than the query"


@pytest.mark.parametrize("strange", ["99", "yesterday", "-1", "9" * 400, "٣"])
async def test_an_unknown_last_event_id_restarts_the_stream(gateway: GatewayFixture, strange: str) -> None:
    entry = await store_timeline(gateway, OUTCOMES["refunded"])
    response = await gateway.program().get(EVENTS, params={"after": strange})
    received = [message async for message in messages(response)]
    assert [message.event for message in received] == ["reset", "end"]
    assert received[0].id == str(entry.seq)
    assert len(json.loads(received[0].data)["news"]) == entry.seq


async def test_events_arrive_as_they_happen(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    async with ListeningServer(gateway.app) as server, following(server, gateway.program()) as stream:
        assert await news(3, stream) == [1, 2, 3]
        await store_timeline(gateway, OUTCOMES["confirmed and mailed"])
        assert seqs(await received_until(stream, "end")) == [4, 5, 6, 7, 8]


async def test_a_silent_stream_pings(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    async with ListeningServer(gateway.app) as server, following(server, gateway.program()) as stream:
        await received_until(stream, "comment")


async def test_a_reader_resumes_at_another_instance_without_loss() -> None:
    """Two instances share the consumption of events. One crashes while the reader has a stream to it."""
    first = opened()
    second = opened(broker=first.broker, store=first.store, users=first.users)
    entry: list[Event] = [event for event in OUTCOMES["refunded"] if isinstance(event, Event)]
    await save_timeline(first.store, ORDER, played_timeline(first, (SUBMIT,)))
    second.now = first.now
    async with running(second):
        await first.runtime.start()
        seen: list[int] = []
        async with ListeningServer(first.app) as dying:
            async with following(dying, first.program()) as stream:
                await publish(first, entry[:4])
                seen += await news(3, stream)
            await first.runtime.kill()
        await publish(first, entry[4:])
        async with (
            ListeningServer(second.app) as server,
            following(server, first.program(), **{"Last-Event-ID": str(seen[-1])}) as stream,
        ):
            seen += seqs(await received_until(stream, "end"))
    assert seen == list(range(1, len(entry) + 1))


async def publish(gateway: GatewayFixture, events: list[Event]) -> None:
    """Publishes the events as their owners, for an order of Ada."""
    whose = {"customer_id": gateway.user_id()}
    for event in events:
        expected = event.model_copy(update=whose) if "customer_id" in type(event).model_fields else event
        envelope = wrap(expected, id=str(new_id()), source=event.OWNER, now=gateway.now)
        [error] = await MemoryBus(gateway.broker, event.OWNER).publish([envelope.wire_message(CATALOG)])
        assert error is None


async def test_streams_end_at_once_when_the_instance_stops(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    gateway.deps.live.timings = StreamTimings(tick_s=WAIT_S_MAX * 2)  # so that no tick ends the wait
    async with ListeningServer(gateway.app) as server, following(server, gateway.program()) as stream:
        await anext(stream)
        gateway.deps.stopping.set()
        assert (await received_until(stream, "farewell"))[-1].data == "come back"


async def test_a_stream_has_a_maximum_duration(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    gateway.deps.live.timings = replace(QUICK, life_s=0.1)
    response = await gateway.program().get(EVENTS)
    assert [message.data async for message in messages(response)][-1] == "come back"


async def test_the_stream_of_a_session_ends_with_it(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    browser = await gateway.logged_in()
    async with (
        ListeningServer(gateway.app) as server,
        following(server, gateway.client(), **session(browser)) as stream,
    ):
        await anext(stream)
        assert (await browser.post("/logout")).status_code == 303
        assert (await received_until(stream, "farewell"))[-1].data == "log in"


async def test_a_database_outage_loses_no_event_and_no_session(
    gateway: GatewayFixture,
) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    cookies = session(await gateway.logged_in())
    async with (
        ListeningServer(gateway.app) as server,
        following(server, gateway.client(), **cookies) as stream,
    ):
        await received_until(stream, "comment")
        gateway.store.away = True
        await asyncio.sleep(0.6)
        gateway.store.away = False
        await store_timeline(gateway, OUTCOMES["confirmed and mailed"])
        assert seqs(await received_until(stream, "end")) == [4, 5, 6, 7, 8]


async def test_foreign_orders_cannot_be_followed(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["refunded"])
    assert (await gateway.program("eve@example.org").get(EVENTS)).status_code == 404
    assert (
        await gateway.program("eve@example.org").get(f"/api/v1/orders/{UUID(int=7)}/events")
    ).status_code == 404
    assert (await gateway.client().get(EVENTS)).status_code == 401
    assert (await gateway.program("boss@example.org", Role.STAFF).get(EVENTS)).status_code == 200


@pytest.mark.parametrize(
    "accept, status",
    [
        ("text/event-stream", 200),
        ("text/*;q=0.5", 200),
        ("*/*", 200),
        ("application/json", 406),
        ("text/event-stream;q=0", 406),
    ],
)
async def test_a_stream_requires_the_accept_header(gateway: GatewayFixture, accept: str, status: int) -> None:
    await store_timeline(gateway, OUTCOMES["refunded"])
    assert (await gateway.program().get(EVENTS, headers={"Accept": accept})).status_code == status


async def test_a_seventh_stream_of_a_user_is_rejected(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    program = gateway.program()
    release = [gateway.deps.live.quota.acquire(gateway.user_id(), 6) for _ in range(6)]
    refused = await program.get(EVENTS)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    release[0]()
    async with ListeningServer(gateway.app) as server:
        async with following(server, program) as stream:
            await anext(stream)
        quota = gateway.deps.live.quota
        await until(
            lambda: quota.open_streams(gateway.user_id()) <= 5, within_s=WAIT_S_MAX
        )  # a disconnect releases the slot
