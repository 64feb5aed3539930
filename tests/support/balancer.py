"""A load balancer in front of several gateways. When one is gone, another serves the requests."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

_REQUEST = re.compile(rb"^[A-Z]+ (\S+) HTTP/1\.1\r\n")
_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 5\r\nConnection: close\r\n\r\naway\n"
)


@dataclass(eq=False)
class _Connection:
    """A connection of a browser, with the port of its gateway and the path of its last request."""

    browser: asyncio.StreamWriter
    gateway: asyncio.StreamWriter
    port: int
    path: str = ""


class Balancer:
    """Distributes connections round-robin, and skips gateways that are down.

    Reads only the first line of a request, which is enough to know which gateway serves which stream.
    """

    def __init__(self, *ports: int) -> None:
        self.ports = list(ports)
        self.port = 0
        self._shut = False
        self._turn = 0
        self._lines: set[_Connection] = set()
        self._listener: asyncio.Server | None = None

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self.cut()

    def shut(self) -> None:
        """Aborts all connections, and responds to every request with 503, as during a failed deployment."""
        self._shut = True
        self.cut()

    def reopen(self) -> None:
        self._shut = False

    def cut(self) -> None:
        for line in self._lines:
            line.browser.transport.abort()
            line.gateway.transport.abort()

    def holder(self, path: str) -> int | None:
        """The port of the gateway that is serving this path; None if there is none."""
        return next((line.port for line in self._lines if line.path.partition("?")[0] == path), None)

    def streams(self, ending: str) -> int:
        """How many open connections are for paths with this ending."""
        return len([line for line in self._lines if line.path.partition("?")[0].endswith(ending)])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = None if self._shut else await self._connect()
        if there is None:
            with suppress(OSError):
                await reader.read(65_536)
                writer.write(_AWAY)
                await writer.drain()
            writer.close()
            return
        there_reader, there_writer, port = there
        line = _Connection(writer, there_writer, port)
        self._lines.add(line)
        try:
            await asyncio.gather(
                self._pass_on(reader, there_writer, line),
                self._pass_on(there_reader, writer),
                return_exceptions=True,
            )
        finally:
            self._lines.discard(line)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int] | None:
        for port in self._in_turn():
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                return reader, writer, port
        return None

    def _in_turn(self) -> Iterator[int]:
        self._turn += 1
        for offset in range(len(self.ports)):
            yield self.ports[(self._turn + offset) % len(self.ports)]

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, line: _Connection | None = None
    ) -> None:
        with suppress(OSError):
            while piece := await source.read(65_536):
                if line is not None and (request := _REQUEST.match(piece)):
                    line.path = request[1].decode()
                target.write(piece)
                await target.drain()
        target.close()
