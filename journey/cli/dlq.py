"""`journey dlq`: list, redrive or drop the services' dead letters;
every action is recorded in the audit log.
"""

import getpass
import json
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Annotated

import httpx
import typer
from rich.progress import Progress
from rich.text import Text

from chassis.clock import utc_now
from chassis.messaging.envelope import OPERATOR
from contracts.text import one_line
from journey.admin.dead_letters import audit_log as audit_
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.groups import DeadLetterGroups, group_dead_letters
from journey.admin.dead_letters.reader import each as each_dead_letter
from journey.admin.dead_letters.reader import queues_of
from journey.admin.dead_letters.redrive import (
    BATCH,
    DROP,
    REDRIVE,
    ActionResult,
    DeadLetterAction,
    redrive_or_drop,
)
from journey.admin.dead_letters.selection import DeadLetterFilter, redrive_blocker
from journey.admin.instances import responding
from journey.admin.registry import CONSUMING_SERVICES
from journey.admin.text_sanitizer import plain
from journey.cli.console import NOT_AS_PROMISED, UsageError, console, run, shop_endpoints
from journey.cli.dead_letter_view import entry_line, errors, in_full, listed, summary
from journey.cli.event_log import moment

dlq_app = typer.Typer(no_args_is_help=True, help="Dead letters: list, show, redrive or drop them.")

Ids = Annotated[
    list[str] | None, typer.Argument(help="ids of messages, as `journey dlq list --each` shows them")
]
Service = Annotated[str, typer.Option("--service", help="only dead letters of this service")]
Type = Annotated[
    str, typer.Option("--type", help="only this wire type (order.placed.v1) or class (OrderPlaced)")
]
Error = Annotated[str, typer.Option("--error", help="only errors that contain this text")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="only print what it would do")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")]
By = Annotated[str, typer.Option("--as", help="operator's name for the audit log; by default user@host")]
Batch = Annotated[int, typer.Option(min=1, max=1_000, help="messages per batch")]
Rate = Annotated[float, typer.Option(min=0, help="messages per second at most; 0: no limit")]
_REJECTIONS_SHOWN_MAX = 20


