"""The order page's live updates: the stream carries the same fragment as the page."""

import re
from collections.abc import AsyncIterator

import pytest

from tests.support.one_title_catalogue import one_title_catalogue
from tests.support.order_outcomes import ORDER, OUTCOMES
from tests.support.shops.gateway import GatewayFixture, running
from tests.support.timeline_fixtures import store_timeline

PAGE = f"/orders/{ORDER}"


@pytest.fixture
async def gateway() -> AsyncIterator[GatewayFixture]:
    async with running(
        GatewayFixture(apps={"product_svc": one_title_catalogue(lambda: "Kettle, blue")})
    ) as gateway:
        yield gateway


async def test_the_live_fragment_equals_that_of_the_page(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    browser = await gateway.logged_in()
    piece = await browser.get(f"{PAGE}/live", headers={"Accept": "text/html"})
    assert piece.text.strip() in (await browser.get(PAGE)).text
    again = await browser.get(
        f"{PAGE}/live", headers={"Accept": "text/html", "If-None-Match": piece.headers["ETag"]}
    )
    assert again.status_code == 304


async def test_the_stream_sends_the_same_fragment(gateway: GatewayFixture) -> None:
    timeline = await store_timeline(gateway, OUTCOMES["refunded"])
    browser = await gateway.logged_in()
    streamed = await browser.get(f"{PAGE}/live", headers={"Accept": "text/event-stream"})
    piece = await browser.get(f"{PAGE}/live", headers={"Accept": "text/html"})
    data = "\n".join(re.findall(r"^data: ?(.*)$", streamed.text, re.MULTILINE))
    assert data.strip().startswith(piece.text.strip())
    assert f"id: {timeline.seq}" in streamed.text
    assert "event: end" in streamed.text


async def test_a_stream_with_an_ended_session_is_401(gateway: GatewayFixture) -> None:
    """The script would take the target of a redirect for a page."""
    await store_timeline(gateway, OUTCOMES["paying"])
    assert (
        await gateway.browser().get(f"{PAGE}/live", headers={"Accept": "text/event-stream"})
    ).status_code == 401
