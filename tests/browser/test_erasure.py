"""A user erases the account while an order is in progress: the order ends,
and no stored data identifies the user.
"""

import asyncio
import base64
import json
import operator
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import httpx
import pytest
from pymongo import AsyncMongoClient

from chassis.messaging.envelope import OPERATOR
from contracts.orders import DispatchOrder, RecordTracking
from journey.admin.event_log import journal
from journey.devenv.infra.model import Infrastructure
from tests.support.eventually import until
from tests.support.shops.browser import WAIT_S, BrowserShop
from tests.support.shops.gateway import DELIVERY

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]

NAME = "Wilhelmina Featherstonehaugh"
STREET = "77 Unmistakable Lane"
OTHER_STREET = "78 Unmistakable Lane"
HOME = {"label": "home", "recipient": NAME, "street": STREET}
TRACKING = "RR424242424DE"
# docs/retention.md lists them
KEEP_TRACKING = {"order_svc.orders", "gateway.journeys", "notification_svc.mails", "journal"}
MESSAGES_MAX = 5_000
Json = dict[str, Any]


async def test_erasure_is_complete_even_if_an_order_ends_later(
    shop: BrowserShop, real_infrastructure: Infrastructure
) -> None:
    wilma = await shop.register_user(NAME)
    new_email = f"new.{wilma.email}"
    secrets = (wilma.email, new_email, NAME, NAME.split()[1], STREET, OTHER_STREET, wilma.password)
    async with await shop.program(wilma) as program:
        await dispatched_with_reference(shop, program)
    await shop.system.stop("payment_svc")
    async with await shop.program(wilma) as program:
        response = await program.post("/api/v1/users/me/addresses", json=DELIVERY | HOME)
        assert response.is_success, response.text
        await request_email_change(program, new_email, wilma.password)
        other = DELIVERY | {"recipient": NAME, "street": OTHER_STREET}
        order_id = await shop.order(program, "TEA-GREEN", delivery_address=other)
        await shop.wait_for_state(program, order_id, "placed")
        found = await kept(shop, real_infrastructure)
        assert [endpoints for endpoints, text in found if wilma.email in text], (
            "the test does not find the data that it must check"
        )
        export = (await program.get("/api/v1/users/me/export")).json()
        assert OTHER_STREET in str(export["services"]["gateway"])
        assert STREET in str(export) and order_id in str(export["services"]["order_svc"])
        erased = await program.post("/api/v1/users/me/erasure", json={"password": wilma.password})
        assert erased.status_code == 204, erased.text
    olga = await shop.register_user("Olga", staff=True)
    async with await shop.program(olga) as staff:
        await until(lambda: address_is_erased(staff, order_id), within_s=WAIT_S)
    shop.system.start("payment_svc")
    await shop.system.ready(["payment_svc"])
    await until(lambda: ended(shop, order_id), within_s=WAIT_S)
    ids = (str(wilma.user_id), order_id)
    await until(lambda: queues_with(shop, real_infrastructure, ids), holds=operator.not_, within_s=WAIT_S)

    async def left() -> list[tuple[str, str, str]]:
        return traces(await kept(shop, real_infrastructure), secrets)

    await until(left, holds=operator.not_, within_s=WAIT_S)  # what a service is handling is in no queue
    found = await kept(shop, real_infrastructure)
    assert any(order_id in text for endpoints, text in found if endpoints.startswith("journal")), (
        "the journal was not read"
    )
    prefix = shop.system.endpoints.database_prefix
    tracked = {name.removeprefix(prefix).partition(" ")[0] for name, text in found if TRACKING in text}
    assert {"order_svc.orders"} <= tracked <= KEEP_TRACKING


def traces(found: list[tuple[str, str]], secrets: Iterable[str]) -> list[tuple[str, str, str]]:
    """Where a secret is kept, the secret, and what is around it."""
    return [
        (endpoints, secret, text[max(0, text.index(secret) - 80) :][:200])
        for endpoints, text in found
        for secret in secrets
        if secret in text
    ]


async def address_is_erased(staff: httpx.AsyncClient, order_id: str) -> bool:
    """As staff see it; the street is gone at once with it."""
    page = (await staff.get(f"/ops/orders/{order_id}")).raise_for_status()
    return "Erased with the customer" in page.text and OTHER_STREET not in page.text