@dlq_app.command("list")
def list_(
    service: Service = "",
    type_: Type = "",
    error: Error = "",
    each: Annotated[
        bool, typer.Option("--each", help="list every dead letter, not only one per group")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List dead letters by service, error type and message type, as the staff pages do.

    Nothing is removed.
    """
    choice = DeadLetterFilter(type=type_, error=error)
    if as_json:
        _print_json(choice, service)
        return
    groups = DeadLetterGroups(keep=each)
    _read(choice, service, lambda dead_letter: groups.add(dead_letter.brief))
    for group in groups.sorted():
        for line in listed(group, utc_now()):
            console.print(line)
    if groups.sorted():
        console.print(
            "[dim]next: `journey dlq show ID`, then `journey dlq redrive` or `drop`; each has --help"
        )
    else:
        console.print("[green]✓[/] no dead letters" + (" match" if service or type_ or error else ""))


@dlq_app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="id of a message, as `journey dlq list` shows it")],
    as_json: AsJson = False,
) -> None:
    """Show one dead letter: headers, error, traceback and body."""
    dead_letters: list[DeadLetter] = []
    _read(DeadLetterFilter(ids=frozenset([id_])), "", dead_letters.append)
    if as_json:
        typer.echo(json.dumps([summary(dead_letter, in_full=True) for dead_letter in dead_letters], indent=2))
        return
    for dead_letter in dead_letters:  # several services may have dead-lettered the same message
        console.print(in_full(dead_letter))


@dlq_app.command()
def redrive(
    ids: Ids = None,
    service: Service = "",
    type_: Type = "",
    error: Error = "",
    all_: Annotated[bool, typer.Option("--all", help="all dead letters of every service")] = False,
    dry_run: DryRun = False,
    batch: Batch = BATCH,
    rate: Rate = 0.0,
    yes: Yes = False,
    by: By = "",
) -> None:
    """Send dead letters back, unchanged, to their original queues. Messages that are too old are refused."""
    choice = DeadLetterFilter(frozenset(ids or ()), type_, error)
    if not (choice.narrows or service or all_):
        raise UsageError(
            "select some: ids, --service, --type, --error, or --all; `journey dlq list` shows them"
        )
    _can_ask(yes or dry_run)
    going, refused = _judged(choice, service)
    for dead_letter, why in refused[:_REJECTIONS_SHOWN_MAX]:
        console.print(
            Text(f"refused: {plain(dead_letter.type)} {plain(dead_letter.id)}: {plain(why)}", style="yellow")
        )
    if len(refused) > _REJECTIONS_SHOWN_MAX:
        console.print(f"[yellow]refused: {len(refused) - _REJECTIONS_SHOWN_MAX} more")
    whole = _carried_out(
        going, DeadLetterAction(REDRIVE, by or _me(), batch=batch, rate=rate), dry_run=dry_run, yes=yes
    )
    if refused:
        console.print(
            "refused messages stay; once they are resolved otherwise: `journey dlq drop ID --reason …`"
        )
    if refused or not whole:
        raise typer.Exit(NOT_AS_PROMISED)


@dlq_app.command()
def drop(
    reason: Annotated[str, typer.Option(help="why they are no longer needed, for the audit log")],
    ids: Ids = None,
    service: Service = "",
    type_: Type = "",
    error: Error = "",
    dry_run: DryRun = False,
    batch: Batch = BATCH,
    yes: Yes = False,
    by: By = "",
) -> None:
    """Delete dead letters permanently; the reason goes to the audit log."""
    choice = DeadLetterFilter(frozenset(ids or ()), type_, error)
    try:
        reason = one_line(reason)
    except ValueError:
        raise UsageError(
            "--reason must not be empty: only the audit log will remain of the message"
        ) from None
    if not (choice.narrows or service):
        raise UsageError("select some: ids, --service, --type or --error; `journey dlq list` shows them")
    _can_ask(yes or dry_run)
    act = DeadLetterAction(DROP, by or _me(), reason, batch=batch)
    dead_letters: list[DeadLetter] = []
    _read(choice, service, lambda dead_letter: dead_letters.append(dead_letter.brief))
    if not _carried_out(dead_letters, act, dry_run=dry_run, yes=yes):
        raise typer.Exit(NOT_AS_PROMISED)


@dlq_app.command()
def audit(
    since: Annotated[
        str, typer.Option(help="how far back: 30m, 2h, 7d, or a time such as 2026-01-31T12:00")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show who redrove or dropped which message, when and why, and the commands sent on the staff pages."""
    begin = moment(since) if since else None

    async def go() -> list[audit_.AuditEntry]:
        return await audit_.read(shop_endpoints().amqp_url(OPERATOR), begin)

    entries: list[audit_.AuditEntry] = run(go())
    if as_json:
        typer.echo(json.dumps([entry.document() for entry in entries], indent=2))
        return
    for entry in entries:
        console.print(entry_line(entry))
    if not entries:
        console.print("nothing was redriven, dropped or commanded" + (" since then" if since else ""))


async def _meant(choice: DeadLetterFilter, service: str) -> AsyncGenerator[DeadLetter, None]:
    """The selected dead letters, one in memory at a time. Exits with a message if a given id is not found."""
    if service and service not in CONSUMING_SERVICES:
        raise UsageError(f"--service {service!r} is unknown; choose from {', '.join(CONSUMING_SERVICES)}")
    missing = set(choice.ids)
    queues = queues_of([service] if service else CONSUMING_SERVICES)
    async with aclosing(each_dead_letter(shop_endpoints().amqp_url(OPERATOR), queues)) as dead_letters:
        async for dead_letter in dead_letters:
            if choice.matches(dead_letter):
                missing.discard(dead_letter.id)
                yield dead_letter
    if missing:
        for id_ in sorted(missing):
            console.print(Text(f"there is no dead letter {plain(id_)!r}", style="bold red"))
        console.print(
            "`journey dlq list --each` shows the ids, `journey dlq audit` what was redriven or dropped"
        )
        raise typer.Exit(NOT_AS_PROMISED)


def _read(choice: DeadLetterFilter, service: str, take: Callable[[DeadLetter], None]) -> None:
    async def go() -> None:
        async with aclosing(_meant(choice, service)) as dead_letters:
            async for dead_letter in dead_letters:
                take(dead_letter)

    run(go())


def _print_json(choice: DeadLetterFilter, service: str) -> None:
    """Print a JSON array, one dead letter at a time."""
    count = 0

    def echo(dead_letter: DeadLetter) -> None:
        nonlocal count
        typer.echo(("," if count else "[") + json.dumps(summary(dead_letter), indent=2))
        count += 1

    _read(choice, service, echo)
    typer.echo("]" if count else "[]")


def _judged(choice: DeadLetterFilter, service: str) -> tuple[list[DeadLetter], list[tuple[DeadLetter, str]]]:
    """The dead letters that may be redriven, and the others with the reason; all without their bodies."""
    going: list[DeadLetter] = []
    refused: list[tuple[DeadLetter, str]] = []

    async def go() -> None:
        async with httpx.AsyncClient(timeout=5) as http, aclosing(_meant(choice, service)) as dead_letters:
            addresses = await responding(http, shop_endpoints().http)
            async for dead_letter in dead_letters:
                if why := await redrive_blocker(dead_letter, http, addresses, utc_now()):
                    refused.append((dead_letter.brief, why))
                else:
                    going.append(dead_letter.brief)

    run(go())
    return going, refused


def _carried_out(
    dead_letters: Sequence[DeadLetter], act: DeadLetterAction, *, dry_run: bool, yes: bool
) -> bool:
    """Print the plan, ask for confirmation, carry it out. Returns whether all dead letters were settled."""
    for group in group_dead_letters(dead_letters):
        back = ", ".join(plain(queue) for queue in sorted(group.origin_queues))
        where = f"back to {back}" if act.action == REDRIVE else f"of {group.service}"
        console.print(Text(f"{act.action} {group.count} × {plain(group.type)} {where}  ({errors(group)})"))
    if not dead_letters or dry_run:
        console.print(f"nothing to {act.action}" if not dead_letters else "a dry run: nothing was done")
        return True
    if not yes and not typer.confirm(f"{act.action} {len(dead_letters)}?"):
        console.print("nothing was done")
        return True
    with _progress(act.action, len(dead_letters)) as progress:
        work = redrive_or_drop(shop_endpoints().amqp_url(OPERATOR), dead_letters, act, progress)
        done: ActionResult = run(work)
    console.print(f"[green]✓[/] {done.settled} of {len(dead_letters)}: {act.action}, by {plain(act.by)}")
    if done.missing:
        console.print(f"[yellow]{done.missing} were gone: another command holds or settled them")
    for error in done.unsent[:1]:
        console.print(Text(f"{len(done.unsent)} were not sent and stay: {error}", style="red"))
    return done.settled == len(dead_letters)


@contextmanager
def _progress(action: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, lines elsewhere; no line for a single batch."""
    if console.is_terminal:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task(action, total=total)
            yield lambda count: bar.update(task, completed=count)
    else:
        yield lambda count: console.print(f"{action}: {count} of {total}") if count < total else None


def _can_ask(need_not: bool) -> None:
    if not need_not and not sys.stdin.isatty():
        raise UsageError("cannot ask for confirmation without a terminal; try --dry-run, then pass --yes")


def _me() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
