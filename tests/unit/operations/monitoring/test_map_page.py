"""The operators' start page: the map with the message flows, and the time lines of the last hour."""

import re
from dataclasses import replace
from datetime import timedelta

from journey.admin.broker.management import Traffic
from operations.app import all_pages
from operations.monitoring.history import INTERVAL_S
from operations.monitoring.pages import MapPages
from tests.support.shops.operations import OperationsApp

FLOW = re.compile(r"<title>(\w+) to (\w+), ([^:]+):")


async def recorded(operations_app: OperationsApp, samples: int = 1) -> None:
    """Record samples as if the interval had passed before each of them."""
    for _ in range(samples):
        operations_app.ahead += timedelta(seconds=INTERVAL_S)
        await operations_app.deps.recorder.record()


def flows(page: str) -> dict[tuple[str, str], str]:
    """(publisher, consumer) -> the rate as shown at the arrow."""
    return {(publisher, consumer): rate for publisher, consumer, rate in FLOW.findall(page)}


async def test_the_page_reports_that_there_is_no_sample_yet(operations_app: OperationsApp) -> None:
    operations_app.deps.history.began = None
    page = await operations_app.page("/ops")
    assert "The first figures appear ten seconds after operations has started." in page
    assert set(flows(page).values()) == {"? /s"}


async def test_the_page_shows_the_begin_of_its_history(operations_app: OperationsApp) -> None:
    await recorded(operations_app, samples=3)
    page = await operations_app.page("/ops")
    began = operations_app.deps.history.began
    assert began is not None
    assert f'Recorded since <time datetime="{began.isoformat(timespec="milliseconds")}"' in page
    assert "so a restart begins a new one" in page


async def test_arrows_show_how_many_messages_were_handled(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    await recorded(operations_app)
    await operations_app.ordered()
    await recorded(operations_app)
    page = await operations_app.page("/ops")
    shown = flows(page)
    assert shown["gateway", "order_svc"].endswith("0.1/s") and shown["order_svc", "inventory_svc"] != "0.0/s"
    assert shown["user_svc", "notification_svc"] == "? /s", "this service has no metrics here"
    assert 'class="flow-some' in page and 'class="flow-unknown' in page
    assert 'data-label="Handled">? /s<' in page, "also in the table, for readers without the map"


async def test_an_unavailable_service_has_a_gap_in_its_lines(operations_app: OperationsApp) -> None:
    await recorded(operations_app, samples=6)
    operations_app.services.away.add("payment_svc")
    await recorded(operations_app, samples=6)
    page = await operations_app.page("/ops")
    row = page[page.index('<th scope="row">payment_svc</th>', page.index("The last hour by service")) :]
    row = row[: row.index("</tr>")]
    handling = row[row.index('data-label="Handling"') :]
    assert '<span class="num">unknown</span>' in handling and 'class="gap"' in handling


async def test_a_stopped_consumer_is_marked_on_the_map(operations_app: OperationsApp) -> None:
    broker, poller = operations_app.broker, operations_app.deps.poller
    broker.overrides["payment_svc.events"] = Traffic(7, 0, 0, 0.0, 0.0)
    broker.overrides["notification_svc.events"] = Traffic(0, 0, 1, 0.0, 0.0)
    broker.overrides["notification_svc.commands"] = Traffic(3, 0, 0, 0.0, 0.0)
    await poller.refresh()
    page = await operations_app.page("/ops")
    assert ">no consumer</text>" in page and ">commands paused</text>" in page
    assert ">7 events · 0 commands</text>" in page
    assert re.search(r'class="flow-\w+ unheard"><title>order_svc to payment_svc', page)


async def test_the_stream_sends_time_lines_with_each_sample(operations_app: OperationsApp) -> None:
    [map_pages] = [pages for pages in all_pages(operations_app.deps) if isinstance(pages, MapPages)]
    first = map_pages._parts()
    assert {"timelines", "flows", "drawn"} <= first.keys()
    assert map_pages._parts() is first
    await recorded(operations_app, samples=2)
    assert map_pages._parts()["timelines"] != first["timelines"]


async def test_the_page_stays_small(operations_app: OperationsApp) -> None:
    history = operations_app.deps.history
    await recorded(operations_app)
    sample = history.latest
    assert sample is not None
    for _ in range(400):  # recording asks every service, so the same figures stand for each interval
        operations_app.ahead += timedelta(seconds=INTERVAL_S)
        sample = replace(sample, at=sample.at + timedelta(seconds=INTERVAL_S))
        history.add(sample)
    assert len(history) == 360
    assert len(await operations_app.page("/ops")) < 250_000
