"""Known and unknown figures of the system: an unknown number is never 0."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from journey.admin.broker.management import Traffic
from journey.admin.diagnosis.snapshot import NO_RESPONSE
from journey.admin.registry import CONSUMING_SERVICES, shop_topology
from operations.broker import QueueStats
from operations.dead_letters.cache import DeadLetterSnapshot
from operations.monitoring import service_map
from operations.monitoring.snapshot import (
    UNKNOWN,
    MonitoringSnapshot,
    Readiness,
    current_snapshot,
    total,
    unknown_snapshot,
)
from operations.orders.stuck_orders import known_circumstances
from order_svc.service import order_service
from tests.support.shops.operations import OperationsApp, at_work

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
QUIET = Traffic(0, 0, 2, 0.0, 0.0)
ALL = {queue.name: QUIET for queue in shop_topology().queues}
READY = {name: Readiness({f"{name}:8080": ""}) for name in CONSUMING_SERVICES}


def with_reasons(**reasons: str) -> dict[str, Readiness]:
    """payment_svc with these processes; the others have one, which is ready."""
    return {**READY, "payment_svc": Readiness(reasons)}


def snapshot(
    changes: dict[str, Traffic] | None = None, readiness: dict[str, Readiness] = READY
) -> MonitoringSnapshot:
    return current_snapshot(QueueStats(ALL | (changes or {}), ()), readiness, NOW)


def of(seen: MonitoringSnapshot, name: str = "payment_svc") -> tuple[str, list[str]]:
    service = next(service for service in seen.services if service.name == name)
    return service.state, service.warnings


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    assert total([1, 2.5]) == 3.5 and total([]) == 0
    assert total([1, None]) is None and total([None]) is None


def test_before_the_first_poll_everything_is_unknown() -> None:
    seen = MonitoringSnapshot()
    assert seen.dead is None and seen.missing == []
    assert {service.state for service in seen.services} == {"unknown"}
    assert {service.instances for service in seen.services} == {None}


def test_metrics_of_an_unresponsive_broker_are_not_repeated() -> None:
    before = snapshot({"payment_svc.events": replace(QUIET, ready=7)})
    first = unknown_snapshot(before, "no answer", READY, NOW + timedelta(seconds=5))
    later = unknown_snapshot(first, "no answer", READY, NOW + timedelta(seconds=10))
    assert later.as_of == NOW and later.unknown_since == NOW + timedelta(seconds=5), (
        "since when, not the last try"
    )
    assert later.dead is None and {service.ready for service in later.services} == {None}
    assert later.missing == [], "an unknown queue is not a missing one"
    back = current_snapshot(QueueStats(ALL, ()), READY, NOW + timedelta(seconds=15))
    assert back.unknown_since is None and back.dead == 0


def test_an_unconsumed_queue_is_reported() -> None:
    assert of(snapshot()) == ("ok", [])
    state, [why] = of(snapshot({"payment_svc.events": replace(QUIET, consumers=0)}))
    assert state == "down" and why.startswith("no consumer")


def test_commands_without_a_consumer_are_a_pause_and_no_outage() -> None:
    state, [why] = of(snapshot({"payment_svc.commands": replace(QUIET, consumers=0)}))
    assert state == "slow" and "external service does not respond" in why


def test_messages_that_wait_for_an_update_are_a_warning() -> None:
    """After a rollback no instance consumes the queue of added messages."""
    waiting = {"order_svc.commands.added": Traffic(3, 0, 0, 0.0, 0.0)}
    state, [why] = of(snapshot(waiting), "order_svc")
    assert state == "slow" and "order_svc.commands.added holds 3 messages" in why
    assert of(snapshot(waiting)) == ("ok", [])
    known = known_circumstances({}, snapshot(waiting), DeadLetterSnapshot(NOW, ()))
    assert known.for_update == {"order_svc.commands.added": 3}


def test_an_unresponsive_service_is_down_only_without_consumers() -> None:
    silent = with_reasons(a=NO_RESPONSE)
    assert of(snapshot(readiness=silent)) == ("slow", ["not ready: it does not respond"]), (
        "its consumer works"
    )
    gone = unknown_snapshot(snapshot(), "no answer", silent, NOW)
    assert of(gone)[0] == "down" and of(gone, "order_svc")[0] == "ok"


def test_an_unready_process_is_named_with_its_reason() -> None:
    two_of_three = with_reasons(a="", b="the database does not answer", c="")
    warning = "2 of 3 ready; b: the database does not answer"
    assert of(snapshot(readiness=two_of_three)) == ("slow", [warning])
    unknown = unknown_snapshot(snapshot(), "no answer", two_of_three, NOW)
    assert of(unknown) == ("slow", [warning]), "two processes work: the service is not down"
    assert two_of_three["payment_svc"].unready == ""


def test_a_service_is_unready_without_a_ready_process() -> None:
    none = with_reasons(a=NO_RESPONSE, b="stopping", c=NO_RESPONSE)
    assert none["payment_svc"].unready == "stopping", "a response says more than none"
    assert none["payment_svc"].warning == "0 of 3 ready; a, c: it does not respond; b: stopping"
    assert of(unknown_snapshot(snapshot(), "no answer", none, NOW))[0] == "down"
    assert known_circumstances({}, snapshot(readiness=none), DeadLetterSnapshot(NOW, ())).unready == {
        "payment_svc": "stopping"
    }


def test_locked_dead_letters_are_counted() -> None:
    assert snapshot({"order_svc.dead": Traffic(3, 2, 0, 0.0, 0.0)}).dead == 5
    assert snapshot({"order_svc.dead": UNKNOWN}).dead is None


def test_a_missing_queue_is_named() -> None:
    without = {name: traffic for name, traffic in ALL.items() if name not in ("journal", "user_svc.dead")}
    assert current_snapshot(QueueStats(without, ()), READY, NOW).missing == ["journal", "user_svc.dead"]


# The service map


def test_every_service_has_its_own_position_on_the_map() -> None:
    assert service_map.GRID.keys() <= CONSUMING_SERVICES.keys()
    boxes = service_map.nodes()
    assert len({(box.x, box.y) for box in boxes}) == len(CONSUMING_SERVICES)
    assert all(box.x + service_map.NODE_WIDTH <= service_map.WIDTH + 2 for box in boxes)


def test_services_without_a_chosen_position_get_rows_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    added = {f"added_{number}_svc": order_service for number in range(6)}
    monkeypatch.setattr(service_map, "CONSUMING_SERVICES", CONSUMING_SERVICES | added)
    boxes = {box.name: box for box in service_map.nodes()}
    assert (
        len({(box.x, box.y) for box in boxes.values()}) == len(boxes) == len(CONSUMING_SERVICES) + len(added)
    )
    assert all(box.y + service_map.NODE_HEIGHT <= service_map.height() + 2 for box in boxes.values())
    assert min(boxes[name].y for name in added) > max(boxes[name].y for name in CONSUMING_SERVICES)


def test_message_flows_are_derived_from_the_service_definitions() -> None:
    ways = {(way.publisher, way.consumer): way.types for way in service_map.message_flows()}
    assert ways["gateway", "order_svc"] == ("PlaceOrder", "CancelOrder"), (
        "the commands that the gateway may send"
    )
    assert "StockReserved" in ways["inventory_svc", "payment_svc"]
    assert not any(publisher == consumer for publisher, consumer in ways), "a command to itself is not a flow"
    assert ("notification_svc", "order_svc") not in ways


def test_no_edge_crosses_a_foreign_node() -> None:
    for line in service_map.edges():
        (x1, y1), (x2, y2) = line.start, line.end
        for box in service_map.nodes():
            if box.name in (line.flow.publisher, line.flow.consumer):
                continue
            for part in range(1, 100):
                x, y = x1 + (x2 - x1) * part / 100, y1 + (y2 - y1) * part / 100
                inside = (
                    box.x < x < box.x + service_map.NODE_WIDTH and box.y < y < box.y + service_map.NODE_HEIGHT
                )
                assert not inside, f"{line.flow.publisher} to {line.flow.consumer} runs through {box.name}"


# On the page


async def test_the_map_shows_unknown_and_since_when(operations_app: OperationsApp) -> None:
    assert "as of" in await operations_app.page("/ops")
    operations_app.broker.counts_away = True
    await operations_app.deps.poller.refresh()
    page = await operations_app.page("/ops")
    assert "unknown since" in page and "instances: unknown" in page
    assert ' data-label="Ready">unknown<' in page and ' data-label="Ready">0<' not in page


async def test_the_map_shows_how_many_processes_are_ready(operations_app: OperationsApp) -> None:
    """They share one DNS name, as containers do."""
    hosts = ["10.0.0.5", "10.0.0.6"]
    for host in hosts:
        await operations_app.start_process("payment_svc", host)
    operations_app.services.ips["payment_svc"] = hosts
    await operations_app.deps.poller.refresh()
    page = await operations_app.page("/ops")
    assert '<span class="tag ok">running</span> 2 of 2 ready' in page
    operations_app.services.away.add(hosts[1])
    await operations_app.deps.poller.refresh()
    page = await operations_app.page("/ops")
    assert '<span class="tag wait">warning</span> 1 of 2 ready; 10.0.0.6:80: it does not respond' in page
    assert "1 of 2 ready</text>" in page, "on the map"


async def test_one_poller_serves_all_viewers() -> None:
    async with at_work(poll_s=1000.0) as operations_app:
        for _ in range(20):
            await operations_app.page("/ops")
        assert operations_app.broker.polls == 1, "by the poll interval only"


@pytest.mark.parametrize("name", ["payment_svc.events", "retry.5s", "audit"])
async def test_each_queue_leads_to_rabbitmqs_own_page(operations_app: OperationsApp, name: str) -> None:
    assert f'href="http://rabbit:15672/#/queues/journey/{name}"' in await operations_app.page("/ops")
    assert "s3cret" not in await operations_app.page("/ops")
