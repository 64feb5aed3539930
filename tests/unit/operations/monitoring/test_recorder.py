"""A sample of the system every ten seconds: what responded, and what did not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from chassis.messaging.message import Message
from chassis.messaging.partitions import is_added_queue
from contracts.inventory import StockReserved
from contracts.orders import OrderPlaced, PlaceOrder
from journey.admin.broker.management import Traffic
from journey.admin.registry import CONSUMING_SERVICES, shop_topology
from operations.broker import QueueStats
from operations.monitoring.history import History, Sample
from operations.monitoring.recorder import HistoryRecorder
from operations.monitoring.service_metrics import MetricsIncrease
from operations.monitoring.service_processes import ServiceProcess
from operations.monitoring.snapshot import MonitoringSnapshot, current_snapshot
from operations.monitoring.timelines import flow_rates, timelines

NOW = datetime(2031, 5, 6, 7, 30, tzinfo=UTC)
SECOND_ORDER_SVC = ServiceProcess("http://order_svc.2")


class RecordedSystem:
    """Processes whose metrics a test sets, a broker's snapshot, and a clock that moves by the interval."""

    def __init__(self) -> None:
        self.now = NOW
        self.processes = {name: [ServiceProcess(f"http://{name}")] for name in CONSUMING_SERVICES}
        self.handled: dict[tuple[str, str], int] = {}  # (host, wire type) -> number
        self.started = dict.fromkeys((*CONSUMING_SERVICES, "order_svc.2"), 1_000)
        self.away: set[str] = set()
        names = (queue.name for queue in shop_topology().queues)
        queues = {name: Traffic(2, 0, 1, 3.0, 1.5) for name in names if not is_added_queue(name)}
        self.snapshot = current_snapshot(QueueStats(queues, ()), {}, NOW)
        self.history = History()
        self.recorder = HistoryRecorder(
            self.history,
            lambda: self.snapshot,
            http=httpx.AsyncClient(transport=httpx.MockTransport(self._respond)),
            processes=self._processes,
            clock=lambda: self.now,
        )

    async def _processes(self) -> dict[str, list[ServiceProcess]]:
        return self.processes

    def _respond(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        if host in self.away:
            raise httpx.ConnectError("connection refused")
        lines = ["# TYPE journey_messages_handled_total counter"]
        for (name, type_), number in self.handled.items():
            if name == host:
                service = name.partition(".")[0]
                lines.append(f'journey_messages_handled_total{{service="{service}",type="{type_}"}} {number}')
        lines.append(f"process_start_time_seconds {self.started[host]}")
        return httpx.Response(200, text="\n".join(lines) + "\n")

    async def record(self, *changes: Callable[[], None]) -> Sample:
        """Record one more sample, ten seconds after the previous one."""
        for change in changes:
            change()
        self.now += timedelta(seconds=10)
        await self.recorder.record()
        assert self.history.latest is not None
        return self.history.latest

    def adds(self, host: str, message: type[Message], count: int) -> Callable[[], None]:
        def change() -> None:
            self.handled[host, message.TYPE] = self.handled.get((host, message.TYPE), 0) + count

        return change

    def metrics(self, service: str = "order_svc") -> MetricsIncrease | None:
        assert self.history.latest is not None
        return self.history.latest.services[service].metrics


@pytest.fixture
async def system() -> RecordedSystem:
    made = RecordedSystem()
    await made.recorder.record()
    assert made.history.began == NOW and len(made.history) == 0, "nothing to compare with yet"
    return made


async def test_a_sample_has_the_metrics_of_broker_and_services(system: RecordedSystem) -> None:
    sample = await system.record(system.adds("order_svc", PlaceOrder, 5))
    order = sample.services["order_svc"]
    assert (order.ready, order.in_s, order.out_s) == (4, 6.0, 3.0)
    assert order.metrics is not None and order.metrics.handled == {PlaceOrder.TYPE: 5}
    assert order.metrics.span_s == 10.0 and sample.on_ladder is not None
    await system.record()
    quiet = system.metrics()
    assert quiet is not None and quiet.handled == {}


async def test_an_unavailable_service_is_unknown_and_not_zero(system: RecordedSystem) -> None:
    await system.record(lambda: system.away.add("order_svc"))
    assert system.metrics() is None and system.metrics("payment_svc") is not None
    await system.record(system.away.clear)
    assert system.metrics() is None, "nothing is known of the time between the two readings"
    await system.record(system.adds("order_svc", PlaceOrder, 1))
    back = system.metrics()
    assert back is not None and back.handled == {PlaceOrder.TYPE: 1}


async def test_a_restart_of_a_service_is_a_gap(system: RecordedSystem) -> None:
    await system.record(lambda: system.started.update(order_svc=2_000))
    assert system.metrics() is None
    await system.record()
    assert system.metrics() is not None


async def test_all_processes_of_a_service_are_counted(system: RecordedSystem) -> None:
    await system.record(lambda: system.processes["order_svc"].append(SECOND_ORDER_SVC))
    assert system.metrics() is not None, "a new process has no increase yet"
    await system.record(system.adds("order_svc", PlaceOrder, 2), system.adds("order_svc.2", PlaceOrder, 3))
    both = system.metrics()
    assert both is not None and both.handled == {PlaceOrder.TYPE: 5}
    await system.record(lambda: system.away.add("order_svc.2"))
    assert system.metrics() is None, "a total with an unknown part is unknown"


async def test_unknown_metrics_of_the_broker_stay_unknown(system: RecordedSystem) -> None:
    system.snapshot = MonitoringSnapshot(unknown_since=NOW)
    sample = await system.record()
    assert sample.on_ladder is None
    assert {service.ready for service in sample.services.values()} == {None}


async def test_flow_rates_are_what_the_consumer_handled(system: RecordedSystem) -> None:
    await system.record(
        system.adds("order_svc", PlaceOrder, 20),
        system.adds("payment_svc", OrderPlaced, 5),
        system.adds("payment_svc", StockReserved, 15),
    )
    rates = flow_rates(system.history, system.now)
    assert rates["gateway", "order_svc"] == 2.0
    assert rates["order_svc", "payment_svc"] == 0.5 and rates["inventory_svc", "payment_svc"] == 1.5
    assert rates["payment_svc", "order_svc"] == 0.0
    assert set(flow_rates(system.history, system.now + timedelta(minutes=1)).values()) == {None}
    await system.record(lambda: system.away.add("payment_svc"))
    rates = flow_rates(system.history, system.now)
    assert rates["order_svc", "payment_svc"] is None and rates["gateway", "order_svc"] == 0.0


async def test_time_lines_show_rates_and_gaps(system: RecordedSystem) -> None:
    for _ in range(6):
        await system.record(system.adds("order_svc", PlaceOrder, 3))
    for _ in range(6):
        await system.record(lambda: system.away.add("payment_svc"))
    shown = timelines(system.history, system.now)
    charts = {chart.title: chart for chart in shown.system}
    assert shown.began == NOW and (shown.end - shown.start) == timedelta(minutes=10)
    placed = charts["Orders placed"]
    assert placed.lines[0].highest == "18/min" and placed.gaps == ()
    handled = charts["Messages"].lines[1]
    assert handled.now == f"{3 * len(CONSUMING_SERVICES)}/s"
    rows = {service.name: service.charts for service in shown.services}
    assert rows["payment_svc"][2].lines[0].now == "unknown" and rows["payment_svc"][2].gaps
    assert rows["payment_svc"][0].lines[0].now == "3/s", "the broker responds for it"
    assert charts["Failures"].lines[0].now == "unknown", "these processes have no such metric"


async def test_a_response_in_another_format_is_unknown(system: RecordedSystem) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>"))
    system.recorder._http = httpx.AsyncClient(transport=transport)
    sample = await system.record()
    assert {service.metrics for service in sample.services.values()} == {None}
