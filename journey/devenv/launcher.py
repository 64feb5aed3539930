"""Chooses how the shop runs: as containers, as local processes, or in memory in one process."""

from pathlib import Path
from typing import Any

from journey.admin.endpoints import recorded
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.progress_log import Log
from journey.devenv import compose_shop
from journey.devenv.infra import environment, resolve
from journey.devenv.process_shop import ProcessShop


async def start_shop(
    state_dir: Path, log: Log, *, deadline_s: float | None = None, allow_memory: bool = False
) -> Any:
    """Start the shop, or attach to the running one. `allow_memory`: fall back to the in-memory shop."""
    settings = {} if deadline_s is None else {"ORDER_DEADLINE_S": str(deadline_s)}
    asked = environment.forced_kind()
    known = recorded(state_dir)
    if known is None and not environment.names_any() and asked in (None, "docker"):
        why_not = await compose_shop.unusable(log)
        if not why_not:
            shop = compose_shop.ComposeShop(state_dir)
            await shop.up(log, settings)
            return shop
        if asked == "docker":
            raise InfrastructureUnavailable(
                why_not, "unset JOURNEY_INFRA, or make Docker and the images available"
            )
        log(f"not using Docker: {why_not}")
    if known is not None and known.kind == "compose":
        shop = compose_shop.ComposeShop(state_dir)
        await shop.up(log, settings)
        return shop
    found = await resolve.obtain(state_dir, allow_memory=allow_memory, log=log)
    if found.kind == "memory":
        from journey.devenv.memory_shop import (
            MemoryShop,
        )  # imports every service's HTTP API, which no other command needs

        memory = MemoryShop(found, deadline_s)
        await memory.up(log)
        return memory
    system = ProcessShop(state_dir, found, allow_faults=True)
    await system.up(log, web=True)
    if settings:
        await system.set("order_svc", **settings)
    return system


async def running_shop(state_dir: Path) -> ProcessShop | compose_shop.ComposeShop:
    """The running shop. Raises InfrastructureUnavailable if none is running."""
    known = recorded(state_dir)
    found = resolve.recorded_in(state_dir)
    if known is not None and known.kind == "compose":
        shop = compose_shop.ComposeShop(state_dir)
        await shop.locate()
        return shop
    if known is None or found is None:
        raise InfrastructureUnavailable("the shop is not running", "start it with `journey up`")
    return ProcessShop(state_dir, found, allow_faults=True)


async def stop_shop(state_dir: Path, log: Log) -> None:
    """Stop what `start_shop` started, including the infrastructure."""
    known, found = recorded(state_dir), resolve.recorded_in(state_dir)
    if known is not None and known.kind == "compose":
        await compose_shop.ComposeShop(state_dir).down(log)
    elif found is not None:
        await ProcessShop(state_dir, found).down(log)
    await resolve.release(state_dir, log=log)
