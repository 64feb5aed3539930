"""Members of staff who use the pages of operations during an update: they read, and record received goods."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import httpx

from chassis.messaging.identity import new_id
from journey.devenv.demo_users import DemoUser
from tests.support.eventually import until

SKU = "TEA-GREEN"
RECEIPTS = "/ops/stock/receipts"
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
_PAUSE_S = 0.3
_ACCEPTED_S_MAX = 60.0


class StaffMember:
    """A browser with the session of one login. `received`: the pieces that operations has accepted."""

    def __init__(self, shop_url: str) -> None:
        # Each request has a connection of its own, so that it reaches the instance that takes new ones.
        self._http = httpx.AsyncClient(
            base_url=shop_url,
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=60,
        )
        self.received = 0

    async def log_in(self, user: DemoUser) -> None:
        form = {"email": user.email, "password": user.password}
        response = await self._http.post("/login", data=form, headers={"Sec-Fetch-Site": "same-origin"})
        assert response.status_code == 303, response.text

    async def work(self, until: Callable[[], bool]) -> None:
        """Every page is there, and every receipt is accepted. Without its session it would be a guest."""
        while not until():
            for path in ("/ops", "/ops/stock"):
                await self._reads(path)
            await self.receive()
            await asyncio.sleep(_PAUSE_S)

    async def _reads(self, path: str) -> None:
        await _until_available(lambda: self._http.get(path), 200)

    async def receive(self) -> None:
        """One piece. A form that got a 503 is sent again, and counts once: it has an id."""
        body = _receipt()
        await _until_available(lambda: self._http.post(RECEIPTS, content=body, headers=_FORM), 303)
        self.received += 1

    async def receive_slowly(self, begun: asyncio.Event, finish: asyncio.Event) -> None:
        """One piece, in a request whose second half is sent when `finish` is set. It is not repeated."""
        body = _receipt()

        async def halves() -> AsyncIterator[bytes]:
            yield body[:10]
            begun.set()
            await finish.wait()
            yield body[10:]

        headers = _FORM | {"Content-Length": str(len(body))}
        response = await self._http.post(RECEIPTS, content=halves(), headers=headers)
        assert response.status_code == 303, (response.status_code, response.text)
        self.received += 1

    async def close(self) -> None:
        await self._http.aclose()


def _receipt() -> bytes:
    return urlencode({"receipt_id": str(new_id()), "sku": SKU, "quantity": "1"}).encode()


async def _until_available(ask: Callable[[], Awaitable[httpx.Response]], expected: int) -> None:
    """Only a 503 is repeated: a program was away. A response that is cut off raises httpx.TransportError."""
    response = await until(ask, lambda response: response.status_code != 503, within_s=_ACCEPTED_S_MAX)
    assert response.status_code == expected, (response.status_code, response.headers, response.text[:2000])


@asynccontextmanager
async def staff_at_work(shop_url: str, user: DemoUser, members: int) -> AsyncIterator[list[StaffMember]]:
    """Each with a session of its own, which lasts until the block ends."""
    staff = [StaffMember(shop_url) for _ in range(members)]
    enough = asyncio.Event()
    try:
        for member in staff:
            await member.log_in(user)
        async with asyncio.TaskGroup() as working:
            for member in staff:
                working.create_task(member.work(enough.is_set))
            try:
                yield staff
            finally:
                enough.set()
    finally:
        for member in staff:
            await member.close()
