"""A forged message stays forged when it is redriven: judged from the headers, without a broker."""

from dataclasses import replace

import pytest

from chassis.messaging.envelope import OPERATOR, Forged, WireMessage, parse
from chassis.messaging.message import Message
from chassis.messaging.origin import ORIGIN_HEADERS
from contracts import orders
from contracts.catalog import CATALOG
from journey.admin.dead_letters.dead_letter import DeadLetter, dead_letter_of
from tests.support.dead_letter_messages import given_up, sent
from tests.support.messages import CANCEL, PLACE, PLACED
from tests.unit.journey.admin.dead_letters.test_selection import LIMIT, by_broker, judged

DISPATCH = orders.DispatchOrder(order_id=PLACE.order_id)
FORGED = {
    "another's": sent(DISPATCH, sender="client"),
    "nobody's": replace(sent(PLACE), user_id=None),
    "disguised": replace(sent(CANCEL), routing_key=PLACE.TYPE),
    "copied": replace(sent(CANCEL), headers={"CC": [PLACE.TYPE]}),
    "by a detour": replace(sent(CANCEL), headers={"x-death": []}),
    "through another exchange": replace(sent(CANCEL), exchange="client.own"),
    "straight into the queue": replace(sent(CANCEL), exchange="", routing_key="order_svc.commands"),
    "with claims": replace(
        sent(DISPATCH, sender="client"),
        headers={
            "attempt": 1,
            "origin_user": "operator",
            "origin_exchange": "commands",
            "origin_key": DISPATCH.TYPE,
        },
    ),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_a_redriven_forged_message_stays_forged(forged: WireMessage) -> None:
    with pytest.raises(Forged):
        parse(forged, CATALOG, reader="order_svc")
    dead_letter = given_up("order_svc", forged, attempt=1)
    assert "rejected again" in await judged(dead_letter)
    with pytest.raises(Forged):  # nor if it is redriven anyway
        parse(replace(dead_letter.original_message, user_id=OPERATOR), CATALOG, reader="order_svc")


@pytest.mark.parametrize("author", ["payment_svc", "client", "operator", None])
async def test_a_dead_letter_from_a_foreign_user_is_not_trusted(author: str | None) -> None:
    dead = given_up("order_svc", sent(DISPATCH)).wire_message
    assert await judged(dead_letter_of("order_svc", replace(dead, user_id="order_svc"))) == ""
    assert "rejected again" in await judged(dead_letter_of("order_svc", replace(dead, user_id=author)))


async def test_an_earlier_versions_dead_letter_keeps_its_checked_claims() -> None:
    def early(service: str, message: Message, user: str, attempt: int) -> DeadLetter:
        dead = given_up(service, sent(message), attempt=attempt).wire_message
        kept = {name: value for name, value in dead.headers.items() if name not in ORIGIN_HEADERS}
        return dead_letter_of(service, replace(dead, headers={**kept, "origin_user": user}))

    # the last user; after the retry ladder, its own
    for attempt, user in (
        (1, "order_svc"),
        (4, "inventory_svc"),
    ):
        assert await judged(early("inventory_svc", PLACED, user, attempt)) == ""
    assert await judged(early("order_svc", PLACE, "order_svc", 4)) == ""
    assert "must come from operator" in await judged(early("order_svc", DISPATCH, "order_svc", 4))
    assert "must come from operator" in await judged(early("order_svc", DISPATCH, "client", 1))
    assert "must come from order_svc" in await judged(early("inventory_svc", PLACED, "inventory_svc", 1))


async def test_a_brokers_dead_letter_is_judged_by_its_route() -> None:
    """The broker records exchange and routing key of the dead-lettering queue;
    the sender's headers prove nothing.
    """
    claims = {
        "attempt": 1,
        "origin_user": "order_svc",
        "origin_exchange": "events",
        "origin_key": PLACED.TYPE,
    }
    for wrong in (
        {"exchange": "commands"},
        {"routing-keys": ["order.placed.v2"]},
        {"routing-keys": [PLACED.TYPE, "x"]},
    ):
        assert "rejected again" in await judged(by_broker(LIMIT | wrong, headers=claims))
    assert "rejected again" in await judged(by_broker(LIMIT, headers=claims, user_id="client"))
    assert "x-death" in await judged(by_broker(LIMIT | {"reason": "expired"}))
    on_the_ladder = LIMIT | {"exchange": "", "routing-keys": ["inventory_svc.events"]}
    assert await judged(by_broker(on_the_ladder, headers=claims, user_id="inventory_svc")) == ""
    assert await judged(by_broker(on_the_ladder, headers=claims, user_id=OPERATOR)) == ""
    assert "rejected again" in await judged(by_broker(on_the_ladder, headers=claims, user_id="payment_svc"))
    assert "rejected again" in await judged(by_broker(on_the_ladder, headers={}, user_id=OPERATOR))
    early = by_broker(on_the_ladder, headers={"attempt": 1}, user_id="inventory_svc")
    assert await judged(early) == ""
