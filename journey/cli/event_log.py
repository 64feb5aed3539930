"""`journey journal`, `replay` and `backfill`: read the event log, rebuild orders from it,
publish events again.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.untrusted import shortened
from contracts.catalog import CATALOG
from journey.admin.event_log import backfill as backfill_
from journey.admin.event_log import journal as journal_
from journey.admin.event_log.order_events import ProjectedOrder
from journey.admin.event_log.replay import Comparison, Replay, compared
from journey.admin.registry import CONSUMING_SERVICES
from journey.cli.console import NOT_AS_PROMISED, UsageError, console, log, run, shop_endpoints

journal_app = typer.Typer()

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SHOWN_MAX = 20
_HEADER_BYTES_MAX = _REASON_BYTES_MAX = 1_000
SINCE = "how far back: 30s, 10m, 2h, 3d, or a time such as 2026-01-31T12:00 (UTC unless it has an offset)"


@journal_app.command()
def journal(
    since: Annotated[str | None, typer.Option(help=SINCE + "; by default everything")] = None,
    order: Annotated[UUID | None, typer.Option(help="only the journey of this order")] = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="only this wire type, e.g. order.placed.v1")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object per line, with body and headers")
    ] = False,
) -> None:
    """Print the events in the journal, oldest first, up to now. Reading removes nothing."""
    wanted = _wanted(order, type_)
    show = _print_json if as_json else _print_line

    async def go() -> int:
        shown = 0
        begin = None if since is None else moment(since)
        async with aclosing(journal_.read(shop_endpoints().amqp_url(OPERATOR), begin)) as entries:
            async for entry in entries:
                if wanted(entry):
                    show(entry)
                    shown += 1
        return shown

    if not run(go()):
        console.print("[dim]the journal has no matching event")


@journal_app.command()
def replay(
    order: Annotated[UUID | None, typer.Argument(help="show this order and its timeline")] = None,
    check: Annotated[
        bool, typer.Option(help="compare with order_svc; exit code 1 if a status differs")
    ] = False,
    wait_s: Annotated[float, typer.Option(help="with --check: seconds to wait for events in flight")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per order and line")] = False,
) -> None:
    """Rebuild every order from the journal alone: its status, what it awaits, its timeline."""

    with Replay(only="" if order is None or check else str(order)) as rebuilt:

        async def go() -> Comparison | None:
            here = shop_endpoints()
            await rebuilt.advance(here, _silently if as_json else log)
            return await compared(rebuilt, here, wait_s=wait_s) if check else None

        comparison: Comparison | None = run(go())
        is_known = order is None or bool(rebuilt.order(str(order)).events)
        if as_json:
            for order_id, each in (
                rebuilt.orders() if order is None else [(str(order), rebuilt.order(str(order)))]
            ):
                typer.echo(json.dumps(_document(order_id, each)))
        elif order is not None:
            _show_order(str(order), rebuilt.order(str(order)))
        else:
            _show_summary(rebuilt)
    if not is_known:
        raise typer.Exit(NOT_AS_PROMISED)
    if comparison is not None and not _show_comparison(comparison):
        raise typer.Exit(NOT_AS_PROMISED)


@journal_app.command()
def backfill(
    service: Annotated[str, typer.Argument(help=f"one of {', '.join(CONSUMING_SERVICES)}")],
    since: Annotated[str, typer.Option(help=SINCE)],
    rate: Annotated[float, typer.Option(min=1, help="messages per second at most")] = 500.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count")] = False,
) -> None:
    """Publish events again to one service that may have missed them: a binding was missing,
    or its queue was full.

    Choosing too early a time, or running it twice, is harmless: a service recognizes handled messages by
    their ids.
    """
    if service not in CONSUMING_SERVICES:
        raise UsageError(f"{service!r} is not a service; choose from {', '.join(CONSUMING_SERVICES)}")
    begin = moment(since)
    done = backfill_.Backfilled()

    async def go() -> None:
        here, consumer = shop_endpoints(), CONSUMING_SERVICES[service]()
        async with aclosing(backfill_.missed(here, consumer, begin, done, log)) as batches:
            if dry_run:
                async for _ in batches:
                    pass
                return
            async with backfill_.throttled_publisher(here, consumer, rate) as inlet:
                async for batch in batches:
                    await inlet.give(batch)

    run(go())
    for name, count in sorted(done.by_type.items()):
        console.print(f"{count:>10,} {name}")
    _show_left_out(done.left_out, "skipped")
    span = f", published from {done.first} to {done.last}" if done.count else ""
    verb = "would be published" if dry_run else "published"
    console.print(f"[green]✓[/] {done.count:,} events {verb} to {service}.events{span}")


def _silently(text: str) -> None:
    """No progress in JSON output."""


def moment(text: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> datetime:
    """The time of an option value such as `2h` or `2026-01-31T12:00`."""
    if ago := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        named = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since: {text!r} is not a time; use {SINCE.removeprefix('how far back: ')}"
        ) from None
    named = named if named.tzinfo else named.replace(tzinfo=UTC)
    if named > now():
        raise UsageError(f"--since: {text} is in the future")
    return named


def _wanted(order: UUID | None, type_: str | None) -> Callable[[journal_.Entry], bool]:
    if type_ is not None and type_ not in CATALOG:
        raise UsageError(f"--type: {type_!r} is not a wire type; contracts/ lists them, e.g. order.placed.v1")
    return lambda entry: (
        (order is None or entry.wire_message.correlation_id == str(order))
        and (type_ is None or entry.wire_message.type == type_)
    )


def _print_line(entry: journal_.Entry) -> None:
    """The broker checks only an event's type, so every other field is untrusted and shortened."""
    wire_message = entry.wire_message
    at = shortened(entry.at)
    type_ = shortened(wire_message.type or "?")
    source = shortened(wire_message.app_id or "?")
    subject = shortened(wire_message.headers.get("subject", ""))
    id_ = shortened(wire_message.message_id or "?")
    typer.echo(f"{at:<32}  {type_:<32} {source:<17} {subject:<36}  {id_}")


