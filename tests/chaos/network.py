"""The network between clients and servers: slow, silent, or disconnecting everything."""

import asyncio
import random
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from tests.support.proxy import Proxy

LATENCY_S = 0.1


class Balancer(Proxy):
    """One address for several servers, round robin; servers that refuse connections, or are in `away`,
    are skipped.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        super().__init__(urls[0], 0)
        self._servers = [(endpoints.hostname, endpoints.port) for endpoints in map(urlsplit, urls)]
        self._turn = 0
        self.away: set[int] = set()
        """Numbers of the servers that get no connections."""

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        self._turn += 1
        for offset in range(len(self._servers)):
            number = (self._turn + offset) % len(self._servers)
            if number not in self.away:
                with suppress(OSError):
                    return await asyncio.open_connection(*self._servers[number])
        raise ConnectionRefusedError("no server takes connections")


class Network:
    """The proxies of one kind of server; `well` returns when these servers are healthy again."""

    def __init__(self, proxies: Sequence[Proxy], well: Callable[[], Awaitable[None]]) -> None:
        self._proxies = proxies
        self._well = well

    async def latency(self, moments: random.Random) -> None:
        self._slow_down(LATENCY_S)
        try:
            await asyncio.sleep(moments.uniform(5, 15))
        finally:
            self._slow_down(0)
        await self._well()

    async def black_hole(self, moments: random.Random) -> None:
        """Nothing arrives, without an error; data sent during the fault arrives late."""
        for proxy in self._proxies:
            proxy.freeze()
        try:
            await asyncio.sleep(moments.uniform(10, 20))
        finally:
            for proxy in self._proxies:
                proxy.thaw()
        await self._well()

    async def reset(self, moments: random.Random) -> None:
        for _ in range(moments.randint(1, 3)):
            for proxy in self._proxies:
                proxy.cut()
            await asyncio.sleep(moments.uniform(0.2, 1))
        await self._well()

    def _slow_down(self, latency_s: float) -> None:
        for proxy in self._proxies:
            proxy.latency_s = latency_s
