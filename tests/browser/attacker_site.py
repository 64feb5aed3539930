"""A malicious web site whose pages submit forms to the shop with the user's cookies."""

import asyncio
import html
from collections.abc import Mapping


class AttackerSite:
    """Serves one page on a port of its own.

    On `localhost` it is same-site with the shop but cross-origin, so the browser sends the shop's cookies. On
    `127.0.0.1` it is cross-site.
    """

    def __init__(self) -> None:
        self._page = ""
        self._listener: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._response, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def will_post(self, url: str, fields: Mapping[str, str], *, from_nowhere: bool = False) -> None:
        """`from_nowhere`: the page sends no referrer, so the browser sends `Origin: null`."""
        inputs = "".join(
            f'<input name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in fields.items()
        )
        form = f'<form id="trap" method="post" action="{html.escape(url)}">{inputs}</form>'
        silent = '<meta name="referrer" content="no-referrer">' if from_nowhere else ""
        self._page = f"<!doctype html>{silent}<title>You have won</title>{form}<script>trap.submit()</script>"

    async def _response(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = self._page.encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        await writer.drain()
        writer.close()
