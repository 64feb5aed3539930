"""Every kind of broker failure becomes BusUnavailable, whatever aiormq raises."""

import asyncio
from typing import Any

import pytest

from chassis.bus.aiormq_frames import aiormq_connection
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
