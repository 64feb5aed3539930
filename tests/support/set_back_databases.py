"""Backs up the databases of a running shop, and sets one of them back while all other services go on."""

from contextlib import aclosing
from datetime import datetime
from pathlib import Path

from chassis.messaging.envelope import OPERATOR
from journey.admin.backup.dump import connected, dump
from journey.admin.backup.restore import Restored, ServiceDatabase, restore
from journey.admin.event_log import backfill
from journey.admin.registry import SERVICES
from journey.devenv.process_shop import ProcessShop

RATE = 1_000.0


async def back_up(system: ProcessShop, directory: Path) -> None:
    async with connected(system.infrastructure.mongo_url) as client:
        for service in SERVICES:
            database = f"{system.endpoints.database_prefix}{service}"
            await dump(
                client, service, database, to=directory, zipped=True, on_progress=lambda documents: None
            )


async def restored(system: ProcessShop, service: str, directory: Path) -> Restored:
    """Restore the database of a stopped service; it is not started."""
    target = ServiceDatabase(
        SERVICES[service](),
        f"{system.endpoints.database_prefix}{service}",
        system.infrastructure.mongo_url,
        system.endpoints.amqp_url(OPERATOR),
        system.endpoints.http,
    )
    return await restore(target, directory, replace=True, with_journal=True, log=lambda text: None)


async def backfilled(system: ProcessShop, name: str, since: datetime) -> int:
    """Returns the number of events that were published to the service again."""
    service, done = SERVICES[name](), backfill.Backfilled()
    missed = backfill.missed(system.endpoints, service, since, done, lambda text: None)
    async with (
        aclosing(missed) as batches,
        backfill.throttled_publisher(system.endpoints, service, RATE) as inlet,
    ):
        async for batch in batches:
            await inlet.give(batch)
    return done.count
