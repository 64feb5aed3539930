"""Each fault once, in an environment without a shop: it has its effect, it heals,
and confirmed data is still there.

`make test` uses one broker and one database; three of each take minutes, and run with `make chaos`.
"""

import asyncio
import json
import os
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import psutil
import pytest
from aiormq.exceptions import ChannelClosed
from pamqp.commands import Basic
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from chassis.bus.aiormq_frames.aiormq_connection import Connection, broker_call, publish
from chassis.bus.protocol import BusUnavailable
from chassis.messaging.envelope import OPERATOR, WireMessage
from tests.chaos.environment import Fault, ground
from tests.chaos.network import LATENCY_S

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]

NODES = [int(number) for number in os.environ.get("GROUND_NODES", "1").split()]
QUEUE = "kept"
RESPONSE_S_MAX = 3.0
FAULT_S_MAX = 200.0
HASTE = 5


class Hasty(random.Random):
    """Makes faults as short as possible, and shorter by a factor."""

    def uniform(self, a: float, b: float) -> float:
        return a / HASTE


class Bystander(Protocol):
    async def write(self, number: int) -> bool:
        """Returns whether it was confirmed."""
        ...

    async def missing(self, confirmed: list[int]) -> set[int]: ...


class Sender:
    """Publishes to a quorum queue."""

    def __init__(self, amqp_url: str) -> None:
        self.connection = Connection(amqp_url, "bystander", heartbeat_s=10)

    @classmethod
    async def started(cls, amqp_url: str) -> "Sender":
        made = cls(amqp_url)
        channel = await made.connection.main_channel()
        await channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await asyncio.sleep(2)  # RabbitMQ 3.10 loses a younger queue when it is killed
        return made

    async def write(self, number: int) -> bool:
        """A lost connection is a failure too; it is reopened."""
        message = WireMessage("", QUEUE, b"kept", str(number), None, None, None)
        await asyncio.sleep(0.02)
        try:
            async with broker_call(RESPONSE_S_MAX):
                if not self.connection.up:
                    await self.connection.open()
                    return False
                channel = await self.connection.main_channel()
                [refused] = await publish(channel, [message], OPERATOR, limit_s=RESPONSE_S_MAX)
        except (BusUnavailable, ChannelClosed):
            return False
        return refused is None

    async def missing(self, confirmed: list[int]) -> set[int]:
        channel = await self.connection.main_channel()
        left = set(confirmed)
        while isinstance((got := await channel.basic_get(QUEUE, no_ack=True)).delivery, Basic.GetOk):
            left.discard(int(got.header.properties.message_id or "-1"))
        return left


class Writer:
    """Writes increasing numbers into a document. A write that arrives after its timeout changes nothing."""

    def __init__(self, mongo_url: str) -> None:
        self.client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            mongo_url,
            w="majority",
            journal=True,
            retryWrites=False,  # failures must be visible
            timeoutMS=int(RESPONSE_S_MAX * 1000),
        )

    async def write(self, number: int) -> bool:
        try:
            await self.client.chaos.kept.update_one(
                {"_id": "last"}, {"$max": {"number": number}}, upsert=True
            )
        except PyMongoError:
            return False
        return True

    async def missing(self, confirmed: list[int]) -> set[int]:
        last = await self.client.chaos.kept.find_one({"_id": "last"})
        return {number for number in confirmed if last is None or number > last["number"]}


@dataclass
class Seen:
    """What is observed of one fault from outside."""

    failures: int = 0
    silence_s: float = 0.0  # the longest time without a confirmed write
    frozen: bool = False
    replaced: bool = False  # whether a process was replaced


EVIDENCE: dict[str, Callable[[Seen], bool]] = {
    "restart": lambda seen: seen.replaced,
    "kill -9": lambda seen: seen.replaced,
    "SIGSTOP": lambda seen: seen.frozen,
    "memory alarm": lambda seen: seen.silence_s >= 3 / HASTE,
    "connections": lambda seen: seen.failures > 0,
    "stepdown": lambda seen: seen.failures > 0,
    "latency": lambda seen: seen.silence_s >= 2 * LATENCY_S,
    "black hole": lambda seen: seen.silence_s >= 10 / HASTE,
}


