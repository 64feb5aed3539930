"""`journey dlq`: what the services gave up, and sending it back, or dropping it for a reason; every act is audited."""

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
from contracts.envelope import OPERATOR
from contracts.text import one_line
from journey.admin.dead_letters import audit_log as audit_
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.reader import each as each_letter
from journey.admin.dead_letters.reader import queues_of
from journey.admin.dead_letters.redrive import BATCH, DROP, REDRIVE, ActionResult, DeadLetterAction, settle
from journey.admin.dead_letters.selection import DeadLetterFilter, Groups, group_dead_letters, redrive_blocker
from journey.admin.instances import answering
from journey.admin.registry import CONSUMING_SERVICES
from journey.admin.text_sanitizer import plain
from journey.cli.console import NOT_AS_PROMISED, UsageError, console, place, run
from journey.cli.dead_letter_view import entry_line, in_full, listed, summary
from journey.cli.event_log import moment

dlq_app = typer.Typer(no_args_is_help=True, help="Dead letters: what the services gave up, and what to do about it.")

Ids = Annotated[list[str] | None, typer.Argument(help="ids of messages, as `journey dlq list --each` shows them")]
Service = Annotated[str, typer.Option("--service", help="only what this service gave up")]
Type = Annotated[str, typer.Option("--type", help="only this wire type (order.placed.v1) or class (OrderPlaced)")]
Error = Annotated[str, typer.Option("--error", help="only errors that contain this text")]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="only say what it would do")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask first")]
By = Annotated[str, typer.Option("--as", help="who does this, for the audit log; by default user@host")]
Batch = Annotated[int, typer.Option(min=1, max=1_000, help="how many at a time")]
Rate = Annotated[float, typer.Option(min=0, help="at most so many a second; 0: as fast as it goes")]
_REFUSALS_SHOWN_MAX = 20


@dlq_app.command("list")
def list_(
    service: Service = "",
    type_: Type = "",
    error: Error = "",
    each: Annotated[bool, typer.Option("--each", help="every letter, not only one of each group")] = False,
    as_json: AsJson = False,
) -> None:
    """Dead letters by service, error and type: how many, and how old the oldest is. They stay where they are."""
    choice = DeadLetterFilter(type=type_, error=error)
    if as_json:
        _print_json(choice, service)
        return
    groups = Groups(keep_names=each)
    _read(choice, service, groups.add)
    for group in groups.sorted():
        for line in listed(group, utc_now()):
            console.print(line)
    if groups.sorted():
        console.print("[dim]next: `journey dlq show ID`, then `journey dlq redrive` or `drop`; each has --help")
    else:
        console.print("[green]✓[/] no dead letters" + (" of this sort" if service or type_ or error else ""))


@dlq_app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="id of a message, as `journey dlq list` shows it")],
    as_json: AsJson = False,
) -> None:
    """All that is known of one message: its headers, why it failed, the traceback, the body."""
    letters: list[DeadLetter] = []
    _read(DeadLetterFilter(ids=frozenset([id_])), "", letters.append)
    if as_json:
        typer.echo(json.dumps([summary(letter, in_full=True) for letter in letters], indent=2))
        return
    for letter in letters:  # one message may have died in several services
        console.print(in_full(letter))


@dlq_app.command()
def redrive(
    ids: Ids = None,
    service: Service = "",
    type_: Type = "",
    error: Error = "",
    all_: Annotated[bool, typer.Option("--all", help="all of every service")] = False,
    dry_run: DryRun = False,
    batch: Batch = BATCH,
    rate: Rate = 0.0,
    yes: Yes = False,
    by: By = "",
) -> None:
    """Send dead letters back to the queues that they came from, as they were; what is too old is refused."""
    choice = DeadLetterFilter(frozenset(ids or ()), type_, error)
    if not (choice.narrows or service or all_):
        raise UsageError("say which: ids, --service, --type, --error, or --all; `journey dlq list` shows what there is")
    _can_ask(yes or dry_run)
    going, refused = _judged(choice, service)
    for letter, why in refused[:_REFUSALS_SHOWN_MAX]:
        console.print(Text(f"refused: {plain(letter.type)} {plain(letter.id)}: {plain(why)}", style="yellow"))
    if len(refused) > _REFUSALS_SHOWN_MAX:
        console.print(f"[yellow]refused: {len(refused) - _REFUSALS_SHOWN_MAX} more")
    whole = _carried_out(
        going, DeadLetterAction(REDRIVE, by or _me(), batch=batch, rate=rate), dry_run=dry_run, yes=yes
    )
    if refused:
        console.print("what is refused stays; once it is settled otherwise, `journey dlq drop ID --reason …`")
    if refused or not whole:
        raise typer.Exit(NOT_AS_PROMISED)


@dlq_app.command()
def drop(
    reason: Annotated[str, typer.Option(help="why it is not needed any more, for the audit log")],
    ids: Ids = None,
    service: Service = "",
    type_: Type = "",
    error: Error = "",
    dry_run: DryRun = False,
    batch: Batch = BATCH,
    yes: Yes = False,
    by: By = "",
) -> None:
    """Throw dead letters away, for good and for a reason."""
    choice = DeadLetterFilter(frozenset(ids or ()), type_, error)
    try:
        reason = one_line(reason)
    except ValueError:
        raise UsageError("--reason must say something: it is all that will be left of the message") from None
    if not (choice.narrows or service):
        raise UsageError("say which: ids, --service, --type or --error; `journey dlq list` shows what there is")
    _can_ask(yes or dry_run)
    act = DeadLetterAction(DROP, by or _me(), reason, batch=batch)
    letters: list[DeadLetter] = []
    _read(choice, service, lambda letter: letters.append(letter.brief))
    if not _carried_out(letters, act, dry_run=dry_run, yes=yes):
        raise typer.Exit(NOT_AS_PROMISED)


