"""`journey scale`: how many instances of each service and of the gateway run."""

from typing import Annotated

import typer

from journey.admin.endpoints import GATEWAY, ShopEndpoints
from journey.admin.instances import MOST, SCALABLE, counts
from journey.cli.console import UsageError, console, log, run, state_dir
from journey.devenv.launcher import running_shop

scale_app = typer.Typer()


@scale_app.command()
def scale(
    wanted: Annotated[
        list[str] | None, typer.Argument(help="SERVICE=COUNT, e.g. order_svc=3", metavar="[SERVICE=COUNT]...")
    ] = None,
) -> None:
    """Set the number of instances per service, or of the gateway; without arguments, show it.

    Surplus instances drain and stop. Each gateway has a port of its own.
    """
    asked = dict(_count(text) for text in wanted or ())

    async def go() -> ShopEndpoints:
        shop = await running_shop(state_dir())
        if asked:
            await shop.scale(asked, log)
        return shop.endpoints

    endpoints = run(go())
    for service, count in counts(endpoints.http).items():
        where = f"   {', '.join(endpoints.public.values())}" if service == GATEWAY else ""
        console.print(f"{service:<17} {count} instance{'s' if count > 1 else ''}{where}")


def _count(text: str) -> tuple[str, int]:
    service, _, count = text.partition("=")
    if service not in SCALABLE:
        raise UsageError(f"{text!r}: no service {service!r}; choose from {', '.join(SCALABLE)}")
    if not count.isdecimal() or not 1 <= int(count) <= MOST:
        raise UsageError(f"{text!r}: the count must be from 1 to {MOST}, e.g. {service}=3")
    return service, int(count)
