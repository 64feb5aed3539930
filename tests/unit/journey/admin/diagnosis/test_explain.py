"""What is awaited, where it is, and which orders are stuck, with histories and snapshots made here."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from chassis.bus.retry_ladder import RetryLadder
from chassis.messaging.message import Message
from contracts import inventory, notifications, orders, payments, products
from journey.admin.broker.management import Depth
from journey.admin.diagnosis.explain import Explanation
from journey.admin.diagnosis.journey_history import HistoryEntry, JourneyHistory
from journey.admin.diagnosis.pending_messages import KEPT, PendingDelivery, awaited
from journey.admin.diagnosis.snapshot import NO_RESPONSE, LocationKind, ShopSnapshot, locate, why_unready
from journey.admin.registry import SERVICES
from tests.support.stuck_order_fixtures import BEGAN, ID, NOW, dead_letter, sent_message

LADDER = RetryLadder().names

QUEUES = [queue for make in SERVICES.values() for queue in (make().events_queue, make().commands_queue)]
EMPTY = {queue: Depth(0, 0, 1) for queue in [*QUEUES, *LADDER]}
WELL = ShopSnapshot(depths=EMPTY, dead_letters=())


def entry(service: str, handled_type: type[Message], status: str, *emits: type[Message]) -> HistoryEntry:
    emitted = tuple(
        {"id": sent_message(each, service).id, "type": each.TYPE, "subject": ID, "journey": ID}
        for each in emits
    )
    kind, id_ = KEPT[service][0], sent_message(handled_type, "").id
    return HistoryEntry(service, kind, ID, id_, handled_type.TYPE, BEGAN, "", status, emitted)


def explained(
    *entries: HistoryEntry, silent: list[str] | None = None, now: ShopSnapshot = WELL, **order: Any
) -> Explanation:
    return Explanation(ID, NOW, order or None, JourneyHistory(list(entries), silent or []), now)


PLACING = entry("order_svc", orders.PlaceOrder, "placed", orders.OrderPlaced)
RESERVING = entry("inventory_svc", orders.OrderPlaced, "held", inventory.StockReserved)


# the rule


def reported_by_all(**handled: set[str]) -> Mapping[str, set[str]]:
    return {service: handled.get(service, set()) for service in SERVICES}


def test_a_message_is_awaited_by_every_consumer_without_it() -> None:
    placed = sent_message(orders.OrderPlaced, "order_svc")
    found = awaited([placed], reported_by_all(inventory_svc={placed.id}))
    assert [(each.service, each.queue, each.certain) for each in found] == [
        ("payment_svc", "payment_svc.events", True)
    ]


def test_a_running_effect_is_awaited_in_the_command_queue() -> None:
    [found] = awaited([sent_message(payments.Authorize, "payment_svc")], reported_by_all())
    assert (found.queue, found.is_effect) == ("payment_svc.commands", True)
    assert "card provider" in found.meaning


@pytest.mark.parametrize(
    "contract", [inventory.StockCommitted, notifications.MailSent, payments.PaymentCaptured]
)
def test_unconsumed_messages_are_not_awaited(contract: type[Message]) -> None:
    assert not awaited([sent_message(contract, contract.OWNER)], reported_by_all())


def test_aggregates_with_pruned_ids_imply_no_missing_message() -> None:
    """The price book keeps only the newest ids, so an old id that is missing there may have been handled."""
    assert not awaited([sent_message(products.PriceChanged, "product_svc")], reported_by_all())
    assert "prices" not in KEPT["order_svc"]


def test_the_oldest_message_comes_first() -> None:
    younger = sent_message(orders.OrderConfirmed, "order_svc", at=NOW)
    found = awaited([younger, sent_message(orders.OrderPlaced, "order_svc")], reported_by_all())
    assert found[0].message.type == orders.OrderPlaced.TYPE and found[-1].message is younger


# where it is


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (httpx.Response(200), ""),
        (httpx.Response(503, json={"detail": "stopping"}), "stopping"),
        (httpx.Response(502, text="<h1>Bad gateway</h1>"), "it responds with 502, and not like a service"),
        (None, NO_RESPONSE),
    ],
)
async def test_the_reason_for_unreadiness_comes_from_the_service(
    response: httpx.Response | None, why: str
) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if response is None:
            raise httpx.ConnectError("connection refused")
        return response

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
        assert await why_unready(http, "http://order_svc") == why


def depths(**changed: Depth | None) -> dict[str, Depth]:
    named = {name.replace("__", "."): depth for name, depth in changed.items()}
    return {name: depth for name, depth in (EMPTY | named).items() if depth is not None}


@pytest.mark.parametrize(
    ("contract", "now", "where", "remedy"),
    [
        (
            orders.OrderConfirmed,
            ShopSnapshot(depths=EMPTY, dead_letters=[dead_letter("payment_svc", orders.OrderConfirmed)]),
            LocationKind.DEAD,
            "journey dlq redrive",
        ),
        (
            orders.OrderConfirmed,
            ShopSnapshot(depths=EMPTY, dead_letters=(), unready={"payment_svc": NO_RESPONSE}),
            LocationKind.SERVICE_DOWN,
            "journey up",
        ),
        (
            orders.OrderConfirmed,
            ShopSnapshot(
                depths=EMPTY, dead_letters=(), unready={"payment_svc": "the database does not answer"}
            ),
            LocationKind.NOT_READY,
            "journey up",
        ),
        (
            orders.OrderConfirmed,
            ShopSnapshot(depths=None, dead_letters=None),
            LocationKind.UNKNOWN,
            "journey up",
        ),
        (
            orders.OrderConfirmed,
            ShopSnapshot(depths=depths(payment_svc__events=None), dead_letters=()),
            LocationKind.NOWHERE,
            "journey topology apply",
        ),
        (
            payments.Capture,
            ShopSnapshot(depths=depths(payment_svc__commands=Depth(3, 0, 0)), dead_letters=()),
            LocationKind.PAUSED,
            "by itself",
        ),
        (
            payments.RefundPart,
            ShopSnapshot(depths=EMPTY, dead_letters=(), for_update={"payment_svc.commands.added": 2}),
            LocationKind.NEXT_RELEASE,
            "update payment_svc again",
        ),
        (
            orders.OrderConfirmed,
            ShopSnapshot(depths=depths(payment_svc__events=Depth(0, 1, 1)), dead_letters=()),
            LocationKind.ON_ITS_WAY,
            "journey watch",
        ),
        (
            orders.OrderConfirmed,
            ShopSnapshot(depths=EMPTY | {LADDER[2]: Depth(7, 0, 0)}, dead_letters=()),
            LocationKind.ON_ITS_WAY,
            "journey watch",
        ),
        (
            orders.OrderConfirmed,
            ShopSnapshot(depths=EMPTY | {LADDER[0]: Depth(None, None, None)}, dead_letters=()),
            LocationKind.ON_ITS_WAY,
            "journey watch",
        ),
        (
            orders.OrderConfirmed,
            WELL,
            LocationKind.NOWHERE,
            "journey backfill payment_svc --since 2026-01-31T11:50:00+00:00",
        ),
        (
            orders.OrderConfirmed,
            ShopSnapshot(depths=EMPTY, dead_letters=(), unready={"order_svc": NO_RESPONSE}),
            LocationKind.NOWHERE,
            "journey up",
        ),
    ],
)
def test_an_awaited_message_has_a_location_and_a_remedy(
    contract: type[Message], now: ShopSnapshot, where: LocationKind, remedy: str
) -> None:
    of_payment = PendingDelivery(
        sent_message(contract, contract.OWNER),
        "payment_svc",
        "payment_svc.commands" if contract is payments.Capture else "payment_svc.events",
        certain=True,
    )
    found = locate(of_payment, now, NOW, BEGAN)
    assert (found.where, remedy in found.remedy) == (where, True), found


def test_empty_queues_prove_nothing_about_newer_messages() -> None:
    young = PendingDelivery(
        sent_message(orders.OrderConfirmed, "order_svc", at=NOW),
        "payment_svc",
        "payment_svc.events",
        certain=True,
    )
    assert locate(young, WELL, NOW, BEGAN).where is LocationKind.ON_ITS_WAY


# the explanation


def test_a_waiting_order_names_the_service() -> None:
    found = explained(PLACING, RESERVING)
    assert found.verdict == f"order {ID} is placed and waits for payment_svc, order_svc"
    assert [each.service for each, _ in found.awaited] == ["payment_svc", "order_svc", "payment_svc"]


def test_an_unavailable_service_is_named_and_the_result_partial() -> None:
    found = explained(PLACING, silent=["payment_svc"])
    assert "payment_svc, which does not respond" in found.verdict and found.partial
    assert {each.service: each.certain for each, _ in found.awaited} == {
        "inventory_svc": True,
        "payment_svc": False,
    }
    assert any("journey up" in remedy for remedy in found.remedies)


@pytest.mark.parametrize(
    ("entries", "order", "expected"),
    [
        ((), {}, "no service knows"),
        (
            (entry("order_svc", orders.CancelOrder, "new"),),
            {"status": "new"},
            "only its cancellation has arrived",
        ),
        (
            (entry("order_svc", orders.PlaceOrder, "rejected", orders.OrderRejected),),
            {"status": "rejected", "reject_reason": "unknown_sku", "detail": "NOPE is not in the price book"},
            "is rejected (unknown sku: NOPE is not in the price book); nothing is awaited",
        ),
        (
            (entry("order_svc", payments.PaymentFailed, "needs_attention"),),
            {"status": "needs_attention", "detail": "the authorisation has expired"},
            "is needs_attention (the authorisation has expired); nothing is awaited",
        ),
        (
            (entry("order_svc", payments.PaymentAuthorized, "confirmed"),),
            {"status": "confirmed"},
            "is confirmed; nothing is awaited",
        ),
        (
            (entry("order_svc", orders.PlaceOrder, "placed"),),
            {"status": "placed", "deadline_at": NOW.isoformat()},
            "so it waits for its deadline",
        ),
    ],
    ids=["unknown", "new", "rejected", "needs attention", "confirmed", "placed"],
)
def test_every_status_has_its_verdict(
    entries: tuple[HistoryEntry, ...], order: dict[str, Any], expected: str
) -> None:
    assert expected in explained(*entries, **order).verdict


def test_an_unresponsive_service_may_know_an_unknown_order() -> None:
    assert "order_svc might" in explained(silent=["order_svc"]).verdict


def test_an_order_whose_first_message_died_is_not_called_unknown() -> None:
    now = ShopSnapshot(depths=EMPTY, dead_letters=[dead_letter("order_svc", orders.PlaceOrder)])
    found = explained(now=now)
    assert "dead letter" in found.verdict
    assert any("journey dlq redrive" in remedy for remedy in found.remedies)


def test_a_handled_dead_letter_is_not_counted() -> None:
    now = ShopSnapshot(depths=EMPTY, dead_letters=[dead_letter("inventory_svc", orders.OrderPlaced)])
    assert explained(PLACING, now=now).dead_letters
    assert not explained(PLACING, RESERVING, now=now).dead_letters


def test_only_a_confirmed_order_at_rest_is_offered_for_dispatch() -> None:
    confirming = entry("order_svc", payments.PaymentAuthorized, "confirmed", orders.OrderConfirmed)
    assert not any("dispatch" in remedy for remedy in explained(confirming, status="confirmed").remedies)
    at_rest = entry("order_svc", payments.PaymentAuthorized, "confirmed")
    assert any("dispatch" in remedy for remedy in explained(at_rest, status="confirmed").remedies)


# the command line
