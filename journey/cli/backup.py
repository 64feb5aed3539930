"""`journey backup`, `restore`, `republish`: save a database, set it back, publish stored messages again."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.text import Text

from chassis.bus.protocol import BusUnavailable
from chassis.clock import utc_now
from chassis.core.definition import ServiceDefinition
from chassis.core.roll_forward import WrittenMeanwhile
from chassis.messaging.envelope import OPERATOR
from chassis.settings import DEFAULT_RECOVERY_WINDOW as WINDOW
from journey.admin.backup import dump as dump_
from journey.admin.backup import recovery
from journey.admin.backup.load import DatabaseInUse
from journey.admin.backup.manifest import BackupUnusable, Manifest, NothingStored
from journey.admin.backup.restore import NotRestorable, Restored, ServiceDatabase
from journey.admin.backup.restore import restore as restore_
from journey.admin.endpoints import ShopEndpoints
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import CONSUMING_SERVICES
from journey.cli.console import NOT_AS_PROMISED, UsageError, console, log, run, shop_endpoints
from journey.cli.event_log import SINCE, moment
from journey.cli.progress import ProgressLine

backup_app = typer.Typer()
T = TypeVar("T")

_MONGO = "the database's URL with a user who may read and write; by default that of the running shop"
MongoUrl = Annotated[str, typer.Option("--mongo-url", envvar="MONGO_URL", help=_MONGO)]
Services = Annotated[
    list[str] | None,
    typer.Argument(
        help=f"any of {', '.join(CONSUMING_SERVICES)}; by default all",
        metavar="[SERVICE]...",
        show_default=False,
    ),
]


@backup_app.command()
def backup(
    to: Annotated[Path, typer.Option(help="a directory; one for each backup")],
    services: Services = None,
    gzip: Annotated[bool, typer.Option(help="compress the files")] = True,
    mongo_url: MongoUrl = "",
) -> None:
    """Back up the databases of services, each at one point in time, as files that mongorestore reads.

    The services may keep running.
    """
    chosen = _chosen(services)

    async def go() -> list[Manifest]:
        here = shop_endpoints()
        async with dump_.connected(_database_url(mongo_url, here)) as client:
            found = []
            for service in chosen:
                try:
                    found.append(await _dumped(client, service.name, here, to, gzip=gzip))
                except NothingStored:
                    if services:
                        raise
                    console.print(f"[dim]·[/] {service.name} has never run, so it has no database")
            await _show_reach(here)
            return found

    for manifest in _run(go):
        console.print(
            f"[green]✓[/] {manifest.service}: {manifest.documents:,} documents as of "
            f"{manifest.taken_at.isoformat(timespec='seconds')}"
        )


@backup_app.command()
def restore(
    service: Annotated[str, typer.Argument(help=f"one of {', '.join(CONSUMING_SERVICES)}")],
    from_: Annotated[Path, typer.Option("--from", help="the directory of the backup")],
    replace: Annotated[bool, typer.Option("--replace", help="replace what the database has")] = False,
    journal: Annotated[
        bool,
        typer.Option(
            "--journal/--without-journal", help="repeat what the service decided since, from the journal"
        ),
    ] = True,
    mongo_url: MongoUrl = "",
) -> None:
    """Set the database of a stopped service back to a backup, and bring it up to date from the journal."""
    [definition] = _chosen([service])

    async def go() -> Restored:
        here = shop_endpoints()
        target = ServiceDatabase(
            definition,
            f"{here.database_prefix}{service}",
            _database_url(mongo_url, here),
            here.amqp_url(OPERATOR),
            here.http,
        )
        with ProgressLine(console, f"restoring {service}") as line:
            return await restore_(
                target,
                from_,
                replace=replace,
                with_journal=journal,
                log=log,
                on_step=lambda step, done: line.report(f"{step}, {done:,}"),
            )

    _show(_run(go))


@backup_app.command()
def republish(
    since: Annotated[str, typer.Option(help=SINCE)],
    services: Services = None,
    mongo_url: MongoUrl = "",
) -> None:
    """Let services publish their stored messages again, after the broker has lost queues or the journal.

    Choosing too early a time, or running it twice, is harmless: consumers recognize handled messages by their
    ids.
    """
    begin = moment(since)
    chosen = _chosen(services)

    async def go() -> dict[str, int]:
        here = shop_endpoints()
        async with dump_.connected(_database_url(mongo_url, here)) as client:
            return {
                each.name: await recovery.publish_again(
                    client, each, f"{here.database_prefix}{each.name}", begin
                )
                for each in chosen
            }

    for name, count in _run(go).items():
        console.print(f"{count:>10,} documents of {name}")
    console.print("[green]✓[/] each service publishes the messages of these documents again, within seconds")


async def _dumped(
    client: dump_.Client, service: str, endpoints: ShopEndpoints, to: Path, *, gzip: bool
) -> Manifest:
    database = f"{endpoints.database_prefix}{service}"
    with ProgressLine(console, f"backing up {service}") as line:
        return await dump_.dump(client, service, database, to=to, zipped=gzip, on_progress=_counted(line))


async def _show_reach(endpoints: ShopEndpoints) -> None:
    """Since when the journal has events: a backup from before that cannot be brought up to date."""
    try:
        found = await recovery.reach(endpoints.amqp_url(OPERATOR))
    except (BusUnavailable, InfrastructureUnavailable) as error:
        console.print(f"[yellow]  how far back the journal reaches is unknown: {error}")
        return
    begins = "" if found.oldest is None else f" since {found.oldest.isoformat(timespec='seconds')}"
    console.print(f"  the journal has {'every event' if found.complete else 'all events'}{begins}")
    if not found.covers(utc_now() - WINDOW):
        console.print(
            f"[yellow]  it should reach back {WINDOW.days} days (RECOVERY_WINDOW_DAYS): let the journal "
            "keep more bytes (policy `journal`), or take backups more often"
        )


def _show(restored: Restored) -> None:
    manifest, rolled = restored.manifest, restored.rolled
    taken_at = manifest.taken_at.isoformat(timespec="seconds")
    console.print(f"[green]✓[/] {manifest.service}: {manifest.documents:,} documents as of {taken_at}")
    if rolled is not None:
        console.print(
            f"  since then {rolled.decided:,} messages were decided about again and "
            f"{rolled.recalled:,} events recalled; {rolled.known:,} were known, {rolled.new:,} are new"
        )
        for reason, count in rolled.left.most_common():
            console.print(Text(f"{count:>10,} left to the service: {reason}", style="yellow"))
    console.print(f"  {restored.republished:,} documents whose messages the service publishes again")
    begin = restored.since.isoformat(timespec="minutes")
    console.print(
        f"  next: start {manifest.service}, then `journey backfill {manifest.service} --since {begin}` and "
        "`journey doctor`"
    )


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """As `run`, with the errors of backups."""

    async def go() -> T:
        try:
            return await work()
        except (NotRestorable, DatabaseInUse, WrittenMeanwhile) as error:
            raise UsageError(str(error)) from None

    try:
        result: T = run(go())
    except BackupUnusable as error:
        console.print(Text(f"{error}\n  what to do: use another backup", style="bold red"))
        raise typer.Exit(NOT_AS_PROMISED) from None
    return result


def _chosen(services: list[str] | None) -> list[ServiceDefinition]:
    for name in services or ():
        if name not in CONSUMING_SERVICES:
            raise UsageError(f"{name!r} is not a service; choose from {', '.join(CONSUMING_SERVICES)}")
    return [CONSUMING_SERVICES[name]() for name in services or CONSUMING_SERVICES]


def _database_url(given: str, endpoints: ShopEndpoints) -> str:
    if url := given or endpoints.mongo_url:
        return url
    raise UsageError("the address of the database is unknown; give it with --mongo-url or MONGO_URL")


def _counted(line: ProgressLine) -> Callable[[int], None]:
    return lambda done: line.report(f"{done:,} documents")
