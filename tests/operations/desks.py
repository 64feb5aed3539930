"""Operations at a desk of its own: real services in memory, a broker that counts and can be taken away, and a staff."""

import asyncio
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis import retry
from chassis.http import application as service_application
from chassis.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.runtime import Runtime
from contracts import inventory, orders, products
from contracts.access import AccessToken, sign
from contracts.envelope import OPERATOR, Parcel, seal
from contracts.identity import new_id
from contracts.message import Command, Message
from contracts.roles import Role
from contracts.senders import CLIENT
from contracts.values import Money, OrderLine
from inventory_svc import api as inventory_api
from journey import audit
from journey.broker_admin import AdminUnavailable, Traffic
from journey.dead_letter_reader import Oldest
from journey.dead_letters import DeadLetter, letter_of
from journey.infra.model import InfrastructureUnavailable
from journey.losses import Losses
from journey.services import HEARERS, SERVICES, whole_topology
from journey.settling import DROP, Act, Done
from operations.app import application
from operations.broker import Broker, Counted, NotGiven
from operations.desk import Desk
from operations.settings import OperationsSettings
from order_svc import api as order_api
from payment_svc.simulator import SimulatedProvider
from payment_svc.wiring import with_simulator
from product_svc import api as product_api
from tests.until import until

ADA = UUID("0198c0de-0000-7000-8000-00000000ada0")
RUNNING = ("order_svc", "inventory_svc", "payment_svc", "product_svc")
_KEY = Ed25519PrivateKey.generate()
_WAIT_S = 60.0


def desk_settings(**given: Any) -> OperationsSettings:
    urls = {f"{name}_url": f"http://{name}" for name in HEARERS}
    own = {"amqp_url": "amqp://operator:s3cret@rabbit/journey", "rabbitmq_management_url": "http://rabbit:15672"}
    return OperationsSettings(**(own | urls | {"poll_s": 0.2} | given))


def token(*roles: Role, user_id: UUID = ADA, left: timedelta = timedelta(minutes=9)) -> str:
    now = datetime.now(UTC)
    return sign(_KEY, "k1", AccessToken(sub=user_id, sid=new_id(), jti=new_id(), roles=roles, exp=now + left), now)


def jwks() -> dict[str, Any]:
    x = urlsafe_b64encode(_KEY.public_key().public_bytes_raw()).rstrip(b"=").decode()
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "k1", "x": x}]}


def hidden(page: str) -> dict[str, str]:
    """The fields that a form carries along, unseen."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}


class BrokerInMemory(Broker):
    """What an operator sees and does, on a broker in memory. Each kind of answer can be taken away."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.entries: list[audit.Entry] = []
        self.counts_away = self.away = False
        self.overrides: dict[str, Traffic] = {}
        self.alarms: tuple[str, ...] = ()
        self.unread: dict[str, int] = {}
        self.hurdle = asyncio.Event()  # a redrive waits here before each letter, if it is cleared
        self.hurdle.set()
        self.looks = self.polls = 0

    async def close(self) -> None:
        """Nothing to close."""

    async def counted(self) -> Counted:
        self.polls += 1
        if self.counts_away:
            raise AdminUnavailable("no answer from RabbitMQ's management API", "start it")
        found = {
            name: Traffic(len(waiting), 0, len(self.broker.subscriptions[name]), 0.0, 0.0)
            for name, waiting in self.broker.queues.items()
        }
        return Counted(found | self.overrides, self.alarms)

    async def losses(self) -> Losses:
        self._check()
        return Losses(dict(self.broker.lost))

    async def letters(self, services: Collection[str]) -> Oldest:
        self.looks += 1
        self._check()
        return Oldest([letter_of(name, parcel) for name in services for parcel in self.broker.dead(name)], self.unread)

    async def settle(self, letters: Sequence[DeadLetter], act: Act, progress: Callable[[int], None]) -> Done:
        done = Done()
        for letter in letters:
            await self.hurdle.wait()
            self._check(f"after {done.settled} of {len(letters)}: ")
            queue = self.broker.queues[letter.queue]
            if letter.parcel not in queue:
                done.missing += 1
                continue
            self.entries.append(_entry(letter, act))
            if act.action != DROP:
                self.arrive(letter.revived)
            queue.remove(letter.parcel)
            done.settled += 1
            progress(done.settled)
        return done

    async def acts(self, latest: int) -> list[audit.Entry]:
        self._check()
        return self.entries[-latest:]

    async def give(self, command: Command, by: str) -> None:
        if self.away:
            raise NotGiven("the broker does not answer; nothing is lost, give it again in a moment")
        envelope = seal(command, id=str(new_id()), source="operations", now=datetime.now(UTC))
        now, queue = datetime.now(UTC), f"{command.OWNER}.commands"
        self.entries.append(
            audit.Entry(now, by, "command", "", envelope.id, command.TYPE, command.subject, command.OWNER, queue, "")
        )
        [error] = await MemoryBus(self.broker, OPERATOR).publish([envelope.parcel()])
        assert error is None, error

    def arrive(self, parcel: Parcel) -> None:
        """Straight into a queue, in the operator's name."""
        self.broker.queues[parcel.routing_key].append(replace(parcel, user_id=OPERATOR))
        self.broker.pump(parcel.routing_key)

    def _check(self, before: str = "") -> None:
        if self.away:
            raise InfrastructureUnavailable(f"{before}the broker at rabbit:5672 does not answer", "see that it runs")


def _entry(letter: DeadLetter, act: Act) -> audit.Entry:
    return audit.Entry(
        at=datetime.now(UTC),
        by=act.by,
        action=act.action,
        reason=act.reason,
        message_id=letter.id,
        type=letter.type,
        journey_id=letter.journey_id,
        service=letter.service,
        queue=letter.origin_queue,
        error=letter.error,
    )


