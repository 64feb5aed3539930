"""A TCP proxy between us and a server, which can simulate all ways in which a server fails."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit


class Proxy:
    """Forwards bytes, until it is set to freeze (silence), cut (reset), or leave (connection refused)."""

    latency_s = 0.0
    """Delay of each piece of up to 64 KiB, in each direction, in seconds."""

    def __init__(self, server_url: str, default_port: int) -> None:
        self._default_port = default_port
        self.redirect(server_url)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self.port = 0

    def redirect(self, server_url: str) -> None:
        """New connections go to this server."""
        endpoints = urlsplit(server_url)
        self._server = endpoints.hostname or "127.0.0.1", endpoints.port or self._default_port

    async def __aenter__(self) -> "Proxy":
        await self.come_back()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.leave()

    async def come_back(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def leave(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self.thaw()
        self.cut()

    def freeze(self) -> None:
        """Connections stay open, also new ones; no data passes."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, there_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._pass_on(reader, there_writer), self._pass_on(there_reader, writer))
        finally:
            self._writers -= pair

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._server)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await source.read(65_536):
                await asyncio.sleep(self.latency_s)
                await self._flowing.wait()
                target.write(piece)
                await target.drain()
        target.close()
