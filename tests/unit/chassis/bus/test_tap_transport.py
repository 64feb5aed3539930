"""The reader and the writer that aiormq gets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import FrameTypes, marshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat
from yarl import URL

from chassis.bus.aiormq_frames.messages import RawDelivery
from chassis.bus.aiormq_frames.transport import TapTransportFactory

OURS = 1
METHOD = marshal(Basic.ConsumeOk("us"), OURS)
MESSAGE: list[FrameTypes] = [
    Basic.Deliver("us", 7, False, "events", "order.placed.v1"),
    ContentHeader(0, 2, Basic.Properties()),
    ContentBody(b"{}"),
]
SENT = b"".join([METHOD, *(marshal(frame, OURS) for frame in MESSAGE), METHOD])


@asynccontextmanager
async def connected(
    sent: bytes, piece: int
) -> AsyncIterator[tuple[TapTransportFactory, asyncio.StreamReader]]:
    """A transport to a broker that sends these bytes in pieces and hangs up."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(sent), piece):
            writer.write(sent[start : start + piece])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(send, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        factory = TapTransportFactory()
        reader, _ = await factory.create(URL(f"amqp://127.0.0.1:{port}"), ssl_context_provider=None)
        yield factory, reader
        factory.writer.close()


@pytest.mark.parametrize("piece", [1, 5, 20, 1_000])
async def test_aiormq_receives_all_other_frames(piece: int) -> None:
    taken: list[RawDelivery] = []
    async with connected(SENT, piece) as (factory, reader):
        factory.tap.take[OURS] = taken.append
        assert not reader.at_eof()
        left = b""
        while len(left) < 2 * len(METHOD) + len(Heartbeat().marshal()):
            left += await reader.readexactly(1)
        assert left.replace(Heartbeat().marshal(), b"") == METHOD + METHOD
    assert [each.tag for each in taken] == [7]


async def test_a_frame_cut_off_by_the_connection_is_incomplete() -> None:
    async with connected(METHOD + METHOD[:10], 1_000) as (_, reader):
        assert await reader.readexactly(len(METHOD)) == METHOD
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(1)
        assert reader.at_eof()


async def test_nothing_is_written_to_a_connection_that_is_closing() -> None:
    """A transport raises an error if it is written to after its end was written."""
    async with connected(b"", 1) as (factory, _):
        factory.writer.write_eof()
        factory.writer.close()
        factory.write(METHOD)
