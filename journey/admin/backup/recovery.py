"""Brings a restored database up to the journal, and lets services publish stored messages again."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.clock import utc_now
from chassis.core.definition import ServiceDefinition
from chassis.core.roll_forward import RolledForward, RollForward, past_decisions
from chassis.messaging.envelope import Envelope, Malformed, parse
from chassis.messaging.message import Message
from chassis.store.mongodb import MongoStore
from contracts.catalog import CATALOG
from journey.admin.backup.dump import Client
from journey.admin.event_log import journal
from journey.admin.event_log.backfill import consumed_types
from journey.admin.progress_log import Log

# How far before the backup the journal is read. A message was published before it was handled, and clocks
# differ; messages that the backup has are recognised by their ids.
MARGIN = timedelta(hours=1)
# The sweeper leaves messages alone that were stored a moment ago, because another task may publish them now.
_SWEPT_AT_ONCE = timedelta(minutes=5)


class JournalTooShort(Exception):
    """The journal has lost events since the backup, so it cannot bring the database up to date."""


@dataclass(frozen=True)
class Reach:
    """The oldest event that the journal has, or None; `complete`: it has never dropped any.

    A journal that was re-created after a lost broker is complete, too.
    """

    oldest: datetime | None
    complete: bool

    def covers(self, taken_at: datetime) -> bool:
        """Whether it has all that the roll-forward of a backup of this time reads."""
        if self.oldest is None:
            return False
        return self.oldest <= taken_at - MARGIN or (self.complete and self.oldest <= taken_at)


async def reach(amqp_url: str) -> Reach:
    """Raises InfrastructureUnavailable or BusUnavailable."""
    async with aclosing(journal.read(amqp_url)) as entries:
        async for entry in entries:
            oldest = datetime.fromisoformat(entry.at) if entry.at else None
            return Reach(oldest, complete=entry.offset == 0)
    return Reach(None, complete=True)


async def roll_forward(
    service: ServiceDefinition,
    *,
    amqp_url: str,
    mongo_url: str,
    database: str,
    since: datetime,
    log: Log,
    progress: Callable[[int, int], None],
) -> RolledForward:
    """Repeat what the service decided from `since` until now. It must not run."""
    found = await _events(service, amqp_url, since, log)
    store = MongoStore(mongo_url, database)
    try:
        await store.start(service.kinds)
        return await RollForward(service, store, progress).run(past_decisions(service, found))
    finally:
        await store.stop()


async def publish_again(
    client: Client, service: ServiceDefinition, database: str, since: datetime, *, waiting: bool = False
) -> int:
    """Mark documents so that the service's sweeper publishes all their stored messages again.

    Those that have changed since, and with `waiting` those that wait for a message, whenever they changed.
    The service publishes them itself, with the same ids and bytes. Returns the number of documents.
    """
    count = 0
    marked = {"$set": {"unpublished_since": utc_now() - _SWEPT_AT_ONCE}}
    for aggregate in service.aggregates:
        chosen: list[dict[str, object]] = [{"changed_at": {"$gte": since}}]
        if waiting and aggregate.open_statuses:
            chosen.append({"state.status": {"$in": sorted(map(str, aggregate.open_statuses))}})
        has_messages = {"$or": [{f"{name}.says.0": {"$exists": True}} for name in ("said", "unchanged")]}
        query = {"$and": [{"$or": chosen}, has_messages]}
        count += (await client[database][aggregate.kind].update_many(query, marked)).modified_count
    return count


async def _events(
    service: ServiceDefinition, amqp_url: str, since: datetime, log: Log
) -> list[tuple[Envelope, Message]]:
    """What the service handles or emitted itself, from the journal, validated as in the services."""
    own = {type_ for type_, each in CATALOG.items() if service.name == each.OWNER}
    types = own.union(consumed_types(service))
    found: list[tuple[Envelope, Message]] = []
    async with aclosing(journal.with_progress(journal.read(amqp_url, since), log)) as entries:
        async for entry in entries:
            if entry.wire_message.type in types:
                try:
                    found.append(parse(entry.wire_message, CATALOG, reader=service.name))
                except Malformed as error:
                    log(f"an event in the journal is left out: {error}")
    return found
