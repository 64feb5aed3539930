"""The environment of the chaos tests: a broker, a database, and the faults that can be injected into them.

Clients reach both through proxies that run in the caller's event loop: blocking that loop takes the network
down. RabbitMQ 3.10 can lose a quorum queue that is younger than two seconds when it is killed.
"""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from journey.admin.private_files import private_dir
from journey.admin.progress_log import Log
from journey.devenv.infra import local_rabbit, mongod
from journey.devenv.infra.mailbox_process import MAILBOX, start_mailbox
from journey.devenv.infra.model import Infrastructure
from journey.devenv.infra.processes import Processes
from tests.chaos.brokers import Cluster, cluster
from tests.chaos.databases import Members, replica_set

Strike = Callable[[random.Random], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """`strike` injects and heals the fault: it returns when the affected server is healthy again."""

    name: str
    strike: Strike
    needs: Literal["one", "three"] | None = None


@dataclass(frozen=True)
class ChaosEnvironment:
    """URLs of the broker and the database lead through proxies with faults; the other URLs do not."""

    infrastructure: Infrastructure
    faults: tuple[Fault, ...]


@asynccontextmanager
async def ground(state_dir: Path, nodes: Literal[1, 3], log: Log) -> AsyncIterator[ChaosEnvironment]:
    """All processes end with the context; logs and data stay in the directory.

    Faults of the same server (broker or database) are injected one after another, whatever their names: with
    two of three nodes down, the majority is lost, which the system does not promise to survive.
    """
    home = Path(tempfile.mkdtemp(prefix=f"ground-of-{nodes}-", dir=private_dir(state_dir)))
    await local_rabbit.find_or_install(log)
    await mongod.find_or_download(log)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(Processes(home).kill, MAILBOX)
        smtp_url, mailbox_url = await start_mailbox(home, log)
        database = await stack.enter_async_context(replica_set(home, nodes, log))
        broker = await stack.enter_async_context(cluster(home, nodes, log))
        infrastructure = Infrastructure(
            kind="local",
            amqp_url=broker.amqp_url,
            management_url=broker.management_url,
            mongo_url=database.url,
            smtp_url=smtp_url,
            mailbox_url=mailbox_url,
            said=f"Using private brokers and databases, {nodes} of each, for fault injection.",
        )
        unfit = "three" if nodes == 1 else "one"
        faults = [*_in_turn(_broker_faults(broker)), *_in_turn(_database_faults(database))]
        yield ChaosEnvironment(infrastructure, tuple(fault for fault in faults if fault.needs != unfit))


def _broker_faults(broker: Cluster) -> list[Fault]:
    return [
        Fault("broker: restart", broker.restart, "one"),
        Fault("broker: rolling restart", broker.restart, "three"),
        Fault("broker: kill -9", broker.kill_leader, "one"),
        Fault("broker: kill -9 of a queue's leader", broker.kill_leader, "three"),
        Fault("broker: SIGSTOP", broker.freeze),
        Fault("broker: memory alarm", broker.memory_alarm),
        Fault("broker: all connections closed", broker.close_connections),
        Fault("network: latency to the broker", broker.network.latency),
        Fault("network: black hole to the broker", broker.network.black_hole),
        Fault("network: connections to the broker reset", broker.network.reset),
    ]


def _database_faults(database: Members) -> list[Fault]:
    return [
        Fault("database: restart", database.restart),
        Fault("database: kill -9", database.kill_primary, "one"),
        Fault("database: kill -9 of the primary", database.kill_primary, "three"),
        Fault("database: kill -9 of a secondary", database.kill_secondary, "three"),
        Fault("database: SIGSTOP", database.freeze_primary),
        Fault("database: stepdown", database.step_down, "three"),
        Fault("network: latency to the database", database.network.latency),
        Fault("network: black hole to the database", database.network.black_hole),
        Fault("network: connections to the database reset", database.network.reset),
    ]


def _in_turn(faults: list[Fault]) -> list[Fault]:
    turn = asyncio.Lock()

    def alone(strike: Strike) -> Strike:
        async def strike_alone(moments: random.Random) -> None:
            async with turn:
                await strike(moments)

        return strike_alone

    return [replace(fault, strike=alone(fault.strike)) for fault in faults]
