"""A system of two services with names of its own, for tests that run it beside the shop.

A ticket that is bought gets a seat. Seat 1 fails once, and every seat after it always.
"""

from dataclasses import dataclass

from chassis.bus.retry_ladder import RetryLadder, Rung
from chassis.bus.topology import build
from chassis.core.decision import Context, Decision
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.messaging.catalog import Catalog
from chassis.messaging.message import Command, Event, Owner
from chassis.messaging.topology_names import TopologyNames

TICKET = Owner("ticket", service="ticket_svc")
SEAT = Owner("seat", service="seat_svc")
PREFIX = "theatre_"


class BuyTicket(Command, owner=TICKET, type="ticket.buy.v1", subject="number"):
    number: int


class TicketBought(Event, owner=TICKET, type="ticket.bought.v1", subject="number", for_clients=True):
    number: int


class SeatTaken(Event, owner=SEAT, type="seat.taken.v1", subject="number", for_clients=True):
    number: int


CATALOG = Catalog(TICKET, SEAT, declared_in=__name__, names=TopologyNames.prefixed(PREFIX))
LADDER = RetryLadder((Rung("theatre_retry", 20),))


@dataclass(frozen=True)
class Ticket:
    is_bought: bool = False


@dataclass(frozen=True)
class Seat:
    is_taken: bool = False


def _buy(ticket: Ticket, message: BuyTicket, _: Context[object]) -> Decision[Ticket]:
    return Decision(Ticket(is_bought=True), TicketBought(number=message.number))


class _Seats:
    """The decider of seats. It remembers its failures, as no decider of a real service may."""

    def __init__(self) -> None:
        self._failures = 0

    def decide(self, seat: Seat, message: TicketBought, _: Context[object]) -> Decision[Seat]:
        if message.number > 1 or (message.number == 1 and self._failures == 0):
            self._failures += 1
            raise RuntimeError(f"no seat for ticket {message.number}")
        return Decision(Seat(is_taken=True), SeatTaken(number=message.number))


def ticket_service() -> ServiceDefinition:
    tickets = Aggregate("tickets", Ticket(), _buy, (BuyTicket,))
    return ServiceDefinition("ticket_svc", (tickets,), catalog=CATALOG, retry_ladder=LADDER)


def seat_service() -> ServiceDefinition:
    seats = Aggregate("seats", Seat(), _Seats().decide, (TicketBought,))
    return ServiceDefinition("seat_svc", (seats,), catalog=CATALOG, retry_ladder=LADDER)


TOPOLOGY = build((ticket_service(), seat_service()))
