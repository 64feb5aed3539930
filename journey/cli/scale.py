"""`journey scale`: how many instances of each service run."""

from typing import Annotated

import typer

from journey.admin.instances import MOST, counts
from journey.admin.registry import SERVICES
from journey.cli.console import UsageError, console, log, run, state_dir
from journey.devenv.launcher import running_shop

scale_app = typer.Typer()


@scale_app.command()
def scale(
    wanted: Annotated[
        list[str] | None, typer.Argument(help="SERVICE=COUNT, e.g. order_svc=3", metavar="[SERVICE=COUNT]...")
    ] = None,
) -> None:
    """Set the number of instances per service; without arguments, show it.

    Surplus instances drain and stop.
    """
    asked = dict(_count(text) for text in wanted or ())

    async def go() -> dict[str, int]:
        shop = await running_shop(state_dir())
        if asked:
            await shop.scale(asked, log)
        return counts(shop.endpoints.http)

    for service, count in run(go()).items():
        console.print(f"{service:<17} {count} instance{'s' if count > 1 else ''}")


def _count(text: str) -> tuple[str, int]:
    service, _, count = text.partition("=")
    if service not in SERVICES:
        raise UsageError(f"{text!r}: no service {service!r}; choose from {', '.join(SERVICES)}")
    if not count.isdecimal() or not 1 <= int(count) <= MOST:
        raise UsageError(f"{text!r}: the count must be from 1 to {MOST}, e.g. {service}=3")
    return service, int(count)