@dlq_app.command()
def audit(
    since: Annotated[str, typer.Option(help="how far back: 30m, 2h, 7d, or a time as 2026-01-31T12:00")] = "",
    as_json: AsJson = False,
) -> None:
    """Who redrove or dropped what, when, and why; also who commanded what on the operators' pages."""
    begin = moment(since) if since else None

    async def go() -> list[audit_.AuditEntry]:
        return await audit_.read(place().amqp_url(OPERATOR), begin)

    entries: list[audit_.AuditEntry] = run(go())
    if as_json:
        typer.echo(json.dumps([entry.document() for entry in entries], indent=2))
        return
    for entry in entries:
        console.print(entry_line(entry))
    if not entries:
        console.print("nothing was redriven, dropped or commanded" + (" since then" if since else ""))


async def _meant(choice: DeadLetterFilter, service: str) -> AsyncGenerator[DeadLetter, None]:
    """The letters that are meant, one in memory at a time. Exits with a sentence if an id is not there."""
    if service and service not in CONSUMING_SERVICES:
        raise UsageError(f"--service {service!r} is not known; there are {', '.join(CONSUMING_SERVICES)}")
    missing = set(choice.ids)
    queues = queues_of([service] if service else CONSUMING_SERVICES)
    async with aclosing(each_letter(place().amqp_url(OPERATOR), queues)) as letters:
        async for letter in letters:
            if choice.matches(letter):
                missing.discard(letter.id)
                yield letter
    if missing:
        for id_ in sorted(missing):
            console.print(Text(f"no dead letter {plain(id_)!r} is here", style="bold red"))
        console.print("`journey dlq list --each` shows those that are, `journey dlq audit` what became of others")
        raise typer.Exit(NOT_AS_PROMISED)


def _read(choice: DeadLetterFilter, service: str, take: Callable[[DeadLetter], None]) -> None:
    async def go() -> None:
        async with aclosing(_meant(choice, service)) as letters:
            async for letter in letters:
                take(letter)

    run(go())


def _print_json(choice: DeadLetterFilter, service: str) -> None:
    """A list, printed letter by letter."""
    count = 0

    def echo(letter: DeadLetter) -> None:
        nonlocal count
        typer.echo(("," if count else "[") + json.dumps(summary(letter), indent=2))
        count += 1

    _read(choice, service, echo)
    typer.echo("]" if count else "[]")


def _judged(choice: DeadLetterFilter, service: str) -> tuple[list[DeadLetter], list[tuple[DeadLetter, str]]]:
    """The letters that may go, and those that may not, each with why not; without their bodies."""
    going: list[DeadLetter] = []
    refused: list[tuple[DeadLetter, str]] = []

    async def go() -> None:
        async with httpx.AsyncClient(timeout=5) as http, aclosing(_meant(choice, service)) as letters:
            addresses = await answering(http, place().http)
            async for letter in letters:
                if why := await redrive_blocker(letter, http, addresses, utc_now()):
                    refused.append((letter.brief, why))
                else:
                    going.append(letter.brief)

    run(go())
    return going, refused


def _carried_out(letters: Sequence[DeadLetter], act: DeadLetterAction, *, dry_run: bool, yes: bool) -> bool:
    """Say what will be done, ask, do it; whether all was done comes back."""
    for group in group_dead_letters(letters):
        where = f"back to {plain(group.oldest.origin_queue)}" if act.action == REDRIVE else f"of {group.service}"
        console.print(Text(f"{act.action} {group.count} × {plain(group.type)} {where}  ({plain(group.error)})"))
    if not letters or dry_run:
        console.print(f"nothing to {act.action}" if not letters else "a dry run: nothing was done")
        return True
    if not yes and not typer.confirm(f"{act.action} {len(letters)}?"):
        console.print("nothing was done")
        return True
    with _progress(act.action, len(letters)) as progress:
        done: ActionResult = run(settle(place().amqp_url(OPERATOR), letters, act, progress))
    console.print(f"[green]✓[/] {done.settled} of {len(letters)}: {act.action}, by {plain(act.by)}")
    if done.missing:
        console.print(f"[yellow]{done.missing} were not there any more: somebody else holds or took them; look again")
    for error in done.unsent[:1]:
        console.print(Text(f"{len(done.unsent)} stay: {error}", style="red"))
    return done.settled == len(letters)


@contextmanager
def _progress(action: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, lines elsewhere; nothing when it is one batch."""
    if console.is_terminal:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task(action, total=total)
            yield lambda count: bar.update(task, completed=count)
    else:
        yield lambda count: console.print(f"{action}: {count} of {total}") if count < total else None


def _can_ask(need_not: bool) -> None:
    if not need_not and not sys.stdin.isatty():
        raise UsageError("this is no terminal to ask on; try --dry-run, then give --yes")


def _me() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
