"""aiormq's connections with a tap between the broker and aiormq."""

import asyncio
from typing import Any, cast

import aiormq
from yarl import URL

from chassis.bus.aiormq_frames.tap import FrameTap

_READ_BYTES = 256 * 1024


class TapReader(asyncio.StreamReader):
    """What aiormq reads: the frames that the tap leaves. Has only the methods that aiormq calls."""

    def __init__(self, stream: asyncio.StreamReader, tap: FrameTap) -> None:
        super().__init__()
        self._broker_stream = stream
        self._frame_tap = tap
        self._left_by_tap = bytearray()

    async def readexactly(self, n: int) -> bytes:
        """While aiormq waits here for the next frame, the tap handles what the broker sends."""
        while len(self._left_by_tap) < n:
            received = await self._broker_stream.read(_READ_BYTES)
            if not received:
                raise asyncio.IncompleteReadError(bytes(self._left_by_tap), n)
            self._left_by_tap += self._frame_tap.feed(received)
        piece = bytes(self._left_by_tap[:n])
        del self._left_by_tap[:n]
        return piece

    async def read(self, n: int = -1) -> bytes:
        return await self.readexactly(len(self._left_by_tap)) + await self._broker_stream.read(n)

    def at_eof(self) -> bool:
        return not self._left_by_tap and self._broker_stream.at_eof()


class TapTransportFactory(aiormq.TransportFactory):
    """Opens transports with a tap. `tap` and `writer` are those of the latest transport."""

    tap: FrameTap
    writer: asyncio.StreamWriter

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """aiormq passes the options of asyncio.open_connection and `ssl_context_provider`."""
        provider: aiormq.SSLContextProvider = kwargs.pop("ssl_context_provider")
        ssl = await provider.get_context() if url.scheme == "amqps" else None
        stream, self.writer = await asyncio.open_connection(url.host, url.port, ssl=ssl, **kwargs)
        self.tap = FrameTap()
        return TapReader(stream, self.tap), self.writer

    def write(self, frames: bytes) -> None:
        """Write whole frames past aiormq's queue. Does nothing on a connection that is closing."""
        if not self.writer.is_closing():
            self.writer.write(frames)


class TappedConnection(aiormq.Connection):
    """A connection on which `transport` gives access to the tap and the writer, once it is connected."""

    def __init__(self, url: URL) -> None:
        self.transport = TapTransportFactory()
        super().__init__(url, transport_factory=self.transport)


def transport_of(channel: aiormq.Channel) -> TapTransportFactory:
    """The transport of a channel of a TappedConnection."""
    return cast("TappedConnection", channel.connection).transport