class Town(httpx.AsyncBaseTransport):
    """The services by name; those in `away` do not answer, and those in `odd` answer everything with these bytes."""

    def __init__(self) -> None:
        self.apps: dict[str, httpx.AsyncBaseTransport] = {}
        self.away: set[str] = set()
        self.odd: dict[str, bytes] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host
        if name in self.away:
            raise httpx.ConnectError("nobody listens")
        if name in self.odd:
            return httpx.Response(200, content=self.odd[name])
        if name in self.apps:
            return await self.apps[name].handle_async_request(request)
        if request.url.path == "/.well-known/jwks.json":
            return httpx.Response(200, json=jwks())
        return httpx.Response(200, json=[])


class DeskInMemory:
    """`http` is a member of the staff, `stranger` is not."""

    def __init__(self) -> None:
        self.memory = MemoryBroker(whole_topology(), delay_scale=0.01)
        self.broker = BrokerInMemory(self.memory)
        self.town = Town()
        self.runtimes = {name: self._service(name) for name in RUNNING}
        self.desk = Desk(desk_settings(), broker=self.broker, transport=self.town)
        self.app = application(self.desk)
        self.http = self.client(Authorization=f"Bearer {token(Role.STAFF)}")

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://operations", headers=headers, timeout=20)

    def _service(self, name: str) -> Runtime:
        routes, effects = {
            "order_svc": (order_api.routes, None),
            "inventory_svc": (inventory_api.routes, None),
            "payment_svc": with_simulator(SimulatedProvider(MemoryStore(), latency_ms=1)),
            "product_svc": (product_api.routes, None),
        }[name]
        runtime = Runtime(SERVICES[name](), MemoryBus(self.memory, name), MemoryStore(), effects=effects)
        self.town.apps[name] = httpx.ASGITransport(service_application(runtime, routes(runtime)))
        return runtime

    async def page(self, path: str, status: int = 200) -> str:
        answer = await self.http.get(path)
        assert answer.status_code == status, (answer.status_code, answer.text[:500])
        return answer.text

    async def send(self, path: str, status: int = 303, /, **fields: str) -> httpx.Response:
        answer = await self.http.post(path, data=fields)
        assert answer.status_code == status, (answer.status_code, answer.text[:500])
        return answer

    async def give(self, *commands: Command) -> None:
        """As the staff does, until the services have taken them."""
        for command in commands:
            await self.broker.give(command, str(ADA))
        await self.quiet()

    async def stocked(self, sku: str = "KETTLE-BLUE", title: str = "Kettle, blue", quantity: int = 100) -> None:
        price = Money(amount_minor=2990, currency="EUR")
        await self.give(
            products.ListProduct(sku=sku, title=title, category="kitchen", price=price),
            inventory.ReceiveStock(receipt_id=new_id(), sku=sku, quantity=quantity),
        )

    async def ordered(self, sku: str = "KETTLE-BLUE", card: str = "tok_visa") -> UUID:
        """Until nothing more happens to it."""
        order_id = await self.ordered_without_waiting(sku, card)
        await self.quiet()
        return order_id

    async def ordered_without_waiting(self, sku: str = "KETTLE-BLUE", card: str = "tok_visa") -> UUID:
        order_id = new_id()
        lines = (OrderLine(sku=sku, quantity=1),)
        command = orders.PlaceOrder(order_id=order_id, customer_id=ADA, lines=lines, card_token=card)
        parcel = seal(command, id=str(new_id()), source=CLIENT, now=datetime.now(UTC)).parcel()
        assert await MemoryBus(self.memory, CLIENT).publish([parcel]) == [None]
        return order_id

    async def until_page(self, path: str, words: str) -> str:
        """Ask for a page until it says something."""
        answer = await until(lambda: self.http.get(path), lambda answer: words in answer.text)
        return answer.text

    async def quiet(self) -> None:
        """Until the services that run have nothing waiting or in hand."""
        calm = 0
        async with asyncio.timeout(_WAIT_S):
            while calm < 5:
                await asyncio.sleep(0.01)
                calm = 0 if any(self._busy(name) for name in RUNNING) else calm + 1

    def _busy(self, service: str) -> bool:
        batcher = self.runtimes[service]._batcher
        waiting = (self.memory.queues[f"{service}.{kind}"] for kind in ("events", "commands"))
        return any(waiting) or bool(batcher and batcher.in_hand)

    def dies(
        self, message: Message, service: str = "inventory_svc", error: Exception | None = None, **changes: Any
    ) -> str:
        """A service gives a message up; its id."""
        at = changes.pop("at", datetime.now(UTC))
        parcel = seal(message, id=str(new_id()), source=message.OWNER, now=at).parcel()
        parcel = replace(parcel, user_id=message.OWNER, **changes)
        kind = "commands" if isinstance(message, Command) else "events"
        dead = retry.dead_letter(
            parcel, f"{service}.{kind}", service, error or KeyError("shelf"), at, retry.ATTEMPTS_MAX
        )
        self.memory.queues[f"{service}.dead"].append(replace(dead, user_id=service))
        return str(parcel.message_id)


@asynccontextmanager
async def at_work(poll_s: float = 0.2) -> AsyncIterator[DeskInMemory]:
    made = DeskInMemory()
    made.desk.watch._poll_s = poll_s
    for runtime in made.runtimes.values():
        await runtime.start()
    async with made.desk.open():
        await until(lambda: made.desk.watch.picture.as_of is not None)
        yield made
    await made.http.aclose()
    for runtime in made.runtimes.values():
        await runtime.kill()
