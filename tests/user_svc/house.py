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
from contracts.notifications import MailKind
from user_svc.api import routes
from user_svc.passwords import Passwords
from user_svc.service import user_service
from user_svc.settings import Terms

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

    def __init__(
        self, store: Store, *, passwords: Passwords | None = None, even_s: float = 0.0, terms: Terms | None = None
    ) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.broker = MemoryBroker(build([user_service()]))
        self.runtime = Runtime(user_service(), MemoryBus(self.broker, "user_svc"), store, clock=lambda: self.now)
        self.passwords = passwords or Passwords(CHEAP)
        self.http = self.another_door(even_s, terms)

    def another_door(self, even_s: float = 0.0, terms: Terms | None = None) -> httpx.AsyncClient:
        """As of another instance on the same database: with a memory of its own."""
        api = routes(self.runtime, service_token=SERVICE_TOKEN, passwords=self.passwords, even_s=even_s, terms=terms)
        transport = httpx.ASGITransport(application(self.runtime, api))
        return httpx.AsyncClient(transport=transport, base_url="http://user_svc")

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def said(self) -> list[tuple[str | None, bytes]]:
        return [(parcel.type, parcel.body) for parcel in self.broker.tapped if parcel.exchange == "events"]

    def said_types(self) -> list[str]:
        return [str(type_) for type_, _ in self.said()]

    async def ask(self, method: str, path: str, body: Any = None, *, of: str = "") -> httpx.Response:
        """`of`: the client's address, as the gateway tells it."""
        headers = {"X-Client-Address": of, "X-Service-Token": SERVICE_TOKEN} if of else {}
        return await self.http.request(method, path, json=body, headers=headers)

    async def register(self, email: str = "ada@example.org", *, of: str = "", **fields: Any) -> httpx.Response:
        form = {"email": email, "name": "Ada", "password": PASSWORD} | fields
        return await self.ask("POST", "/users", form, of=of)

    async def log_in(self, email: str = "ada@example.org", password: Any = PASSWORD, *, of: str = "") -> httpx.Response:
        return await self.ask("POST", "/sessions", {"email": email, "password": password}, of=of)

    async def refresh(self, token: str) -> httpx.Response:
        return await self.ask("POST", "/sessions/refresh", {"refresh_token": token})

    async def prove(self, user_id: UUID | str, password: str = PASSWORD) -> httpx.Response:
        """As whoever reads the mail."""
        token = await self.link(user_id, MailKind.USER_REGISTERED)
        return await self.ask("POST", "/proofs", {"token": token, "password": password})

    async def moved_in(self, email: str = "ada@example.org", **fields: Any) -> "Guest":
        """Registered, the address proved, and logged in."""
        registered = await self.register(email, **fields)
        assert registered.status_code == 202, registered.text
        answer = await self.prove(registered.json()["user_id"], fields.get("password", PASSWORD))
        assert answer.status_code == 201, answer.text
        return Guest(self, answer.json())

    async def contact(self, user_id: UUID | str, token: str = SERVICE_TOKEN, kind: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self.http.get(
            f"/internal/contacts/{user_id}", params={"kind": kind} if kind else {}, headers=headers
        )

    async def link(self, user_id: UUID | str, kind: MailKind) -> str:
        """The token of the link in a mail."""
        answer = await self.contact(user_id, kind=kind)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["link_token"])


class Guest:
    """Somebody who is logged in."""

    def __init__(self, house: House, tokens: dict[str, Any]) -> None:
        self._house = house
        self.user_id = UUID(tokens["user_id"])
        self.token, self.refresh_token = str(tokens["access_token"]), str(tokens["refresh_token"])

    async def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self._house.http.request(method, path, json=body, headers=headers)

    async def me(self) -> Any:
        answer = await self("GET", "/users/me")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def erase(self, password: str = PASSWORD) -> httpx.Response:
        return await self("POST", "/users/me/erasure", {"password": password})
