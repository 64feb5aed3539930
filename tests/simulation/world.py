"""The whole shop in one thread and in virtual time:
the real deciders and message processing in a faulty environment.

Only what is outside a service is simulated: its database, its connection to the broker, the card provider,
the mail server. A crashed instance stops forever in the middle of its work; a new one starts on the same
database.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chassis.bus.topology import build
from chassis.bus.topology_model import Topology
from chassis.core.definition import EffectHandler, ServiceDefinition
from chassis.core.retry import PoisonMessage
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.message import Message
from chassis.messaging.untrusted import count
from contracts.catalog import CATALOG
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.registry import SERVICES
from payment_svc.provider import effect_handler
from tests.simulation import virtual_time
from tests.simulation.dead_letter_causes import Causes
from tests.simulation.external_services import CardProvider, FakeMailServer, ProviderLine
from tests.simulation.fake_broker import Broker, FakeConnection
from tests.simulation.fake_database import Disk
from tests.simulation.faults import Counted, Kind, Moment, Plan, chance
from tests.simulation.instance import Instance
from tests.simulation.trace import Trace

TOPOLOGY: Topology = build(make() for make in SERVICES.values())  # there is no HTTP traffic here
_HANDLED = [queue.name for queue in TOPOLOGY.queues if queue.name.endswith((".events", ".commands"))]
HOURS_S = 2 * 3600.0
MONTHS_S = 90 * 86_400.0
REST_S_MAX = 6 * 3600.0
CLIENT, OPERATOR = "client", "operator"


@dataclass(frozen=True)
class Size:
    """`delays`: a seed for how long operations take; None: they take no time.

    `real_subscriptions`: instances consume through chassis.bus.rabbitmq_subscription, with its prefetch and
    probation.
    """

    services: Mapping[str, ServiceDefinition]
    instances: int = 1
    delays: int | None = None
    real_subscriptions: bool = False


class NotAtRest(AssertionError):
    """Something still waits, although no fault is left."""


class World:
    """All services, their environment and the clock. Create it inside a VirtualTimeLoop."""

    def __init__(self, plan: Plan, size: Size, monitor: Any) -> None:
        self.size = size
        self.trace = Trace()
        self.plan = Counted(plan, self.trace.note)
        self.names: dict[str, str] = {}
        self.broker = Broker(TOPOLOGY, self.plan, self.called, self.delay)
        self.broker.received = self._received
        self.broker.real_subscriptions = size.real_subscriptions
        self.disks = {name: Disk() for name in size.services}
        self.provider = CardProvider()
        self.post = FakeMailServer()
        self.performs: Callable[[ProviderLine, Callable[[], datetime]], EffectHandler[Any, Any]] = (
            effect_handler
        )
        self.monitor = monitor
        self._causes = Causes(self.broker, monitor.forged)
        self.registered: set[str] = set()
        self.erased: set[str] = set()
        self.taken_down: Counter[str] = Counter()
        self.fatal: set[str] = set()  # orders; an instance that is about to write one dies
        self.deaths: Counter[str] = Counter()
        self._when_emitted: list[tuple[type[Message], Callable[[], None]]] = []
        self._instances: list[Instance] = []
        self._absent = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = 0
        self._wrapped: dict[str, WireMessage] = {}
        self._given_back: set[tuple[str, str]] = set()
        for name, disk in self.disks.items():
            disk.saved = lambda change, name=name: monitor.saved(name, change)  # type: ignore[misc]

    async def open(self) -> None:
        for name in self.size.services:
            for _ in range(self.size.instances):
                self._begin(name)
        await asyncio.sleep(0.01)

    def _begin(self, name: str) -> None:
        instance = Instance(self, name)
        self._instances.append(instance)
        instance.start()

    async def close(self) -> None:
        """Stop everything, so that nothing continues in another world."""
        for instance in self._instances:
            await instance.bury()
        for task in self._tasks:
            task.cancel()

    # actions of people and operators

    def called_later(self, message: type[Message], do: Callable[[], None]) -> None:
        """Call `do` when a message of this type is published for the first time."""
        self._when_emitted.append((message, do))

    async def send(self, message: Message, user: str = CLIENT, id_: str = "") -> None:
        """Publish as a client does: repeatedly, with the same id, until the broker confirms."""
        self._sent += 1
        message_id = id_ or f"sent-{self._sent}"
        wire_message = self._wrapped.setdefault(
            message_id,
            wrap(message, id=message_id, source=user, now=virtual_time.now()).wire_message(CATALOG),
        )
        self.trace.note(user, "sends", self.called(wire_message))
        bus = FakeConnection(self.broker, user, _Outsider(), self.called)
        while any(await bus.publish([wire_message])):
            await asyncio.sleep(1.0)

    def soon(self, message: Message, user: str = CLIENT) -> None:
        self.go(self.send(message, user))

    def go(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take_down(self, name: str, for_s: float) -> None:
        for instance in [each for each in self._instances if each.name == name]:
            self.fell(instance, for_s)

    def instances(self, name: str) -> list[Instance]:
        return [instance for instance in self._instances if instance.name == name]

    async def redrive(self) -> None:
        """An operator redrives the dead letters: months later,
        but early enough for messages with a horizon.
        """
        dead_letters = self._dead_letters()
        while dead_letters:
            urgent = [dead_letter for dead_letter in dead_letters if CATALOG[dead_letter.type].HORIZON]
            now = urgent or dead_letters
            await self._give_back(now, after_s=HOURS_S if urgent else MONTHS_S)
            dead_letters = [each for each in dead_letters if each not in now] + self._dead_letters()

    def _dead_letters(self) -> list[DeadLetter]:
        """The dead letters to redrive: without poison, and without forged ones that were already redriven."""
        dead = [
            dead_letter
            for name in self.disks
            for dead_letter in self.broker.take_dead(name)
            if not self._is_fatal(dead_letter)
        ]
        unexplained = [
            f"{self.called(each.wire_message)}, {each.error_type}" for each in self._causes.unexplained(dead)
        ]
        assert not unexplained, f"a dead letter that nothing explains: {unexplained[0]}"
        given_back, self._given_back = (
            set(self._given_back),
            self._given_back | {_named(each) for each in dead},
        )
        again = [each for each in dead if not (each.id in self.monitor.forged and _named(each) in given_back)]
        return [dead_letter for dead_letter in again if dead_letter.type in CATALOG]

    def _is_fatal(self, dead_letter: DeadLetter) -> bool:
        return dead_letter.journey_id in self.fatal and dead_letter.error_type == PoisonMessage.__name__

    async def _give_back(self, dead_letters: list[DeadLetter], after_s: float) -> None:
        self.jump(after_s)
        for dead_letter in dead_letters:
            self.trace.note(OPERATOR, "redrives", self.called(dead_letter.wire_message))
            self.broker.give_back(
                dead_letter.origin_queue, [replace(dead_letter.original_message, user_id=OPERATOR)]
            )
        await asyncio.sleep(0.1)
        await self.rest()

    # progress of the run

    def fell(self, instance: Instance, back_after_s: float) -> None:
        if not instance.dead:
            instance.dead = True
            self._absent += 1
            self._instances.remove(instance)
            self._causes.crashed(instance.name)
            self.trace.note(instance.name, "crashes,", f"back in {back_after_s:.0f} s")
            self.go(self._replace(instance, back_after_s))

    async def _replace(self, instance: Instance, after_s: float) -> None:
        await instance.bury()
        await asyncio.sleep(after_s)
        self._absent -= 1
        self._begin(instance.name)

    async def rest(self) -> None:
        """Wait until the shop is at rest.

        Raises NotAtRest if it never is, and AssertionError if a service crashed.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + REST_S_MAX
        pause_s = 0.05
        while not self._quiet():
            self._raise_bugs()
            if loop.time() > end:
                raise NotAtRest(f"after {REST_S_MAX / 3600:.0f} hours something still moves")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 60.0)
        self._raise_bugs()

    def _quiet(self) -> bool:
        return not (
            self._absent
            or self._tasks
            or self.broker.under_way
            or self.broker.away
            or any(map(self.broker.queues.get, _HANDLED))
            or any(instance.in_flight for instance in self._instances)
            or any(
                document.loaded.deadline_at or document.unpublished_since
                for disk in self.disks.values()
                for document in disk.documents()
            )
        )

    def _raise_bugs(self) -> None:
        if self.monitor.broken:
            raise AssertionError(self.monitor.broken[0])
        for instance in self._instances:
            instance.raise_bugs()

    def clock(self) -> datetime:
        return virtual_time.now()

    def jump(self, seconds: float) -> None:
        """Advance the clock. Every timer that was due in between fires now."""
        asyncio.get_running_loop().now_s += seconds  # type: ignore[attr-defined]

    def delay(self, what: str) -> float:
        """Up to 20 ms, and occasionally up to two seconds."""
        if self.size.delays is None:
            return 0.0
        part = chance(self.size.delays, f"{what} at {asyncio.get_running_loop().time():.6f}")
        return part * 0.02 if part < 0.97 else (part - 0.97) * 66

    def _received(self, wire_message: WireMessage) -> None:
        self.monitor.routed(wire_message)
        self.trace.note(wire_message.user_id or "", "has said", self.called(wire_message))
        for waiting in [each for each in self._when_emitted if wire_message.type == each[0].TYPE]:
            self._when_emitted.remove(waiting)
            waiting[1]()

    # names for people

    def name(self, key: str) -> str:
        """A short name that is the same in every run, such as `o1` for an order's id."""
        whole, _, rest = key.partition(":")
        known = self.names.get(whole, whole)
        return f"{known}:{rest}" if rest else known

    def called(self, wire_message: WireMessage) -> str:
        contract = CATALOG.get(wire_message.type or "")
        if contract is None:
            return f"poison {wire_message.message_id}"
        again = f", attempt {number}" if (number := count(wire_message.headers.get("attempt"))) else ""
        return f"{contract.__name__} of {self.name(wire_message.headers.get('subject', ''))}{again}"


def _named(dead_letter: DeadLetter) -> tuple[str, str]:
    return dead_letter.service, dead_letter.id


class _Outsider:
    """A client's connection. It has no faults, because the chassis is under test."""

    async def reaches(self, moment: Moment, what: str) -> None:
        return None

    async def leaves(self, kind: Kind | None) -> None:
        return None

    async def alive(self) -> None:
        return None
