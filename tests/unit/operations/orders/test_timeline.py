"""An order's messages as a timeline, and the stuck orders."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import httpx

from chassis.messaging.identity import new_id
from contracts import orders, products
from journey.admin.diagnosis import timeline
from journey.admin.diagnosis.journey_history import HistoryEntry, JourneyHistory
from journey.admin.text_sanitizer import pretty
from operations.orders.timeline_page import PAGE, timeline_page
from tests.support.eventually import until
from tests.support.messages import PLACED
from tests.support.shops.operations import OperationsApp

BEGAN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
TRICK = '"><img src=x onerror=alert(1)>'


def entry(
    message_id: str,
    emitted_ids: list[str],
    *,
    service: str = "order_svc",
    at: datetime = BEGAN,
    sent_at: datetime = BEGAN,
) -> HistoryEntry:
    expected = [
        {
            "id": id_,
            "type": orders.OrderPlaced.TYPE,
            "time": sent_at.isoformat(),
            "subject": "o",
            "body": "{}",
        }
        for id_ in emitted_ids
    ]
    return HistoryEntry(
        service, "orders", "o", message_id, orders.PlaceOrder.TYPE, at, "new", "placed", tuple(expected)
    )


def test_causes_come_before_effects_even_in_one_moment() -> None:
    """A message from outside is dated by its handling, slightly after the messages that it caused."""
    history = JourneyHistory([entry("placing", ["placed"], at=BEGAN + timedelta(milliseconds=1))])
    assert [message.id for message in timeline.build_timeline(history)] == ["placing", "placed"]
    assert [message.caused_by for message in timeline.build_timeline(history)] == ["", "placing"]


def test_messages_are_sorted_by_time_unless_cause_and_effect() -> None:
    seconds = [BEGAN + timedelta(seconds=n) for n in range(4)]
    history = JourneyHistory(
        [
            entry("a", ["late"], at=seconds[0], sent_at=seconds[3]),
            entry("b", ["soon"], at=seconds[1], sent_at=seconds[2]),
        ]
    )
    assert [message.id for message in timeline.build_timeline(history)] == ["a", "b", "soon", "late"]


def test_a_message_with_several_consumers_is_listed_once() -> None:
    history = JourneyHistory(
        [entry("placing", ["placed"]), entry("placed", []), entry("placed", [], service="payment_svc")]
    )
    placing, placed = timeline.build_timeline(history)
    assert [handled_type.service for handled_type in placed.handled_by] == ["order_svc", "payment_svc"]
    assert placing.body is None and placed.body == "{}"


def test_only_long_gaps_are_collapsed() -> None:
    times = [BEGAN, BEGAN + timedelta(seconds=9), BEGAN + timedelta(minutes=3)]
    entries = [entry(f"m{n}", [f"m{n + 1}"], at=at, sent_at=at) for n, at in enumerate(times)]
    lines = timeline_page(timeline.build_timeline(JourneyHistory(entries))).rows
    assert [line.pause for line in lines] == ["", "", "", "2 min later"]


def test_a_message_link_opens_its_page() -> None:
    entries = [entry(f"m{n}", [f"m{n + 1}"]) for n in range(5_000)]
    begun = time.process_time()  # CPU time, whatever the load of the machine
    messages = timeline.build_timeline(JourneyHistory(entries))
    page = timeline_page(messages, message_id="m4321")
    cost_s = time.process_time() - begun
    assert page.total == 5_001 and len(page.rows) == PAGE
    assert page.rows[21].message.id == "m4321" and page.rows[0].message.number == 4_301
    assert (page.before, page.after) == (4_201, 4_401)
    assert timeline_page(messages, begin=10**9).rows[-1].message.number == 5_001
    assert cost_s < 20, "not quadratic in the number of messages"


def test_a_payload_is_shown_as_inert_text() -> None:
    assert pretty(b'{"b": "\xe2\x80\xae\\u001b[2J"}', 100) == '{\n  "b": "�\\u001b[2J"\n}'
    assert pretty(b"\x1b[2J", 100) == "�[2J"
    assert pretty("not json", 100) == "not json"
    assert pretty("[" * 50_000, 100).startswith("[[[")
    assert pretty("x" * 200_000, 100_000).endswith("of 200,000 characters")


# On the pages


async def test_an_order_keeps_its_titles_after_renaming_and_withdrawal(
    operations_app: OperationsApp,
) -> None:
    await operations_app.stocked(title="Kettle, blue")
    order_id = await operations_app.ordered()
    await operations_app.stocked(title="Samovar")
    await operations_app.quiet()
    assert "1 × Samovar, KETTLE-BLUE at" in await operations_app.page(
        f"/ops/orders/{await operations_app.ordered()}"
    )
    await operations_app.send_command(products.WithdrawProduct(sku="KETTLE-BLUE"))
    await operations_app.quiet()
    page = await operations_app.page(f"/ops/orders/{order_id}")
    assert "1 × Kettle, blue, KETTLE-BLUE at" in page and "Samovar" not in page


async def test_the_whole_story_of_an_order_with_payloads_and_causes(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    order_id = await operations_app.ordered()
    page = await operations_app.page(f"/ops/orders/{order_id}")
    for name in (
        "PlaceOrder",
        "OrderPlaced",
        "StockReserved",
        "PaymentAuthorized",
        "OrderConfirmed",
        "PaymentCaptured",
    ):
        assert f"</a> {name}</h3>" in page, name
    assert "held → committed" in page and "placed → confirmed" in page
    assert "&#34;order_id&#34;: &#34;" in page, "the payload"
    assert "Dispatch the order" in page
    assert 'caused by <a href="' in page


async def test_one_message_has_an_address_that_survives_a_reload(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    order_id = await operations_app.ordered()
    response = await operations_app.services.apps["order_svc"].handle_async_request(
        _get(f"http://order_svc/journeys/{order_id}")
    )
    expected = json.loads(await response.aread())[0]["says"][0]["id"]
    for _ in range(2):
        page = await operations_app.page(f"/ops/orders/{order_id}?message={expected}")
        assert f'<li id="m-{expected}" class="saying chosen">' in page or "open chosen" in page


async def test_a_dispatch_and_its_outcome_are_in_the_timeline(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    order_id = await operations_app.ordered()
    assert str(order_id)[-8:].upper() in await operations_app.page("/ops/stock")
    response = await operations_app.send(f"/ops/orders/{order_id}/dispatch")
    assert response.headers["location"] == f"/ops/orders/{order_id}?said=dispatch"
    await operations_app.quiet()
    page = await operations_app.page(f"/ops/orders/{order_id}")
    assert "OrderDispatched" in page and "Dispatch the order" not in page
    assert operations_app.broker.entries[-1].type == orders.DispatchOrder.TYPE
    assert "Nothing to pick" in await operations_app.page("/ops/stock")


async def test_an_order_is_dispatched_with_its_tracking_reference(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    order_id = await operations_app.ordered()
    path = f"/ops/orders/{order_id}"
    response = await operations_app.send(f"{path}/dispatch", 422, tracking="?")
    assert "4 to 40 letters" in response.text
    assert operations_app.broker.entries[-1].type != orders.DispatchOrder.TYPE
    await operations_app.send(f"{path}/dispatch", tracking="rr 123 456 785 de")
    await operations_app.quiet()
    page = await operations_app.page(path)
    assert ">RR123456785DE<" in page and "TrackingRecorded" in page
    response = await operations_app.send(f"{path}/tracking", tracking="RR999999999DE")
    await operations_app.quiet()
    assert ">RR999999999DE<" in await operations_app.page(response.headers["location"])
    sent = [entry.type for entry in operations_app.broker.entries[-3:]]
    track = orders.RecordTracking.TYPE
    assert sent == [track, orders.DispatchOrder.TYPE, track], "the mail about the dispatch needs it first"


async def test_an_unavailable_service_is_named_on_the_partial_timeline(
    operations_app: OperationsApp,
) -> None:
    await operations_app.stocked()
    order_id = await operations_app.ordered()
    operations_app.services.away = {"payment_svc"}
    page = await operations_app.page(f"/ops/orders/{order_id}")
    assert "The timeline is incomplete:" in page and "payment_svc does not respond" in page.replace(", ", " ")
    operations_app.services.away = {"order_svc"}
    page = await operations_app.page(f"/ops/orders/{order_id}")
    assert "StockReserved" in page, "the other services have it too"
    assert "order_svc does not respond" in await operations_app.page("/ops/orders")


async def test_an_order_is_found_by_its_id(operations_app: OperationsApp) -> None:
    order_id = new_id()
    response = await operations_app.http.get(f"/ops/orders?q=%20{order_id}%20")
    assert (response.status_code, response.headers["location"]) == (303, f"/ops/orders/{order_id}")
    assert "Enter the whole id" in await operations_app.page("/ops/orders?q=7F3K", 422)
    assert "no service knows order" in (await operations_app.page(f"/ops/orders/{order_id}", 404)).lower()


async def test_a_stuck_order_shows_cause_time_and_remedy(
    operations_app: OperationsApp,
) -> None:
    await operations_app.stocked()
    await operations_app.runtimes["inventory_svc"].stop()
    order_id = await operations_app.ordered_without_waiting()
    await operations_app.until_page(f"/ops/orders/{order_id}", "waits for")
    await operations_app.deps.poller.refresh()
    assert "No order has waited that long" in await operations_app.page("/ops/stuck")
    later(operations_app, minutes=5)
    page = await operations_app.page("/ops/stuck")
    assert f"/ops/orders/{order_id}" in page
    assert "<strong>inventory_svc</strong> to handle OrderPlaced" in page
    assert "order_svc cancels it" in page, "its deadline"
    assert "continues by itself once inventory_svc" in page
    assert '<b class="bubble wait num" data-part="stuck-count">1</b>' in await operations_app.page("/ops")


async def test_a_dead_letter_holds_an_order_up_and_leads_there(operations_app: OperationsApp) -> None:
    operations_app.dies(PLACED, at=datetime.now(UTC) - timedelta(minutes=10))
    page = await operations_app.page("/ops/stuck")
    assert "/ops/dead-letters/" in page and "OrderPlaced in inventory_svc" in page
    operations_app.broker.away = True
    later(operations_app, minutes=1)
    assert "There may be more" in await operations_app.page("/ops/stuck")


async def test_a_broker_alarm_is_shown_on_map_and_stuck_order(
    operations_app: OperationsApp,
) -> None:
    await operations_app.stocked()
    inventory = operations_app.runtimes["inventory_svc"]
    await inventory.stop()  # so that the message waits
    inventory.unready = lambda: ""  # type: ignore[method-assign]  # the alarm is the only reason
    order_id = await operations_app.ordered_without_waiting()
    await operations_app.until_page(f"/ops/orders/{order_id}", "waits for")
    await until(lambda: operations_app.memory.queues["inventory_svc.events"])  # stored, then published
    operations_app.memory.queues["inventory_svc.events"].clear()
    operations_app.broker.alarms = ("rabbit@one is short of disk space",)
    await operations_app.deps.poller.refresh()
    assert "rabbit@one is short of disk space" in await operations_app.page("/ops")
    page = await operations_app.page(f"/ops/orders/{order_id}")
    assert "publishers are blocked: rabbit@one is short of disk space" in page
    assert "published automatically once the broker has room again" in page


async def test_a_long_search_shows_intermediate_results(
    operations_app: OperationsApp,
) -> None:
    operations_app.dies(PLACED, at=datetime.now(UTC) - timedelta(minutes=10))
    goes_on = asyncio.Event()
    response = operations_app.services.apps["payment_svc"].handle_async_request

    async def slow(request: httpx.Request) -> httpx.Response:
        if "is_open" in request.url.params:
            await goes_on.wait()
        return await response(request)

    operations_app.deps.stuck_orders.first_s = 0.2
    with patch.object(operations_app.services.apps["payment_svc"], "handle_async_request", slow):
        page = await operations_app.page("/ops/stuck")
        assert "Still searching" in page and "OrderPlaced in inventory_svc" in page
        goes_on.set()
        page = await operations_app.until_page("/ops/stuck", "OrderPlaced in inventory_svc")
    assert "Still searching" not in await operations_app.page("/ops/stuck")


async def test_no_waiting_order_is_stated(operations_app: OperationsApp) -> None:
    assert "No order has waited that long" in await operations_app.page("/ops/stuck")


def later(operations_app: OperationsApp, **span: float) -> None:
    """Advance the clock of operations only; the services keep the real time."""
    operations_app.ahead = timedelta(**span)


def _get(url: str) -> httpx.Request:
    return httpx.Request("GET", url)
