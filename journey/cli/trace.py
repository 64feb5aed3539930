"""`journey trace`: where the time of an order went, as a waterfall and a sequence diagram."""

import json
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.text import Text

from journey.admin.diagnosis import explain as explain_
from journey.admin.diagnosis.explain import Explanation
from journey.admin.diagnosis.sequence import build_sequence
from journey.admin.diagnosis.timeline import build_timeline
from journey.admin.diagnosis.waterfall import Waterfall, build_waterfall
from journey.admin.text_sanitizer import plain
from journey.cli.console import (
    NOT_AS_PROMISED,
    UNAVAILABLE,
    console,
    run,
    shop_endpoints,
    terminal_width,
    wrapped,
)
from journey.cli.snapshot_view import show_circumstances, show_remedies
from journey.cli.trace_view import sequence_lines, waterfall_lines

trace_app = typer.Typer()


@trace_app.command()
def trace(order: UUID, as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """Show where the time of an order went: queues, handling, effects, waits and retries of each service,
    and a sequence diagram of its messages.

    It is drawn from what the services have recorded, so it works for every order, also without tracing.

    The exit code is 1 if no service knows the order, 3 if it is unknown but a service did not respond.
    """
    found: Explanation = run(explain_.explain(shop_endpoints(), str(order)))
    waterfall = waterfall_of(found)
    if as_json:
        typer.echo(json.dumps(as_document(found, waterfall), indent=2))
    else:
        show(found, waterfall)
    if not found.known:
        raise typer.Exit(UNAVAILABLE if found.history.silent else NOT_AS_PROMISED)


def waterfall_of(found: Explanation) -> Waterfall:
    messages = build_timeline(found.history, [each for each, _ in found.awaited], found.dead_letters)
    return build_waterfall(messages, found.history.silent, now=found.at)


def as_document(found: Explanation, waterfall: Waterfall) -> dict[str, Any]:
    diagram = build_sequence(waterfall)
    return {
        "order_id": found.order_id,
        "verdict": found.verdict,
        "status": found.status or None,
        "partial": found.partial,
        "silent": list(found.history.silent),
        "lanes": waterfall.as_json(),
        "sequence": [
            {
                "message_id": arrow.message_id,
                "type": arrow.type,
                "from": arrow.sender or None,
                "to": arrow.service,
                "state": arrow.state.value,
            }
            for arrow in diagram.arrows
        ],
        "remedies": found.remedies,
    }


def show(found: Explanation, waterfall: Waterfall) -> None:
    console.print(Text(wrapped(plain(found.verdict), terminal_width()), style="bold"))
    if waterfall.rows:
        console.print()
        for line in waterfall_lines(waterfall, console.width):
            console.print(line)
        console.print()
        for line in sequence_lines(build_sequence(waterfall), console.width):
            console.print(line)
    show_circumstances(found.snapshot, found.history.silent)
    show_remedies(found.remedies)
    if found.known:
        console.print(f"[dim]`journey explain {found.order_id}` says what it waits for")
