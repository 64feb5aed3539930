"""A demo customer that shops over the public HTTP API, as a program would."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import httpx

from chassis.messaging.identity import new_id
from journey.devenv.demo_users import DemoUser

_SILENCE_S_MAX = 30.0  # the gateway sends at least a comment every 15 s
_AGAIN_S = 2.0
_ADDRESS = {
    "recipient": "Ada",
    "street": "1 Mill Road",
    "postcode": "LS1 1AA",
    "city": "Leeds",
    "country": "GB",
}

Json = dict[str, Any]


class DemoCustomer:
    """Logged in with an access token, as programs are; browsers use a session."""

    def __init__(self, http: httpx.AsyncClient, shop_url: str, access_token: str) -> None:
        self._http = http
        self._api = f"{shop_url}/api/v1"
        self._bearer = {"Authorization": f"Bearer {access_token}"}

    @classmethod
    async def logged_in(cls, http: httpx.AsyncClient, shop_url: str, account: DemoUser) -> "DemoCustomer":
        form = {"email": account.email, "password": account.password}
        response = (await http.post(f"{shop_url}/api/v1/sessions", json=form)).raise_for_status()
        return cls(http, shop_url, response.json()["access_token"])

    async def place(self, lines: Mapping[str, int], card_token: str) -> UUID:
        """Each call uses a new idempotency key, so HTTP retries of it place one order."""
        wanted = [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()]
        response = await self._http.post(
            f"{self._api}/orders",
            json={"lines": wanted, "card_token": card_token, "delivery_address": _ADDRESS},
            headers={**self._bearer, "Idempotency-Key": f'"{new_id()}"'},
        )
        return UUID(response.raise_for_status().json()["id"])

    async def follow(self, order_id: UUID, after: int = 0) -> AsyncIterator[Json]:
        """Yield the order's live updates until it is at rest, beginning after the one with this `seq`.

        When the gateway ends a stream early, it resumes with Last-Event-ID.
        """
        seen = str(after or "")
        while True:
            async for event in self._stream(order_id, seen):
                seen = event.get("id", seen)
                if event.get("event") == "end":
                    return
                if "event" not in event:
                    yield json.loads(event["data"])
            await asyncio.sleep(_AGAIN_S)

    async def _stream(self, order_id: UUID, seen: str) -> AsyncIterator[dict[str, str]]:
        """Yield the fields of each server-sent event with data; an `end` if there is nothing more to come."""
        headers = {**self._bearer, "Accept": "text/event-stream", **({"Last-Event-ID": seen} if seen else {})}
        limits = httpx.Timeout(10, read=_SILENCE_S_MAX)
        url = f"{self._api}/orders/{order_id}/events"
        async with self._http.stream("GET", url, headers=headers, timeout=limits) as response:
            if response.raise_for_status().status_code == httpx.codes.NO_CONTENT:
                yield {"event": "end"}
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                name, _, value = line.partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                elif not line:  # a line that begins with a colon is a comment
                    if "data" in fields:
                        yield fields
                    fields = {}
