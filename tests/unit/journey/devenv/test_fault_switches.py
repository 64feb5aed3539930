"""Fault switches are off, except in the shops that `journey up` and the demo start on one machine."""

from pathlib import Path

import httpx
import pytest

from journey.devenv import launcher
from journey.devenv.infra.model import Infrastructure
from journey.devenv.memory_shop import MemoryShop
from journey.devenv.process_shop import ProcessShop

SOMEWHERE = Infrastructure(
    "local", "amqp://127.0.0.1:1", "http://operator:s3cret@127.0.0.1:2", "", "", "", ""
)
VARIABLE = "JOURNEY_ALLOW_FAULTS"


def test_a_shop_of_processes_has_no_switches_by_default(tmp_path: Path) -> None:
    system = ProcessShop(tmp_path, SOMEWHERE, own_ports=True)
    assert all(VARIABLE not in system.environment(name) for name in ("payment_svc", "operations"))


async def test_the_running_shop_keeps_its_switches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journey.devenv.launcher.resolve.recorded_in", lambda state_dir: SOMEWHERE)
    monkeypatch.setattr(launcher, "recorded", lambda state_dir: ProcessShop(tmp_path, SOMEWHERE).endpoints)
    system = await launcher.running_shop(tmp_path)
    assert isinstance(system, ProcessShop)
    for name in ("payment_svc", "notification_svc", "gateway", "operations"):
        assert system.environment(name)[VARIABLE] == "1"


async def test_services_of_the_shop_in_memory_can_be_paused() -> None:
    found = Infrastructure("memory", "", "", "", "smtp://127.0.0.1:1", "http://127.0.0.1:1", "")
    shop = MemoryShop(found, None, own_ports=True)
    shop.start("inventory_svc")
    await shop.ready(["inventory_svc"])
    try:
        async with httpx.AsyncClient(base_url=shop.endpoints.http["inventory_svc"]) as http:
            assert (await http.put("/faults/paused", json={})).status_code == 200
            assert (await http.get("/readyz")).status_code == 503
            assert (await http.delete("/faults/paused")).status_code == 200
            assert (await http.get("/readyz")).status_code == 200
    finally:
        await shop.stop("inventory_svc")
