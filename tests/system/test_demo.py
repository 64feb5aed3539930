"""The demo passes: with real processes, and in memory where nothing can be installed."""

import pytest
from rich.console import Console

from journey.cli import demo
from journey.devenv.infra.model import MEMORY_URL, Infrastructure
from journey.devenv.memory_shop import MemoryShop
from journey.devenv.process_shop import ProcessShop


@pytest.mark.real
@pytest.mark.system
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("system", [{"ORDER_DEADLINE_S": str(demo.DEADLINE_S), "cold": True}], indirect=True)
async def test_the_demo_holds_its_promises_on_real_processes(system: ProcessShop) -> None:
    console = Console(record=True, width=180)
    await system.up(lambda text: None, web=True)
    assert await demo.run(system, console), console.export_text()


@pytest.mark.real
@pytest.mark.timeout(1200)
async def test_the_demo_holds_its_promises_in_memory(real_infrastructure: Infrastructure) -> None:
    found = Infrastructure(
        "memory",
        MEMORY_URL,
        MEMORY_URL,
        MEMORY_URL,
        real_infrastructure.smtp_url,
        real_infrastructure.mailbox_url,
        "",
    )
    shop = MemoryShop(found, deadline_s=demo.DEADLINE_S, own_ports=True)
    console = Console(record=True, width=180)
    await shop.up(lambda text: None)
    try:
        assert await demo.run(shop, console), console.export_text()
    finally:
        await shop.down(lambda text: None)
