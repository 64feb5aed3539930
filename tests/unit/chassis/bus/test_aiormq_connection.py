"""Every kind of broker failure becomes BusUnavailable, whatever aiormq raises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiormq.exceptions import AMQPConnectionError, ChannelInvalidStateError, ChannelNotFoundEntity
from pamqp.commands import Connection as Commands
from pamqp.frame import marshal
from pamqp.heartbeat import Heartbeat

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.aiormq_frames.transport import TapReader
from chassis.bus.protocol import BusUnavailable


async def test_a_broker_that_disconnects_during_the_handshake_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def connect_and_look_late(*args: Any, **how: Any) -> Any:
        pair = await connect(*args, **how)
        await asyncio.sleep(0.05)
        return pair

    monkeypatch.setattr(loop, "create_connection", connect_and_look_late)
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = aiormq_connection.Connection(
            f"amqp://nobody:nothing@127.0.0.1:{port}/", "publish", heartbeat_s=20
        )
        with pytest.raises(BusUnavailable):
            async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
                await connection.open()


@asynccontextmanager
async def broker_that_leaves() -> AsyncIterator[aiormq_connection.Connection]:
    """A connection to a broker that lets it in, and hangs up with a heartbeat when it opens a channel."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def frames(count: int) -> None:
            for _ in range(count):
                head = await reader.readexactly(7)
                await reader.readexactly(int.from_bytes(head[3:], "big") + 1)

        await reader.readexactly(len(b"AMQP0091"))
        able: dict[str, Any] = {"capabilities": {"publisher_confirms": True}}
        writer.write(marshal(Commands.Start(server_properties=able, mechanisms="PLAIN"), 0))
        await frames(1)
        writer.write(marshal(Commands.Tune(channel_max=10, frame_max=131_072, heartbeat=20), 0))
        await frames(2)
        writer.write(marshal(Commands.OpenOk(), 0))
        await frames(1)
        writer.write(marshal(Heartbeat(), 0))
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield aiormq_connection.Connection(f"amqp://guest:guest@127.0.0.1:{port}/", "publish", heartbeat_s=20)


async def test_a_broker_that_hangs_up_between_two_frames_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiormq then raises a plain Exception from the call that waits."""
    read = TapReader.readexactly

    async def read_slowly(self: TapReader, n: int) -> bytes:
        piece = await read(self, n)
        await asyncio.sleep(0.05)
        return piece

    monkeypatch.setattr(TapReader, "readexactly", read_slowly)
    async with broker_that_leaves() as connection:
        with pytest.raises(BusUnavailable, match="the connection was lost"):
            async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
                await connection.channel()


async def test_a_connection_that_has_just_closed_is_unavailable() -> None:
    """aiormq raises a RuntimeError: the connection was open when the call began."""
    async with broker_that_leaves() as connection:
        with pytest.raises(BusUnavailable):
            async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
                await connection.channel()
        closed = connection._connection
        assert closed is not None and not connection.up
        with pytest.raises(BusUnavailable, match="the connection was lost"):
            async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
                await closed.channel()


@pytest.mark.parametrize(
    "error",
    [
        Exception(),
        RuntimeError("<Connection> closed"),
        asyncio.CancelledError(),
        AMQPConnectionError(),
        ChannelInvalidStateError(),
        ConnectionResetError(),
        StopAsyncIteration(),
        TimeoutError(),
    ],
    ids=repr,
)
async def test_what_a_dying_connection_raises_is_unavailable(error: BaseException) -> None:
    with pytest.raises(BusUnavailable):
        async with aiormq_connection.broker_call(1):
            raise error


@pytest.mark.parametrize(
    "error", [ChannelNotFoundEntity("no queue"), KeyError("a bug"), NotImplementedError()]
)
async def test_rejections_and_bugs_pass_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)):
        async with aiormq_connection.broker_call(1):
            raise error
