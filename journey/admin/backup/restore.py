"""Sets the database of a stopped service back to a backup, and brings it up to date."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from chassis.core.definition import ServiceDefinition
from chassis.core.roll_forward import RolledForward
from journey.admin.backup import load, recovery, running
from journey.admin.backup.dump import connected
from journey.admin.backup.manifest import Manifest
from journey.admin.progress_log import Log

OnStep = Callable[[str, int], None]
"""Called with the name of the step that is under way, and how far it is: documents or decisions."""


class NotRestorable(Exception):
    """A restore would do harm now. The text says what to do first."""


@dataclass(frozen=True)
class ServiceDatabase:
    """A service and its database. `amqp_url`: the operator's; `addresses`: of all processes, by name."""

    service: ServiceDefinition
    database: str
    mongo_url: str = field(repr=False)
    amqp_url: str = field(repr=False)
    addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Restored:
    """`rolled`: None without a journal. `republished`: documents whose messages are published again."""

    manifest: Manifest
    rolled: RolledForward | None
    republished: int

    @property
    def since(self) -> datetime:
        """From when on the journal was read."""
        return self.manifest.taken_at - recovery.MARGIN


async def restore(
    target: ServiceDatabase,
    directory: Path,
    *,
    replace: bool,
    with_journal: bool,
    log: Log,
    on_step: OnStep = lambda step, done: None,
) -> Restored:
    """Nothing is changed before the backup and the journal are checked.

    Raises NotRestorable, BackupUnusable, DatabaseInUse, WrittenMeanwhile, or that broker or database are
    unavailable. It may be run again.
    """
    service = target.service
    await _require_stopped(target, asks_broker=with_journal)
    manifest = Manifest.read(directory, service.name)
    if with_journal:
        await _require_journal(target, manifest)
    on_step("checking the backup", 0)
    load.check(manifest, directory)
    async with connected(target.mongo_url) as client:
        if not replace:
            await load.require_empty(client, target.database)
        await load.load(
            client,
            manifest,
            directory=directory,
            database=target.database,
            without={each.kind for each in service.aggregates if not each.restorable},
            on_progress=lambda done: on_step("loading documents", done),
        )
        rolled = None
        if with_journal:
            rolled = await recovery.roll_forward(
                service,
                amqp_url=target.amqp_url,
                mongo_url=target.mongo_url,
                database=target.database,
                since=manifest.taken_at - recovery.MARGIN,
                log=log,
                progress=lambda done, of: on_step("repeating decisions", done),
            )
        restored = Restored(manifest, rolled, 0)
        again = await recovery.publish_again(client, service, target.database, restored.since, waiting=True)
    return Restored(manifest, rolled, again)


async def _require_stopped(target: ServiceDatabase, *, asks_broker: bool) -> None:
    name = target.service.name
    remedy = f"stop every instance of {name} first"
    if found := await running.responding(target.service, target.addresses):
        raise NotRestorable(f"{name} runs at {', '.join(found)}; {remedy}")
    if asks_broker and (count := await running.consumers(target.service, target.amqp_url)):
        raise NotRestorable(f"{name} runs: its queues have {count} consumers; {remedy}")


async def _require_journal(target: ServiceDatabase, manifest: Manifest) -> None:
    """A backup without documents needs none: the journal, if it has any event, begins after it."""
    found = await recovery.reach(target.amqp_url)
    if manifest.documents and not found.covers(manifest.taken_at):
        begins = f"begins at {found.oldest}" if found.oldest else "is empty"
        raise NotRestorable(
            f"the journal {begins}, and the backup was taken at {manifest.taken_at}: events that the restore "
            "needs may be missing; use a newer backup, or --without-journal"
        )
