"""The stream that updates a page: only changed parts, one poll for all viewers, never longer than the token's
lifetime.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from chassis.messaging.identity import new_id
from contracts.http.access import AccessToken
from contracts.roles import Role
from journey.admin.broker.management import Traffic
from operations.app import all_pages
from operations.monitoring import pages
from operations.monitoring.pages import MapPages
from tests.support.eventually import until
from tests.support.shops.operations import ADA, OperationsApp


def staff(left: timedelta = timedelta(minutes=9)) -> AccessToken:
    return AccessToken(sub=ADA, sid=new_id(), jti=new_id(), roles=(Role.STAFF,), exp=datetime.now(UTC) + left)


def live(operations_app: OperationsApp) -> MapPages:
    [found] = [pages for pages in all_pages(operations_app.deps) if isinstance(pages, MapPages)]
    return found


async def parts(stream: AsyncIterator[str]) -> dict[str, Any]:
    """The next update; keep-alives are skipped."""
    async with asyncio.timeout(60):
        async for event in stream:
            if event.startswith("event: parts\n"):
                found: dict[str, Any] = json.loads(event.partition("data: ")[2])
                return found
    raise AssertionError("the stream has ended")


async def test_only_the_parts_changed_by_a_stopped_consumer_are_sent(
    operations_app: OperationsApp,
) -> None:
    stream = live(operations_app).stream(staff(), "")
    first = await parts(stream)
    assert {"alerts", "drawn", "figures", "queues", "asof", "dead-count"} <= first.keys()
    asof = operations_app.deps.poller.snapshot.as_of
    while operations_app.deps.poller.snapshot.as_of == asof:
        await asyncio.sleep(0.01)
    second = await parts(stream)
    assert "drawn" not in second and "queues" not in second, "unchanged parts are not sent again"
    operations_app.broker.overrides["payment_svc.events"] = Traffic(0, 0, 0, 0.0, 0.0)
    while "alerts" not in (news := await parts(stream)):
        pass
    assert "payment_svc:</strong> no consumer" in news["alerts"] and "unheard" in news["drawn"]
    await stream.aclose()  # type: ignore[attr-defined]


async def test_an_unresponsive_broker_is_unknown_and_not_empty(operations_app: OperationsApp) -> None:
    stream = live(operations_app).stream(staff(), "")
    await parts(stream)
    operations_app.broker.counts_away = True
    while "figures" not in (news := await parts(stream)):
        pass
    assert "unknown since" in news["asof"] + news.get("alerts", "") and "unknown" in news["figures"]
    await stream.aclose()  # type: ignore[attr-defined]


async def test_numbers_are_formatted_as_on_the_loaded_page(operations_app: OperationsApp) -> None:
    operations_app.broker.overrides["order_svc.dead"] = Traffic(1234, 0, 0, 0.0, 0.0)
    await until(lambda: operations_app.deps.poller.snapshot.dead == 1234)
    number = live(operations_app)._parts()["dead-count"]
    assert number == "1,234" and f'data-part="dead-count">{number}</b>' in await operations_app.page("/ops")


async def test_viewers_share_one_drawing(operations_app: OperationsApp) -> None:
    shared = live(operations_app)
    assert shared._parts() is shared._parts()


async def test_a_stream_ends_with_its_token(operations_app: OperationsApp) -> None:
    shared = live(operations_app)
    async with asyncio.timeout(60):
        events = [event async for event in shared.stream(staff(timedelta(seconds=-1)), "")]
    assert events[0].startswith("retry:") and shared.streams == 0


async def test_a_stop_ends_all_streams_at_once(
    operations_app: OperationsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_PING_S", 1000.0)  # so that nothing else wakes it
    operations_app.deps.poller._poll_s = 1000.0
    stream = live(operations_app).stream(staff(), "")
    await parts(stream)
    rest = asyncio.create_task(_drained(stream))
    await asyncio.sleep(0.05)
    operations_app.deps.stopping.set()
    async with asyncio.timeout(60):
        await rest


async def test_the_event_stream_is_for_staff_only(operations_app: OperationsApp) -> None:
    async with operations_app.client() as stranger:
        assert (await stranger.get("/ops/events")).status_code == 404
    operations_app.deps.stopping.set()  # so that it ends by itself
    response = await operations_app.http.get("/ops/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"


async def _drained(stream: AsyncIterator[str]) -> list[str]:
    return [event async for event in stream]


async def test_messages_discarded_by_a_full_queue_are_shown_and_measured(
    operations_app: OperationsApp,
) -> None:
    stream = live(operations_app).stream(staff(), "")
    assert "Messages were lost" not in (await parts(stream))["alerts"]
    operations_app.broker.broker.lost["order_svc.dead"] = 1_234
    while "Messages were lost" not in (news := await parts(stream)).get("alerts", ""):
        pass
    assert "order_svc.dead was full and discarded 1,234 messages" in news["alerts"]
    assert "there are no dead letters" not in news["alerts"]
    assert REGISTRY.get_sample_value("journey_lost_messages", {"queue": "order_svc.dead"}) == 1_234
    operations_app.broker.away = True
    polls = operations_app.broker.polls
    await until(lambda: operations_app.broker.polls > polls + 12)
    assert operations_app.deps.poller.snapshot.losses, "a total is kept while it is temporarily unknown"
    await stream.aclose()  # type: ignore[attr-defined]
