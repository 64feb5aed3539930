"""user_svc with an in-memory broker, a manual clock, and cheap password hashes."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from argon2 import PasswordHasher

from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.topology import build
from chassis.runtime import Runtime
from chassis.store.protocol import Store
from chassis.web.app import create_app
from contracts.notifications import MailKind
from user_svc.auth.passwords import Passwords
from user_svc.http.sessions_api import routes
from user_svc.service import user_service
from user_svc.settings import AuthPolicy

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
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PERSONAL = [line for field, line in HOME.items() if field not in ("label", "country")]


class UserApp:
    """A running user_svc and its HTTP clients."""

    def __init__(
        self,
        store: Store,
        *,
        passwords: Passwords | None = None,
        min_response_s: float = 0.0,
        policy: AuthPolicy | None = None,
        now: datetime = NOON,
    ) -> None:
        """`now`: on a real database the real time; it deletes what has expired by its own clock."""
        self.now = now
        self.broker = MemoryBroker(build([user_service()]))
        self.runtime = Runtime(
            user_service(), MemoryBus(self.broker, "user_svc"), store, clock=lambda: self.now
        )
        self.passwords = passwords or Passwords(CHEAP)
        self.http = self.new_client(min_response_s, policy)

    def new_client(self, min_response_s: float = 0.0, policy: AuthPolicy | None = None) -> httpx.AsyncClient:
        """A client of another instance on the same database, with its own memory."""
        api = routes(
            self.runtime,
            service_tokens=lambda: [SERVICE_TOKEN],
            passwords=self.passwords,
            min_response_s=min_response_s,
            policy=policy,
        )
        transport = httpx.ASGITransport(create_app(self.runtime, api))
        return httpx.AsyncClient(transport=transport, base_url="http://user_svc")

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def published_messages(self) -> list[tuple[str | None, bytes]]:
        return [
            (wire_message.type, wire_message.body)
            for wire_message in self.broker.tapped
            if wire_message.exchange == "events"
        ]

    def published_types(self) -> list[str]:
        return [str(type_) for type_, _ in self.published_messages()]

    async def ask(self, method: str, path: str, body: Any = None, *, of: str = "") -> httpx.Response:
        """`of`: the client address, as the gateway sends it."""
        headers = {"X-Client-Address": of, "X-Service-Token": SERVICE_TOKEN} if of else {}
        return await self.http.request(method, path, json=body, headers=headers)

    async def register(
        self, email: str = "ada@example.org", *, of: str = "", **fields: Any
    ) -> httpx.Response:
        form = {"email": email, "name": "Ada", "password": PASSWORD} | fields
        return await self.ask("POST", "/users", form, of=of)

    async def log_in(
        self, email: str = "ada@example.org", password: Any = PASSWORD, *, of: str = ""
    ) -> httpx.Response:
        return await self.ask("POST", "/sessions", {"email": email, "password": password}, of=of)

    async def refresh(self, token: str) -> httpx.Response:
        return await self.ask("POST", "/sessions/refresh", {"refresh_token": token})

    async def prove(self, user_id: UUID | str, password: str = PASSWORD) -> httpx.Response:
        """Follow the link in the mail, as its reader."""
        token = await self.link(user_id, MailKind.USER_REGISTERED)
        return await self.ask("POST", "/proofs", {"token": token, "password": password})

    async def logged_in_user(self, email: str = "ada@example.org", **fields: Any) -> "LoggedInClient":
        """A client that is registered, proved and logged in."""
        registered = await self.register(email, **fields)
        assert registered.status_code == 202, registered.text
        response = await self.prove(registered.json()["user_id"], fields.get("password", PASSWORD))
        assert response.status_code == 201, response.text
        return LoggedInClient(self, response.json())

    async def contact(
        self,
        user_id: UUID | str,
        token: str = SERVICE_TOKEN,
        kind: str | None = None,
        about: UUID | str | None = None,
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        asked = {name: str(value) for name, value in (("kind", kind), ("about", about)) if value}
        return await self.http.get(f"/internal/contacts/{user_id}", params=asked, headers=headers)

    async def link(self, user_id: UUID | str, kind: MailKind) -> str:
        """The token of the link in a mail to this user."""
        response = await self.contact(user_id, kind=kind)
        assert response.status_code == 200, response.text
        return str(response.json()["link_token"])


class LoggedInClient:
    """An HTTP client with an access token."""

    def __init__(self, user_app: UserApp, tokens: dict[str, Any]) -> None:
        self._user_app = user_app
        self.user_id = UUID(tokens["user_id"])
        self.token = str(tokens["access_token"])
        self.refresh_token = str(tokens["refresh_token"])

    async def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self._user_app.http.request(method, path, json=body, headers=headers)

    async def me(self) -> Any:
        response = await self("GET", "/users/me")
        assert response.status_code == 200, response.text
        return response.json()

    async def erase(self, password: str = PASSWORD) -> httpx.Response:
        return await self("POST", "/users/me/erasure", {"password": password})
