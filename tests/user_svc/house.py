"""user_svc with a broker in memory, a clock that is set by hand, and cheap password hashes."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from argon2 import PasswordHasher

from chassis.http import application
from chassis.memory import MemoryBroker, MemoryBus
from chassis.runtime import Runtime
from chassis.store import Store
from chassis.topology import build
from user_svc.api import routes
from user_svc.passwords import Passwords
from user_svc.service import user_service

SERVICE_TOKEN = "the-token-of-the-services"
PASSWORD = "correct horse battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HOME = {
    "label": "home",
    "recipient": "Ada Lovelace",
    "street": "12 St James's Square",
    "postcode": "SW1Y 4JH",
    "city": "London",
    "country": "GB",
}
PERSONAL = [line for field, line in HOME.items() if field not in ("label", "country")]


class House:
    """One running user_svc, and whoever knocks."""

    def __init__(self, store: Store, *, passwords: Passwords | None = None, even_s: float = 0.0) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.broker = MemoryBroker(build([user_service()]))
        self.runtime = Runtime(user_service(), MemoryBus(self.broker, "user_svc"), store, clock=lambda: self.now)
        self.passwords = passwords or Passwords(CHEAP)
        api = routes(self.runtime, service_token=SERVICE_TOKEN, passwords=self.passwords, even_s=even_s)
        transport = httpx.ASGITransport(application(self.runtime, api))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://user_svc")

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def said(self) -> list[tuple[str | None, bytes]]:
        return [(parcel.type, parcel.body) for parcel in self.broker.tapped if parcel.exchange == "events"]

    async def register(self, email: str = "ada@example.org", **fields: Any) -> httpx.Response:
        form = {"email": email, "name": "Ada", "password": PASSWORD} | fields
        return await self.http.post("/users", json=form)

    async def log_in(self, email: str = "ada@example.org", password: Any = PASSWORD) -> httpx.Response:
        return await self.http.post("/sessions", json={"email": email, "password": password})

    async def moved_in(self, email: str = "ada@example.org", **fields: Any) -> "Guest":
        """Registered and logged in."""
        assert (await self.register(email, **fields)).status_code == 202
        answer = await self.log_in(email)
        assert answer.status_code == 201, answer.text
        return Guest(self, answer.json()["token"], UUID(answer.json()["user_id"]))

    async def contact(self, user_id: UUID | str, token: str = SERVICE_TOKEN) -> httpx.Response:
        return await self.http.get(f"/internal/contacts/{user_id}", headers={"Authorization": f"Bearer {token}"})


class Guest:
    """Somebody with a token."""

    def __init__(self, house: House, token: str, user_id: UUID) -> None:
        self._house, self.token, self.user_id = house, token, user_id

    async def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self._house.http.request(method, path, json=body, headers=headers)

    async def me(self) -> Any:
        answer = await self("GET", "/users/me")
        assert answer.status_code == 200, answer.text
        return answer.json()
