"""Fault switches: they end by themselves, and a paused service leaves its messages in their queues."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.core.pausing import PauseSwitch
from chassis.fault_switches import FaultSwitches, SwitchableFault
from chassis.runtime import Runtime
from chassis.web.app import create_app
from journey.admin.registry import shop_topology
from product_svc.service import product_service
from tests.support.eventually import until


class SwitchedFault:
    """A fault that records how it was switched."""

    def __init__(self) -> None:
        self.switched: list[bool] = []
        self.switches = FaultSwitches([SwitchableFault("broken", "it is broken", self._switch)])

    async def _switch(self, on: bool) -> None:
        self.switched.append(on)


async def test_a_fault_ends_by_itself() -> None:
    fault = SwitchedFault()
    await fault.switches.turn_on("broken", for_s=0.05)
    assert fault.switches.ends_at("broken") is not None and fault.switched == [True]
    await until(lambda: fault.switched == [True, False])
    assert fault.switches.ends_at("broken") is None


async def test_turning_a_fault_on_again_starts_its_time_again() -> None:
    fault = SwitchedFault()
    await fault.switches.turn_on("broken", for_s=0.05)
    await fault.switches.turn_on("broken", for_s=1_000)
    await asyncio.sleep(0.2)
    assert False not in fault.switched
    await fault.switches.turn_off("broken")
    assert fault.switched[-1] is False
    await fault.switches.turn_off("broken")
    assert fault.switched.count(False) == 1, "it was off"


async def test_a_fault_lasts_ten_minutes_at_most() -> None:
    fault = SwitchedFault()
    await fault.switches.turn_on("broken", for_s=1e9)
    first = fault.switches.ends_at("broken")
    await fault.switches.turn_on("broken", for_s=600)
    second = fault.switches.ends_at("broken")
    assert first is not None and second is not None and abs((second - first).total_seconds()) < 60
    await fault.switches.close()


class PausableRecorder:
    """A queue that records what is asked of it."""

    def __init__(self) -> None:
        self.is_paused = False

    async def pause(self) -> None:
        self.is_paused = True

    async def resume(self) -> None:
        self.is_paused = False


async def test_a_queue_resumes_when_no_reason_to_pause_is_left() -> None:
    queue, switch = PausableRecorder(), PauseSwitch()
    circuit = await switch.add(queue)
    await switch.turn(True)
    await circuit.pause()
    await switch.turn(False)
    assert queue.is_paused, "the circuit is still open"
    await switch.turn(True)
    await circuit.resume()
    assert queue.is_paused, "the switch is still on"
    await switch.turn(False)
    assert not queue.is_paused


async def test_a_queue_added_to_a_paused_service_is_paused() -> None:
    queue, switch = PausableRecorder(), PauseSwitch()
    await switch.turn(True)
    await switch.add(queue)
    assert queue.is_paused


# In a running service


class RunningService:
    """product_svc in memory, with its HTTP API."""

    def __init__(self, faults: FaultSwitches | None) -> None:
        self.broker = MemoryBroker(shop_topology())
        bus = MemoryBus(self.broker, "product_svc")
        self.runtime = Runtime(product_service(), bus, MemoryStore(), faults=faults)
        transport = httpx.ASGITransport(create_app(self.runtime, None))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://product_svc")


@pytest.fixture
async def service() -> AsyncIterator[RunningService]:
    made = RunningService(FaultSwitches())
    await made.runtime.start()
    yield made
    await made.runtime.kill()


async def test_a_paused_service_has_no_consumer_and_reports_it(service: RunningService) -> None:
    subscriptions = [one for each in service.broker.subscriptions.values() for one in each]
    assert all(one.able for one in subscriptions)
    response = await service.http.put("/faults/paused", json={"for_s": 60})
    assert response.status_code == 200 and response.json()["ends_at"]
    assert not any(one.able for one in subscriptions)
    not_ready = await service.http.get("/readyz")
    assert not_ready.status_code == 503 and "fault switch" not in not_ready.json()["title"]
    assert not_ready.json()["detail"] == "paused by a fault switch"
    assert (await service.http.delete("/faults/paused")).json()["ends_at"] is None
    assert all(one.able for one in subscriptions)
    assert (await service.http.get("/readyz")).status_code == 200


async def test_a_pause_ends_by_itself(service: RunningService) -> None:
    await service.http.put("/faults/paused", json={"for_s": 0.05})
    await until(lambda: service.runtime.unready() == "")


async def test_faults_are_listed_and_wrong_requests_are_refused(service: RunningService) -> None:
    [only] = (await service.http.get("/faults")).json()
    assert (only["name"], only["ends_at"]) == ("paused", None)
    assert (await service.http.put("/faults/no-such", json={})).status_code == 404
    assert (await service.http.put("/faults/paused", json={"for_s": 601})).status_code == 422
    assert service.runtime.unready() == ""


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_without_permission_there_are_no_fault_routes(method: str) -> None:
    service = RunningService(None)
    for path in ("/faults", "/faults/paused"):
        assert (await service.http.request(method, path, json={})).status_code == 404