def _print_json(entry: journal_.Entry) -> None:
    wire_message = entry.wire_message
    headers = {
        shortened(key): shortened(value, _HEADER_BYTES_MAX) if isinstance(value, str) else value
        for key, value in wire_message.headers.items()
        if isinstance(value, str | int)
    }
    names = {
        "id": wire_message.message_id,
        "type": wire_message.type,
        "source": wire_message.app_id,
        "user_id": wire_message.user_id,
    }
    names |= {"correlation_id": wire_message.correlation_id}
    shown = {name: None if value is None else shortened(value) for name, value in names.items()}
    known = {"offset": entry.offset, **shown, "headers": headers}
    typer.echo(json.dumps(known | {"body": wire_message.body.decode(errors="replace")}))


def _show_left_out(reasons: Mapping[str, int], what: str) -> None:
    """Reasons can contain parts of a message, so they are shortened."""
    for reason, count in reasons.items():
        console.print(Text(f"{count:>10,} {what}: {shortened(reason, _REASON_BYTES_MAX)}", style="yellow"))


def _document(order_id: str, order: ProjectedOrder) -> dict[str, Any]:
    timeline = [{"at": event.at, "type": event.contract.TYPE, "id": event.id} for event in order.timeline]
    return {"order_id": order_id, "status": order.status, "awaits": order.awaits, "timeline": timeline}


def _show_order(order_id: str, order: ProjectedOrder) -> None:
    if not order.events:
        console.print(f"[bold red]the journal has no event about order {order_id}")
        return
    for event in order.timeline:
        about = f" {event.mail}" if event.mail else ""
        console.print(Text(f"{shortened(event.at)}  {event.contract.OWNER:<17} {event.contract.TYPE}{about}"))
    console.print(f"[bold]{order.status or 'no status'}[/]; awaits {', '.join(order.awaits) or 'nothing'}")


def _show_summary(rebuilt: Replay) -> None:
    statuses, awaited = Counter[str](), Counter[str]()
    for _, order in rebuilt.orders():
        statuses[order.status or "unknown"] += 1
        awaited.update(order.awaits)
    table = Table("orders", "are, or await")
    for name, count in (*statuses.most_common(), *awaited.most_common()):
        table.add_row(f"{count:,}", name)
    console.print(table)
    _show_left_out(dict(rebuilt.unread.most_common(_SHOWN_MAX)), "events skipped")
    begins = f", from {rebuilt.begins} on" if rebuilt.begins else ""
    console.print(f"{statuses.total():,} orders from {rebuilt.read:,} events{begins}")


def _show_comparison(found: Comparison) -> bool:
    for sentence in found.sentences:
        console.print(Text(shortened(sentence, _REASON_BYTES_MAX), style="bold red"))
    if found.differing > len(found.sentences):
        console.print(f"[bold red]and {found.differing - len(found.sentences):,} more")
    if found.older:
        console.print(f"[yellow]{found.older:,} orders are older than the journal and were not compared")
    console.print(f"{found.agreeing:,} orders have the same status in order_svc")
    return not found.differing
