"""`journey dlq list` and the staff page group the same dead letters in the same groups, in the same order."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import httpx
import pytest

from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.retry_ladder import RetryLadder
from chassis.core import retry
from chassis.messaging.envelope import OPERATOR, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Message
from contracts.catalog import CATALOG
from contracts.roles import Role
from journey.admin.endpoints import ShopEndpoints
from journey.admin.registry import CONSUMING_SERVICES
from operations.app import create_app
from tests.support.cli_runner import finish_journey
from tests.support.infrastructure import VirtualHost
from tests.support.messages import CONFIRMED, PLACED
from tests.support.shops.operations import operations_on, operations_settings, token

pytestmark = pytest.mark.real

Group = tuple[int, str, str, str]  # count, class of the message, service, number of other error texts

DEAD: list[tuple[str, Message, Exception]] = [
    ("inventory_svc", PLACED, KeyError("shelf 1")),
    ("inventory_svc", PLACED, KeyError("shelf 2")),
    ("inventory_svc", PLACED, KeyError("price of the article")),
    ("inventory_svc", PLACED, ValueError("shelf 1")),
    ("notification_svc", PLACED, ValueError("no template")),
    ("notification_svc", CONFIRMED, ValueError("no template")),
    ("notification_svc", CONFIRMED, ValueError("no template")),
]


@pytest.fixture
async def staff(vhost: VirtualHost) -> AsyncIterator[httpx.AsyncClient]:
    settings = operations_settings(amqp_url=vhost.url(OPERATOR), rabbitmq_management_url=vhost.management_url)
    headers = {"Authorization": f"Bearer {token(Role.STAFF)}"}
    async with operations_on(settings).open() as deps:
        transport = httpx.ASGITransport(create_app(deps))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://ops", headers=headers, timeout=60
        ) as http:
            yield http


async def test_the_terminal_and_the_page_show_the_same_groups(
    staff: httpx.AsyncClient, vhost: VirtualHost, tmp_path: Path
) -> None:
    for number, (service, message, error) in enumerate(DEAD):
        await die(vhost, service, message, error, at=datetime.now(UTC) - timedelta(minutes=number))
    endpoints = ShopEndpoints("local", vhost.name, vhost.amqp_url, vhost.passwords, {}, "", "")
    (tmp_path / "system.json").write_text(json.dumps(asdict(endpoints)))
    code, printed = await finish_journey(tmp_path, "dlq", "list")
    assert code == 0, printed
    page = await staff.get("/ops/dead-letters")
    assert page.status_code == 200, page.text
    assert of_terminal(printed) == of_page(page.text)
    assert of_terminal(printed) == [
        (3, "OrderPlaced", "inventory_svc", "1"),
        (2, "OrderConfirmed", "notification_svc", ""),
        (1, "OrderPlaced", "inventory_svc", ""),
        (1, "OrderPlaced", "notification_svc", ""),
    ]


def of_terminal(printed: str) -> list[Group]:
    heads = re.findall(r"^ *(\d+) × (\S+)  (\w+)\.dead, from .*\n +(.*)$", printed, re.MULTILINE)
    return [
        (int(count), CATALOG[type_].__name__, service, _others(error))
        for count, type_, service, error in heads
    ]


def of_page(html: str) -> list[Group]:
    found = []
    for card in html.split('<li class="card group">')[1:]:
        head = re.search(r'<h2><a [^>]*>(\w+) <span class="muted">in</span> (\w+)</a>', card)
        count = re.search(r"<strong>(\d+)</strong> dead letter", card)
        error = re.search(r'<p class="why">(.*)</p>', card)
        assert head and count and error, card
        found.append((int(count[1]), head[1], head[2], _others(unescape(error[1]))))
    return found


def _others(error: str) -> str:
    found = re.search(r"and (\d+) other text", error)
    return found[1] if found else ""


async def die(vhost: VirtualHost, service: str, message: Message, error: Exception, *, at: datetime) -> None:
    wire_message = wrap(message, id=str(new_id()), source="order_svc", now=at).wire_message(CATALOG)
    wire_message = replace(wire_message, user_id="order_svc")
    bus = RabbitBus(vhost.url(service))
    await bus.start()
    definition = CONSUMING_SERVICES[service]()
    dead_letter = retry.dead_letter(
        wire_message,
        error,
        queue=definition.events_queue,
        service=definition,
        now=at,
        attempt=RetryLadder().attempts_max,
    )
    assert await bus.publish([dead_letter]) == [None]
    await bus.stop()