async def dispatched_with_reference(shop: BrowserShop, program: httpx.AsyncClient) -> None:
    order_id = await shop.order(program, "TEA-GREEN")
    await shop.wait_for_state(program, order_id, "confirmed")
    order = UUID(order_id)
    track = RecordTracking(order_id=order, tracking=TRACKING)
    await shop.system.send(OPERATOR, track, DispatchOrder(order_id=order))
    await shop.wait_for_state(program, order_id, "dispatched")


async def request_email_change(program: httpx.AsyncClient, email: str, password: str) -> None:
    change = {"email": email, "password": password}
    response = await program.post("/api/v1/users/me/email-change", json=change)
    assert response.status_code == 202, response.text


async def ended(shop: BrowserShop, order_id: str) -> bool:
    async with httpx.AsyncClient(base_url=shop.system.endpoints.http["order_svc"]) as http:
        order = (await http.get(f"/orders/{order_id}")).json()
    return order["status"] in ("confirmed", "cancelled")


async def queues_with(shop: BrowserShop, infrastructure: Infrastructure, ids: tuple[str, ...]) -> list[str]:
    """The queues in which messages with one of these ids wait.

    Other tests of the shop leave messages too; some stay on the retry ladder for ten minutes.
    """
    return [
        queue
        for queue, text in await messages(shop, infrastructure.management_url)
        if any(id_ in text for id_ in ids)
    ]


async def kept(shop: BrowserShop, infrastructure: Infrastructure) -> list[tuple[str, str]]:
    """Every document, message, journal entry and log line, as text. The mailbox is outside of the shop."""
    return [
        *await documents(infrastructure.mongo_url, shop.system.endpoints.database_prefix),
        *await messages(shop, infrastructure.management_url),
        *[(f"journal {entry.offset}", text_of(entry)) async for entry in entries(shop)],
        *((str(log.name), log.read_text()) for log in (shop.system.state_dir / "log").iterdir()),
    ]


async def documents(mongo_url: str, prefix: str) -> list[tuple[str, str]]:
    found = []
    async with AsyncMongoClient[Json](mongo_url) as client:
        for name in await client.list_database_names():
            if name.startswith(prefix):
                for collection in await client[name].list_collection_names():
                    found += [
                        (f"{name}.{collection}", repr(document))
                        async for document in client[name][collection].find()
                    ]
    return found


async def messages(shop: BrowserShop, management_url: str) -> list[tuple[str, str]]:
    """All messages in queues. They are returned to their queues."""
    vhost = shop.system.endpoints.vhost
    found = []
    async with httpx.AsyncClient(base_url=management_url, timeout=30) as http:
        queues = (await http.get(f"/api/queues/{vhost}")).json()
        asked = {"count": MESSAGES_MAX, "ackmode": "ack_requeue_true", "encoding": "base64"}
        for queue in queues:
            # an exclusive one holds a lock, and no message
            if queue.get("type") == "stream" or queue.get("exclusive"):
                continue
            response = await http.post(f"/api/queues/{vhost}/{queue['name']}/get", json=asked)
            for message in response.raise_for_status().json():
                body = base64.b64decode(message["payload"]).decode(errors="replace")
                found.append((f"queue {queue['name']}", f"{body} {json.dumps(message['properties'])}"))
    return found


async def entries(shop: BrowserShop) -> journal.Entries:
    async for entry in journal.read(shop.system.endpoints.amqp_url(OPERATOR)):
        yield entry


def text_of(entry: journal.Entry) -> str:
    return f"{entry.wire_message.body.decode(errors='replace')} {entry.wire_message.headers}"


async def test_erasure_requires_the_password_and_ends_all_logins(shop: BrowserShop) -> None:
    gone = await shop.register_user("Gone")
    first, second = await shop.log_in(gone), await shop.log_in(gone)
    bearer = {"Authorization": f"Bearer {first['access_token']}"}
    wrong = await shop.http.post(
        "/api/v1/users/me/erasure", json={"password": "not this one"}, headers=bearer
    )
    assert wrong.status_code in (401, 403), wrong.text
    right = await shop.http.post("/api/v1/users/me/erasure", json={"password": gone.password}, headers=bearer)
    assert right.status_code == 204
    renewals = await asyncio.gather(
        *(
            shop.http.post("/api/v1/sessions/refresh", json={"refresh_token": tokens["refresh_token"]})
            for tokens in (first, second)
        )
    )
    assert {response.status_code for response in renewals} == {401}
    again = await shop.http.post("/api/v1/sessions", json={"email": gone.email, "password": gone.password})
    assert again.status_code == 401
