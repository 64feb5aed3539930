"""An order's messages as one story, and the orders that wait."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import httpx

from contracts import orders, products
from contracts.identity import new_id
from journey.plain import pretty
from journey.trail import Step, Trail
from operations import story
from tests.examples import PLACED
from tests.operations.desks import DeskInMemory

BEGAN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
TRICK = '"><img src=x onerror=alert(1)>'


def step(
    message_id: str, says: list[str], *, service: str = "order_svc", at: datetime = BEGAN, said_at: datetime = BEGAN
) -> Step:
    said = [
        {"id": id_, "type": orders.OrderPlaced.TYPE, "time": said_at.isoformat(), "subject": "o", "body": "{}"}
        for id_ in says
    ]
    return Step(service, "orders", "o", message_id, orders.PlaceOrder.TYPE, at, "new", "placed", tuple(said))


def test_causes_come_before_effects_even_in_one_moment() -> None:
    """What came from outside is dated by its handling, a moment after what was said about it."""
    trail = Trail([step("placing", ["placed"], at=BEGAN + timedelta(milliseconds=1))])
    assert [saying.id for saying in story.told(trail)] == ["placing", "placed"]
    assert [saying.because for saying in story.told(trail)] == ["", "placing"]


def test_otherwise_the_earlier_comes_first_whatever_it_came_of() -> None:
    seconds = [BEGAN + timedelta(seconds=n) for n in range(4)]
    trail = Trail(
        [
            step("a", ["late"], at=seconds[0], said_at=seconds[3]),
            step("b", ["soon"], at=seconds[1], said_at=seconds[2]),
        ]
    )
    assert [saying.id for saying in story.told(trail)] == ["a", "b", "soon", "late"]


def test_a_message_that_several_hear_is_told_once() -> None:
    trail = Trail([step("placing", ["placed"]), step("placed", []), step("placed", [], service="payment_svc")])
    placing, placed = story.told(trail)
    assert [heard.service for heard in placed.heard] == ["order_svc", "payment_svc"]
    assert placing.body is None and placed.body == "{}"


def test_a_long_silence_is_folded_and_a_short_one_is_not() -> None:
    times = [BEGAN, BEGAN + timedelta(seconds=9), BEGAN + timedelta(minutes=3)]
    steps = [step(f"m{n}", [f"m{n + 1}"], at=at, said_at=at) for n, at in enumerate(times)]
    lines = story.page_of(story.told(Trail(steps))).lines
    assert [line.pause for line in lines] == ["", "", "", "2 min later"]


def test_a_link_to_one_message_opens_the_page_that_holds_it() -> None:
    steps = [step(f"m{n}", [f"m{n + 1}"]) for n in range(5_000)]
    begun = time.process_time()  # what it costs, however busy the machine is
    sayings = story.told(Trail(steps))
    page = story.page_of(sayings, message_id="m4321")
    cost_s = time.process_time() - begun
    assert page.total == 5_001 and len(page.lines) == story.PAGE
    assert page.lines[21].saying.id == "m4321" and page.lines[0].saying.number == 4_301
    assert (page.before, page.after) == (4_201, 4_401)
    assert story.page_of(sayings, begin=10**9).lines[-1].saying.number == 5_001
    assert cost_s < 20, "not one look at all messages for each of them"


def test_a_payload_is_text_that_nothing_obeys() -> None:
    assert pretty(b'{"b": "\xe2\x80\xae\\u001b[2J"}', 100) == '{\n  "b": "�\\u001b[2J"\n}'
    assert pretty(b"\x1b[2J", 100) == "�[2J"
    assert pretty("not json", 100) == "not json"
    assert pretty("[" * 50_000, 100).startswith("[[[")
    assert pretty("x" * 200_000, 100_000).endswith("of 200,000 characters")


# On the pages


async def test_an_order_shows_the_title_that_was_bought_after_a_renaming_and_a_withdrawal(desk: DeskInMemory) -> None:
    await desk.stocked(title="Kettle, blue")
    order_id = await desk.ordered()
    await desk.stocked(title="Samovar")
    await desk.quiet()
    assert "1 × Samovar, KETTLE-BLUE at" in await desk.page(f"/ops/orders/{await desk.ordered()}")
    await desk.give(products.WithdrawProduct(sku="KETTLE-BLUE"))
    await desk.quiet()
    page = await desk.page(f"/ops/orders/{order_id}")
    assert "1 × Kettle, blue, KETTLE-BLUE at" in page and "Samovar" not in page


async def test_the_whole_story_of_an_order_with_payloads_and_causes(desk: DeskInMemory) -> None:
    await desk.stocked()
    order_id = await desk.ordered()
    page = await desk.page(f"/ops/orders/{order_id}")
    for name in "PlaceOrder", "OrderPlaced", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "PaymentCaptured":
        assert f"</a> {name}</h3>" in page, name
    assert "held → committed" in page and "placed → confirmed" in page
    assert "&#34;order_id&#34;: &#34;" in page, "the payload"
    assert "Dispatch: the parcel leaves" in page
    assert 'because of <a href="' in page


async def test_one_message_has_an_address_that_survives_a_reload(desk: DeskInMemory) -> None:
    await desk.stocked()
    order_id = await desk.ordered()
    trail = await desk.town.apps["order_svc"].handle_async_request(_get(f"http://order_svc/journeys/{order_id}"))
    said = json.loads(await trail.aread())[0]["says"][0]["id"]
    for _ in range(2):
        page = await desk.page(f"/ops/orders/{order_id}?message={said}")
        assert f'<li id="m-{said}" class="saying chosen">' in page or "open chosen" in page


async def test_dispatch_is_asked_for_and_the_answer_is_in_the_story(desk: DeskInMemory) -> None:
    await desk.stocked()
    order_id = await desk.ordered()
    assert str(order_id)[-8:].upper() in await desk.page("/ops/stock")
    answer = await desk.send(f"/ops/orders/{order_id}/dispatch")
    assert answer.headers["location"] == f"/ops/orders/{order_id}?said=dispatch"
    await desk.quiet()
    page = await desk.page(f"/ops/orders/{order_id}")
    assert "OrderDispatched" in page and "Dispatch: the parcel leaves" not in page
    assert desk.broker.entries[-1].type == orders.DispatchOrder.TYPE
    assert "Nothing to pick" in await desk.page("/ops/stock")


async def test_a_service_that_is_away_makes_the_story_partial_and_the_page_says_whose_part(desk: DeskInMemory) -> None:
    await desk.stocked()
    order_id = await desk.ordered()
    desk.town.away = {"payment_svc"}
    page = await desk.page(f"/ops/orders/{order_id}")
    assert "Not the whole story:" in page and "payment_svc does not answer" in page.replace(", ", " ")
    desk.town.away = {"order_svc"}
    page = await desk.page(f"/ops/orders/{order_id}")
    assert "StockReserved" in page, "the others know it too"
    assert "order_svc does not answer" in await desk.page("/ops/orders")


async def test_an_order_is_found_by_its_id(desk: DeskInMemory) -> None:
    order_id = new_id()
    answer = await desk.http.get(f"/ops/orders?q=%20{order_id}%20")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ops/orders/{order_id}")
    assert "Write the whole id" in await desk.page("/ops/orders?q=7F3K", 422)
    assert "no service knows order" in (await desk.page(f"/ops/orders/{order_id}", 404)).lower()


async def test_a_stuck_order_says_for_whom_it_waits_since_when_and_what_ends_it(desk: DeskInMemory) -> None:
    await desk.stocked()
    await desk.runtimes["inventory_svc"].stop()
    order_id = await desk.ordered_without_waiting()
    await desk.until_page(f"/ops/orders/{order_id}", "waits for")
    await desk.desk.watch.look()
    assert "No order waits for that long" in await desk.page("/ops/stuck")
    later(desk, minutes=5)
    page = await desk.page("/ops/stuck")
    assert f"/ops/orders/{order_id}" in page
    assert "<strong>inventory_svc</strong> to handle OrderPlaced" in page
    assert "order_svc cancels it" in page, "its deadline"
    assert "goes on by itself when inventory_svc" in page
    assert '<b class="bubble wait num" data-part="stuck-count">1</b>' in await desk.page("/ops")


async def test_a_dead_letter_holds_an_order_up_and_leads_there(desk: DeskInMemory) -> None:
    desk.dies(PLACED, at=datetime.now(UTC) - timedelta(minutes=10))
    page = await desk.page("/ops/stuck")
    assert "/ops/dead-letters/" in page and "OrderPlaced in inventory_svc" in page
    desk.broker.away = True
    later(desk, minutes=1)
    assert "There may be more" in await desk.page("/ops/stuck")


async def test_an_alarm_of_the_broker_is_named_on_the_map_and_where_an_order_waits(desk: DeskInMemory) -> None:
    await desk.stocked()
    await desk.runtimes["inventory_svc"].stop()
    order_id = await desk.ordered_without_waiting()
    await desk.until_page(f"/ops/orders/{order_id}", "waits for")
    desk.memory.queues["inventory_svc.events"].clear()
    desk.broker.alarms = ("rabbit@one is short of disk space",)
    await desk.desk.watch.look()
    assert "rabbit@one is short of disk space" in await desk.page("/ops")
    page = await desk.page(f"/ops/orders/{order_id}")
    assert "nobody can publish: rabbit@one is short of disk space" in page
    assert "published by itself when the broker has room again" in page


async def test_a_search_that_takes_long_shows_what_it_has_found_until_now(desk: DeskInMemory) -> None:
    desk.dies(PLACED, at=datetime.now(UTC) - timedelta(minutes=10))
    goes_on = asyncio.Event()
    answer = desk.town.apps["payment_svc"].handle_async_request

    async def slow(request: httpx.Request) -> httpx.Response:
        if "is_open" in request.url.params:
            await goes_on.wait()
        return await answer(request)

    desk.desk.waiting.first_s = 0.2
    with patch.object(desk.town.apps["payment_svc"], "handle_async_request", slow):
        page = await desk.page("/ops/stuck")
        assert "Still looking" in page and "OrderPlaced in inventory_svc" in page
        goes_on.set()
        page = await desk.until_page("/ops/stuck", "OrderPlaced in inventory_svc")
    assert "Still looking" not in await desk.page("/ops/stuck")


async def test_no_order_waits_is_said_too(desk: DeskInMemory) -> None:
    assert "No order waits for that long" in await desk.page("/ops/stuck")


def later(desk: DeskInMemory, **span: float) -> None:
    """For operations it is later; the services go on by the true time."""
    ahead = timedelta(**span)

    def clock() -> datetime:
        return datetime.now(UTC) + ahead

    for part in desk.desk, desk.desk.waiting, desk.desk.letters:
        name = "clock" if part is desk.desk else "_clock"
        setattr(part, name, clock)


def _get(url: str) -> httpx.Request:
    return httpx.Request("GET", url)