@dataclass
class Observer:
    """Writes all the time, and observes the processes of one kind of server."""

    bystander: Bystander
    processes: Callable[[], dict[str, psutil.Process]]
    confirmed: list[int] = field(default_factory=list)
    tried: int = 0

    async def during(self, fault: Fault) -> Seen:
        """Ends with a confirmed write after the fault."""
        seen, before = Seen(), self.processes()
        process_faults = asyncio.ensure_future(fault.strike(Hasty(1)))
        looking = asyncio.create_task(self._look(seen))
        try:
            await self._write_until(process_faults, seen)
            await process_faults
        finally:
            process_faults.cancel()
            looking.cancel()
        seen.replaced = before != self.processes()
        return seen

    async def _write_until(self, process_faults: "asyncio.Future[None]", seen: Seen) -> None:
        clock = asyncio.get_running_loop().time
        last = clock()
        async with asyncio.timeout(FAULT_S_MAX):
            while True:
                healed = process_faults.done()
                self.tried += 1
                if await self.bystander.write(self.tried):
                    self.confirmed.append(self.tried)
                    seen.silence_s = max(seen.silence_s, clock() - last)
                    last = clock()
                    if healed:
                        return
                else:
                    seen.failures += 1
                    await asyncio.sleep(0.1)

    async def _look(self, seen: Seen) -> None:
        while True:
            for process in self.processes().values():
                with suppress(psutil.NoSuchProcess):
                    seen.frozen |= process.status() == psutil.STATUS_STOPPED
            await asyncio.sleep(0.05)


def processes(state_dir: Path, kind: str) -> dict[str, psutil.Process]:
    """The running processes, by the name of their record file."""
    found = {}
    for record in state_dir.rglob(f"processes/{kind}*.json"):
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            found[str(record)] = psutil.Process(json.loads(record.read_text())["pid"])
    return found


async def suffer(observer: Observer, faults: list[Fault]) -> None:
    for fault in faults:
        seen = await observer.during(fault)
        evidence = next(evidence for part, evidence in EVIDENCE.items() if part in fault.name)
        assert evidence(seen), f"{fault.name} did not strike: {seen}"
        assert not stopped(observer.processes().values())
    assert not await observer.bystander.missing(observer.confirmed)


@pytest.mark.parametrize("nodes", NODES)
async def test_every_fault_strikes_and_heals_and_loses_nothing(nodes: Literal[1, 3], tmp_path: Path) -> None:
    async with ground(tmp_path, nodes, print) as made:
        started = processes(tmp_path, "")
        sender = await Sender.started(made.infrastructure.amqp_url)
        writer = Writer(made.infrastructure.mongo_url)
        at_the_broker = Observer(sender, partial(processes, tmp_path, "rabbit"))
        at_the_database = Observer(writer, partial(processes, tmp_path, "mongo"))
        async with asyncio.TaskGroup() as both:
            both.create_task(
                suffer(at_the_broker, [fault for fault in made.faults if "broker" in fault.name])
            )
            both.create_task(
                suffer(at_the_database, [fault for fault in made.faults if "database" in fault.name])
            )
        await sender.connection.close()
        await writer.client.close()
        print(
            f"{len(at_the_broker.confirmed)} messages and {len(at_the_database.confirmed)} writes were "
            "confirmed"
        )
    assert len(started) == 2 + 2 * nodes, "a mailbox, a port mapper, and the nodes"
    assert not processes(tmp_path, "")


async def test_no_process_outlives_an_environment_abandoned_during_a_fault(
    tmp_path: Path,
) -> None:
    with pytest.raises(KeyError):
        async with ground(tmp_path, 1, print) as made:
            strikes = [
                asyncio.ensure_future(fault.strike(random.Random(1)))
                for fault in made.faults
                if "SIGSTOP" in fault.name
            ]
            await asyncio.sleep(2)
            running = processes(tmp_path, "").values()
            assert len(running) == 4
            assert stopped(running) == len(strikes) == 2
            for strike in strikes:
                strike.cancel()
            await asyncio.wait(strikes)
            assert not stopped(running), "a fault that is called off still heals what it has struck"
            raise KeyError("somebody stumbles")
    assert not [process for process in running if lives(process)]


def lives(process: psutil.Process) -> bool:
    """False for a zombie, which waits for its parent to read its exit code."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def stopped(those: Iterable[psutil.Process]) -> int:
    return [process.status() for process in those].count(psutil.STATUS_STOPPED)
