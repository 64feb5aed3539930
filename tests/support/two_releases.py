"""Two releases of a system of two services, for tests that run both side by side.

A ticket that is bought gets a seat. The earlier release sells one seat a ticket. In the later one the event
names the number of seats: a new version with an upcaster. It also has a new event and new fields in states.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.topology import build
from chassis.core.decision import Context, Decision
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.messaging.catalog import Catalog
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.message import Command, Event, Message, Owner
from chassis.runtime import Runtime
from chassis.store.memory import MemoryStore
from tests.simulation import virtual_time
from tests.support.pending_message_factory import NOW


def _decide(state: Any, message: Any, _: Context[object]) -> Decision[Any]:
    return Decision(state.after(message), *state.emits(message))


class Earlier:
    """The messages, states and services of the earlier release."""

    TICKET = Owner("ticket", service="ticket_svc")

    class BuyTicket(Command, owner=TICKET, type="ticket.buy.v1", subject="number"):
        number: int

    class TicketBought(Event, owner=TICKET, type="ticket.bought.v1", subject="number"):
        number: int

    CATALOG = Catalog(TICKET, declared_in=__name__)

    @dataclass(frozen=True)
    class Ticket:
        times_bought: int = 0

        def after(self, _: Message) -> "Earlier.Ticket":
            return replace(self, times_bought=self.times_bought + 1)

        def emits(self, message: Any) -> tuple[Message, ...]:
            return (Earlier.TicketBought(number=message.number),)

    @dataclass(frozen=True)
    class Seats:
        taken: int = 0

        def after(self, _: Message) -> "Earlier.Seats":
            return replace(self, taken=self.taken + 1)

        def emits(self, _: Message) -> tuple[Message, ...]:
            return ()

    @classmethod
    def ticket_service(cls) -> ServiceDefinition:
        tickets = Aggregate("tickets", cls.Ticket(), _decide, (cls.BuyTicket,))
        return ServiceDefinition("ticket_svc", (tickets,), catalog=cls.CATALOG)

    @classmethod
    def seat_service(cls) -> ServiceDefinition:
        seats = Aggregate("seats", cls.Seats(), _decide, (cls.TicketBought,))
        return ServiceDefinition("seat_svc", (seats,), catalog=cls.CATALOG)


class Later:
    """The messages, states and services of the later release."""

    TICKET = Owner("ticket", service="ticket_svc")

    class BuyTicket(Command, owner=TICKET, type="ticket.buy.v1", subject="number"):
        number: int
        seats: int = 2

    class TicketBoughtV1(Event, owner=TICKET, type="ticket.bought.v1", subject="number"):
        number: int

    class TicketBought(
        Event, owner=TICKET, type="ticket.bought.v2", subject="number", upcasts=TicketBoughtV1
    ):
        number: int
        seats: int

        @classmethod
        def upcast(cls, older: "Later.TicketBoughtV1") -> "Later.TicketBought":
            if older.number < 0:
                raise LookupError(older.number)
            return cls(number=older.number, seats=1)

    class TicketReturned(Event, owner=TICKET, type="ticket.returned.v1", subject="number"):
        number: int

    CATALOG = Catalog(TICKET, declared_in=__name__)

    @dataclass(frozen=True)
    class Ticket:
        times_bought: int = 0
        seats: int = 0

        def after(self, message: Any) -> "Later.Ticket":
            return replace(self, times_bought=self.times_bought + 1, seats=self.seats + message.seats)

        def emits(self, message: Any) -> tuple[Message, ...]:
            return (Later.TicketBought(number=message.number, seats=message.seats),)

    @dataclass(frozen=True)
    class Seats:
        taken: int = 0
        returned: bool = False

        def after(self, message: Message) -> "Later.Seats":
            match message:
                case Later.TicketBought(seats=seats):
                    return replace(self, taken=self.taken + seats)
                case _:
                    return replace(self, returned=True)

        def emits(self, _: Message) -> tuple[Message, ...]:
            return ()

    @classmethod
    def ticket_service(cls) -> ServiceDefinition:
        tickets = Aggregate("tickets", cls.Ticket(), _decide, (cls.BuyTicket,))
        return ServiceDefinition("ticket_svc", (tickets,), catalog=cls.CATALOG)

    @classmethod
    def seat_service(cls, added: tuple[type[Message], ...] = ()) -> ServiceDefinition:
        seats = Aggregate("seats", cls.Seats(), _decide, (cls.TicketBought, cls.TicketReturned))
        return ServiceDefinition("seat_svc", (seats,), catalog=cls.CATALOG, added=added)


class MixedSystem:
    """A broker with the later release's topology, the two databases, and any instances of both releases."""

    def __init__(self, added: tuple[type[Message], ...] = ()) -> None:
        self.broker = MemoryBroker(build((Later.ticket_service(), Later.seat_service(added))))
        self.tickets, self.seats = MemoryStore(), MemoryStore()
        self._running: list[Runtime] = []

    async def start(self, service: ServiceDefinition) -> Runtime:
        store = self.tickets if service.name == "ticket_svc" else self.seats
        runtime = Runtime(service, MemoryBus(self.broker, service.name), store)
        self._running.append(runtime)
        await runtime.start()
        return runtime

    async def kill(self) -> None:
        for runtime in self._running:
            await runtime.kill()

    async def seats_of(self, number: int) -> dict[str, Any] | None:
        """The stored state of the seats for one ticket."""
        return (await self.seats.load("seats", [str(number)]))[str(number)].state

    @property
    def dead(self) -> list[str]:
        """The errors of all dead letters."""
        services = ("ticket_svc", "seat_svc")
        return [str(dead.headers["error"]) for name in services for dead in self.broker.dead(name)]


def in_virtual_time(
    story: Callable[[MixedSystem], Awaitable[None]], added: tuple[type[Message], ...] = ()
) -> None:
    async def played() -> None:
        system = MixedSystem(added)
        try:
            await story(system)
        finally:
            await system.kill()

    virtual_time.play(played())


def sent(message: Message, id_: str = "m-1") -> WireMessage:
    catalog = Later.CATALOG if message.TYPE in Later.CATALOG else Earlier.CATALOG
    return wrap(message, id=id_, source=message.OWNER, now=NOW).wire_message(catalog)


async def publish(system: MixedSystem, user: str, *wire_messages: WireMessage) -> None:
    assert not any(await MemoryBus(system.broker, user).publish(wire_messages))
