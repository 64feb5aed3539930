"""Following an order by server-sent events: nothing missed, nothing twice, whichever instance answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.memory import MemoryBus
from contracts.envelope import seal
from contracts.identity import new_id
from contracts.message import Event
from contracts.roles import Role
from gateway.stream import Pace
from tests.gateway.endings import ORDER, SEND, WAYS
from tests.gateway.house import GatewayHouse, running
from tests.gateway.written import Listening, journey, known, write
from tests.until import until

PATIENCE_S = 30.0
QUICK = Pace(tick_s=0.02, ping_s=0.1, check_s=0.1, life_s=600)
EVENTS = f"/api/v1/orders/{ORDER}/events"


@dataclass(frozen=True)
class Message:
    event: str
    data: str
    id: str


async def messages(answer: httpx.Response) -> AsyncIterator[Message]:
    """As a browser reads them (WHATWG HTML, section 9.2.6). A comment comes as an event of that name."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
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


def opened(**shared: Any) -> GatewayHouse:
    gateway = GatewayHouse(**shared)
    gateway.house.live.pace = QUICK
    return gateway


@pytest.fixture
async def gateway() -> AsyncIterator[GatewayHouse]:
    async with running(opened()) as house:
        yield house


@asynccontextmanager
async def following(
    server: Listening, program: httpx.AsyncClient, path: str = EVENTS, **headers: str
) -> AsyncIterator[AsyncIterator[Message]]:
    """With a real connection: a stream in memory would be read to its end before anybody sees it."""
    async with (
        asyncio.timeout(PATIENCE_S),
        httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S, headers=program.headers) as client,
        client.stream("GET", path, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield messages(answer)


def session(browser: httpx.AsyncClient) -> dict[str, str]:
    """The cookies of a browser for a connection that is not over TLS, where it would keep them to itself."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}


def seqs(heard: list[Message]) -> list[int]:
    return [int(message.id) for message in heard if message.event == "message"]


async def heard_until(stream: AsyncIterator[Message], event: str) -> list[Message]:
    heard = []
    async for message in stream:
        heard.append(message)
        if message.event == event:
            return heard
    raise AssertionError(f"the stream ended without {event!r}: {heard}")


async def news(count: int, stream: AsyncIterator[Message]) -> list[int]:
    """The ids of the first news, whatever is said beside them."""
    seen: list[int] = []
    while len(seen) < count:
        seen += seqs([await anext(stream)])
    return seen


async def test_all_news_comes_once_and_in_order_and_then_the_stream_ends(gateway: GatewayHouse) -> None:
    told = await known(gateway, WAYS["refunded"])
    answer = await gateway.program().get(EVENTS)
    heard = [message async for message in messages(answer)]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "retry: 2000" in answer.text
    assert seqs(heard) == list(range(1, told.seq + 1))
    assert heard[-1].event == "end"
    assert json.loads(heard[0].data)["sentence"] == "We received your order."


async def test_whoever_has_seen_all_of_a_finished_order_need_not_come_back(gateway: GatewayHouse) -> None:
    told = await known(gateway, WAYS["refunded"])
    program = gateway.program()
    assert (await program.get(EVENTS, params={"after": told.seq})).status_code == 204
    assert (await program.get(EVENTS, headers={"Last-Event-ID": str(told.seq)})).status_code == 204


async def test_a_reader_goes_on_where_it_was(gateway: GatewayHouse) -> None:
    told = await known(gateway, WAYS["refunded"])
    answer = await gateway.program().get(EVENTS, params={"after": "1"}, headers={"Last-Event-ID": str(told.seq - 2)})
    heard = [message async for message in messages(answer)]
    assert seqs(heard) == [told.seq - 1, told.seq], "the header knows more than the address"


@pytest.mark.parametrize("strange", ["99", "yesterday", "-1", "9" * 400, "٣"])
async def test_an_id_that_is_none_of_ours_begins_anew(gateway: GatewayHouse, strange: str) -> None:
    told = await known(gateway, WAYS["refunded"])
    answer = await gateway.program().get(EVENTS, params={"after": strange})
    heard = [message async for message in messages(answer)]
    assert [message.event for message in heard] == ["reset", "end"]
    assert heard[0].id == str(told.seq)
    assert len(json.loads(heard[0].data)["news"]) == told.seq


async def test_news_comes_as_it_happens(gateway: GatewayHouse) -> None:
    await known(gateway, WAYS["paying"])
    async with Listening(gateway.app) as server, following(server, gateway.program()) as stream:
        assert await news(3, stream) == [1, 2, 3]
        await known(gateway, WAYS["confirmed and mailed"])
        assert seqs(await heard_until(stream, "end")) == [4, 5, 6, 7, 8]


async def test_a_silent_stream_pings(gateway: GatewayHouse) -> None:
    await known(gateway, WAYS["paying"])
    async with Listening(gateway.app) as server, following(server, gateway.program()) as stream:
        await heard_until(stream, "comment")


async def test_a_reader_of_a_killed_instance_goes_on_at_another_and_misses_nothing() -> None:
    """Two instances hear what is told together; one of them dies while it is read."""
    first = opened()
    second = opened(broker=first.broker, store=first.store, users=first.users)
    told: list[Event] = [word for word in WAYS["refunded"] if isinstance(word, Event)]
    await write(first.store, ORDER, journey(first, (SEND,)))
    second.now = first.now
    async with running(second):
        await first.runtime.start()
        seen: list[int] = []
        async with Listening(first.app) as dying:
            async with following(dying, first.program()) as stream:
                await tell(first, told[:4])
                seen += await news(3, stream)
            await first.runtime.kill()
        await tell(first, told[4:])
        async with (
            Listening(second.app) as server,
            following(server, first.program(), **{"Last-Event-ID": str(seen[-1])}) as stream,
        ):
            seen += seqs(await heard_until(stream, "end"))
    assert seen == list(range(1, len(told) + 1))


async def tell(gateway: GatewayHouse, events: list[Event]) -> None:
    """The owners of the events say them, of an order of Ada's."""
    whose = {"customer_id": gateway.user_id()}
    for event in events:
        said = event.model_copy(update=whose) if "customer_id" in type(event).model_fields else event
        envelope = seal(said, id=str(new_id()), source=event.OWNER, now=gateway.now)
        [error] = await MemoryBus(gateway.broker, event.OWNER).publish([envelope.parcel()])
        assert error is None


async def test_streams_end_at_once_when_the_instance_stops(gateway: GatewayHouse) -> None:
    await known(gateway, WAYS["paying"])
    gateway.house.live.pace = Pace(tick_s=PATIENCE_S * 2)  # so that nothing else wakes it
    async with Listening(gateway.app) as server, following(server, gateway.program()) as stream:
        await anext(stream)
        gateway.house.stopping.set()
        assert (await heard_until(stream, "farewell"))[-1].data == "come back"


async def test_a_stream_does_not_live_for_ever(gateway: GatewayHouse) -> None:
    await known(gateway, WAYS["paying"])
    gateway.house.live.pace = replace(QUICK, life_s=0.1)
    answer = await gateway.program().get(EVENTS)
    assert [message.data async for message in messages(answer)][-1] == "come back"


async def test_the_stream_of_a_session_ends_with_it(gateway: GatewayHouse) -> None:
    await known(gateway, WAYS["paying"])
    browser = await gateway.logged_in()
    async with Listening(gateway.app) as server, following(server, gateway.client(), **session(browser)) as stream:
        await anext(stream)
        assert (await browser.post("/logout")).status_code == 303
        assert (await heard_until(stream, "farewell"))[-1].data == "log in"


async def test_a_database_that_is_away_for_a_while_loses_nothing_and_logs_nobody_out(gateway: GatewayHouse) -> None:
    await known(gateway, WAYS["paying"])
    cookies = session(await gateway.logged_in())
    async with Listening(gateway.app) as server, following(server, gateway.client(), **cookies) as stream:
        await heard_until(stream, "comment")
        gateway.store.away = True
        await asyncio.sleep(0.6)
        gateway.store.away = False
        await known(gateway, WAYS["confirmed and mailed"])
        assert seqs(await heard_until(stream, "end")) == [4, 5, 6, 7, 8]


async def test_nobody_follows_an_order_of_somebody_else(gateway: GatewayHouse) -> None:
    await known(gateway, WAYS["refunded"])
    assert (await gateway.program("eve@example.org").get(EVENTS)).status_code == 404
    assert (await gateway.program("eve@example.org").get(f"/api/v1/orders/{UUID(int=7)}/events")).status_code == 404
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
async def test_a_stream_comes_only_to_who_takes_one(gateway: GatewayHouse, accept: str, status: int) -> None:
    await known(gateway, WAYS["refunded"])
    assert (await gateway.program().get(EVENTS, headers={"Accept": accept})).status_code == status


async def test_a_user_has_six_streams_and_the_seventh_is_told_to_wait(gateway: GatewayHouse) -> None:
    await known(gateway, WAYS["paying"])
    program = gateway.program()
    leave = [gateway.house.live.seats.take(gateway.user_id(), 6) for _ in range(6)]
    refused = await program.get(EVENTS)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    leave[0]()
    async with Listening(gateway.app) as server:
        async with following(server, program) as stream:
            await anext(stream)
        seats = gateway.house.live.seats
        await until(
            lambda: seats.taken(gateway.user_id()) <= 5, within_s=PATIENCE_S
        )  # who hangs up gives the seat back
