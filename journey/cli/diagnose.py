"""`journey explain`, `journey trace` and `journey stuck`: where an order stands, where its time went,
and which orders have been waiting for too long.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text

from chassis.messaging.untrusted import shortened
from journey.admin.diagnosis import explain as explain_
from journey.admin.diagnosis import stuck_search
from journey.admin.diagnosis.explain import Explanation
from journey.admin.diagnosis.stuck import StuckOrder
from journey.admin.diagnosis.stuck_search import LISTED_MAX, Search, StuckResult
from journey.admin.durations import rough_duration
from journey.admin.text_sanitizer import plain
from journey.cli.console import (
    NOT_AS_PROMISED,
    UNAVAILABLE,
    UsageError,
    console,
    run,
    shop_endpoints,
    terminal_width,
    wrapped,
)
from journey.cli.progress import ProgressLine
from journey.cli.snapshot_view import show_circumstances, show_remedies
from journey.cli.trace import trace_app
from journey.cli.watch import line

explain_app = typer.Typer()
explain_app.add_typer(trace_app)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_JSON = typer.Option("--json", help="print JSON")


@explain_app.command()
def explain(order: UUID, as_json: Annotated[bool, _JSON] = False) -> None:
    """Explain where an order stands: steps done, what is awaited, by which service, since when,
    and what to do next.

    The exit code is 1 if no service knows the order, 3 if it is unknown but a service did not respond.
    """
    found: Explanation = run(explain_.explain(shop_endpoints(), str(order)))
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        show(found)
    if not found.known:
        raise typer.Exit(UNAVAILABLE if found.history.silent else NOT_AS_PROMISED)


@explain_app.command()
def stuck(
    older_than: Annotated[str, typer.Option(help="minimum waiting time: 30s, 5m, 2h, 1d")] = "1m",
    everything: Annotated[
        bool, typer.Option("--all", help="check the whole history too; takes minutes with a million orders")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="how many to list; all are counted")] = LISTED_MAX,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """List the orders that have been waiting for too long, and what they wait for.

    Reads orders that are not at rest or changed in the hour before that time, and prints each result at once.

    The exit code is 1 if an order is stuck, 3 if none was found but a service did not respond.
    """
    waited = age(older_than)

    async def go() -> StuckResult:
        def listed(order: StuckOrder) -> None:
            if not as_json:
                console.print(_stuck_line(order, datetime.now(UTC)))

        def how_far(search: Search) -> None:
            progress.report(f"{search.compared:,} so far")

        with ProgressLine(console, "comparing emitted and handled messages") as progress:
            return await stuck_search.find(
                shop_endpoints(),
                waited,
                everything=everything,
                listed_max=limit,
                on_found=listed,
                on_progress=how_far,
            )

    found: StuckResult = run(go())
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        show_stuck(found, older_than)
    if found.count:
        raise typer.Exit(NOT_AS_PROMISED)
    if found.partial:
        raise typer.Exit(UNAVAILABLE)


def age(text: str) -> timedelta:
    if not (matched := re.fullmatch(r"(\d{1,6})([smhd])", text)):
        raise UsageError(f"--older-than: {text!r} is not a duration; use 30s, 5m, 2h or 1d")
    return timedelta(**{_UNITS[matched[2]]: int(matched[1])})


def show(found: Explanation) -> None:
    console.print(Text(wrapped(found.verdict, terminal_width()), style="bold"))
    if found.deadline_at is not None:
        console.print(
            f"if it is still waiting, it is cancelled at {_clock(found.deadline_at)}, {_when(found)}"
        )
    if found.history.entries:
        console.print("\n[bold]done")
    for entry in found.history.entries:
        console.print(line(found.history, entry))
    if found.awaited:
        console.print("\n[bold]awaited")
        console.print(_awaited_table(found))
        for each, where in found.awaited:
            console.print(
                Text(plain(f"{_short(each.message.type)}: {each.meaning}\n  {where.sentence}", lines=True))
            )
    awaited_ids = {each.message.id for each, _ in found.awaited}
    besides = [dead_letter for dead_letter in found.dead_letters if dead_letter.id not in awaited_ids]
    if besides:
        console.print("\n[bold]dead letters")
    for dead_letter in besides:
        what = (
            f"{_short(dead_letter.type)} at {dead_letter.service}, {dead_letter.attempts} attempts: "
            f"{dead_letter.error}"
        )
        console.print(Text(plain(what)))
    show_circumstances(found.snapshot, found.history.silent)
    show_remedies(found.remedies)


def _awaited_table(found: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("message", "by", "sent by", "since", "where it is"):
        table.add_column(title, no_wrap=True)
    for each, where in found.awaited:
        since = f"{_clock(each.message.at)}, {rough_duration(found.at - each.message.at)} ago"
        by = each.queue if each.certain else f"{each.queue} (perhaps)"
        table.add_row(_short(each.message.type), by, each.message.by, since, where.where)
    return table


def show_stuck(found: StuckResult, older_than: str) -> None:
    show_circumstances(found.snapshot, list(found.silent))
    count = found.count
    what = "no order has" if count == 0 else "1 order has" if count == 1 else f"{count:,} orders have"
    unsure = (
        f"; there may be {'more' if count else 'some'}, because not everything responded"
        if found.partial
        else ""
    )
    colour = "bold red" if count else "yellow" if found.partial else "green"
    console.print(Text(f"{what} waited for more than {older_than}{unsure}", style=colour))
    if count > len(found.stuck):
        console.print(f"{len(found.stuck):,} are listed; `--limit {count}` lists all")
    if found.since is not None:
        console.print(
            f"[dim]orders at rest since {_clock(found.since)} or longer are not checked; `--all` checks them"
        )
    if found.partial:
        console.print("  what to do: `journey up` starts what is not running")
    if count:
        console.print("`journey explain ORDER` shows details and what to do")


def _stuck_line(order: StuckOrder, at: datetime) -> Text:
    text = Text(f"{order.order_id}  ").append(f"{order.status or '?':<15}", style="bold")
    if order.awaited:
        first, *others = order.awaited
        perhaps = "" if first.certain else " (does not respond)"
        text.append(f" awaits {_short(first.message.type)} by {first.service}{perhaps}")
        text.append(f" and {len(others)} more" if others else "", style="dim")
    elif not order.dead_letters:
        text.append(" awaits its deadline")
    text.append(f", since {_clock(order.since)} ({rough_duration(at - order.since)})")
    if order.deadline_at is not None:
        text.append(f", deadline {_clock(order.deadline_at)}")
    if order.dead_letters:
        kinds = sorted({shortened(dead_letter.error_type) for dead_letter in order.dead_letters})
        text.append(f", {len(order.dead_letters)} dead: {', '.join(kinds)}", "red")
    return text


def _when(found: Explanation) -> str:
    assert found.deadline_at is not None
    left = found.deadline_at - found.at
    return (
        f"in {rough_duration(left)}"
        if left > timedelta(0)
        else f"which was {rough_duration(-left)} ago: order_svc is late"
    )


def _clock(at: datetime) -> str:
    """The time, with the date if it is not today."""
    form = "%H:%M:%S" if at.date() == datetime.now(UTC).date() else "%Y-%m-%d %H:%M:%S"
    return f"{at.astimezone(UTC):{form}} UTC"


def _short(wire_type: str) -> str:
    return wire_type.rpartition(".")[0] or wire_type
