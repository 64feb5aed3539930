"""An application that really listens, in a thread of its own: for tools that speak HTTP and know nothing of ours."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import uvicorn

Opened = Callable[[], AbstractAsyncContextManager[Any]]
START_S_MAX = 60


class Served:
    """`opened` gives the application, within the thread's own loop, for as long as its context lasts."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._began = threading.Event()
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.url = ""

    def __enter__(self) -> "Served":
        self._thread.start()
        if not self._began.wait(START_S_MAX) or not self.url:
            raise RuntimeError("the application did not start; its error is above")
        return self

    def __exit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(START_S_MAX)

    async def _serve(self) -> None:
        try:
            async with self._opened() as app:
                config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
                self._server = uvicorn.Server(config)
                serving = asyncio.create_task(self._server.serve())
                async for port in self._ports(serving):
                    self.url = f"http://127.0.0.1:{port}"
                self._began.set()
                await serving
        finally:
            self._began.set()

    async def _ports(self, serving: "asyncio.Task[None]") -> AsyncIterator[int]:
        assert self._server is not None
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.01)
        for server in self._server.servers:
            yield server.sockets[0].getsockname()[1]
