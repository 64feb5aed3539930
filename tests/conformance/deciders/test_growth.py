"""However many messages arrive for one aggregate, its document stays small,
and no message costs more than earlier.

The tests count work instead of time: bytes read and written, ids compared.

Long because it lists the messages of every kind of aggregate.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import Any
from uuid import UUID

import pytest
from bson import BSON
from pymongo import AsyncMongoClient

from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.core.inbox import BATCH_MAX
from chassis.messaging.message import Command, Message, Sender
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Change, Loaded
from contracts import notifications, orders
from contracts.catalog import CATALOG
from contracts.notifications import MailKind
from contracts.orders import RefuseReason
from contracts.users import AccessChanged, UserErased
from contracts.values import LINES_MAX, Money, OrderLine, PricedLine
from gateway.auth import session
from gateway.basket import basket
from gateway.delivery import address_key
from gateway.orders import idempotency
from gateway.orders.timeline import CancellationSubmitted, OrderSubmitted, SubmitOrder
from gateway.service import gateway_service
from journey.admin.registry import CONSUMING_SERVICES
from journey.devenv.infra.model import Infrastructure
from order_svc.service import order_service
from tests.support import order_outcomes
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.decision_tables import DecisionTable
from tests.support.growth_probe import BEGAN, Growth, Measured, key_of
from tests.support.messages import CUSTOMER, ORDER, PLACE
from tests.unit.order_svc.decision_tables import ORDERS
from user_svc.accounts import email_reservation, user
from user_svc.auth import refresh_tokens
from user_svc.auth.login_attempts import CountAttempt, TakeBack
from user_svc.service import user_service
from user_svc.signing import key_ring

MANY, EARLY = 100_000, 1_000
FEWER = 5_000  # in each of the other states
EVERY_PAIR = 600  # more than the remembered ids of either sort
BYTES_MAX = 256 * 1024
BYTES_MORE = 1024  # a longer name here, a status more there
PRICE = Money(amount_minor=10**12, currency="EUR")
LINES = tuple(
    PricedLine(sku=f"ARTICLE-{number:020}", quantity=100, price=PRICE) for number in range(LINES_MAX)
)
# four bytes for each character of the longest address, encrypted
SEALED = "s" * 3_000
PLAIN = tuple(OrderLine(sku=line.sku, quantity=line.quantity) for line in LINES)


def numbered(make: Callable[[int], Any]) -> Iterator[Any]:
    number = 0
    while True:
        number += 1
        yield make(number)


def by_other_users(number: int) -> orders.CancelOrder:
    return orders.CancelOrder(order_id=ORDER, customer_id=UUID(int=number))


def placed_again(number: int) -> orders.PlaceOrder:
    return PLACE.model_copy(update={"lines": PLAIN, "customer_id": UUID(int=number), "card_token": "t" * 64})


FROM_CLIENTS: dict[type[Message], tuple[Callable[[int], Message], ...]] = {
    orders.CancelOrder: (by_other_users, lambda _: orders.CancelOrder(order_id=ORDER, customer_id=CUSTOMER)),
    orders.PlaceOrder: (placed_again, lambda _: PLACE),
}
# The states in which the messages arrive: before the order exists, while it is in progress, and at rest.
WHILE_DELIVERED = ("new", "placed", "confirmed", "dispatched", "cancelled", "rejected", "needs attention")


async def grows_no_more(growth: Growth, messages: Iterator[Any], many: int = MANY) -> Measured:
    """The thousandth message and the last one leave the same size, and cost the same."""
    await growth.deliver(islice(messages, EARLY - BATCH_MAX))
    early, size = await growth.weighed(islice(messages, BATCH_MAX)), growth.size
    await growth.deliver(islice(messages, many - EARLY - BATCH_MAX))
    late = await growth.weighed(islice(messages, BATCH_MAX))
    assert size <= BYTES_MAX
    assert growth.size <= size * 1.1 + BYTES_MORE, f"from {size} to {growth.size} bytes"
    assert late.read <= early.read * 1.1 + BYTES_MORE
    assert late.written <= early.written * 1.1 + BYTES_MORE
    assert late.ids <= early.ids + 1
    return late


def test_the_growth_histories_include_every_command_of_clients() -> None:
    reachable = {m for m in CATALOG.values() if issubclass(m, Command) and m.SENDER is Sender.CLIENT}
    assert reachable == set(FROM_CLIENTS)


@pytest.mark.parametrize("before", WHILE_DELIVERED)
@pytest.mark.parametrize("message", FROM_CLIENTS, ids=lambda message: message.__name__)
async def test_commands_of_clients_do_not_make_an_order_grow(before: str, message: type[Message]) -> None:
    growth = Growth(order_service(), ORDERS.aggregate)
    await with_prices(growth)
    await growth.deliver(ORDERS.histories[before])
    ways = cycle(FROM_CLIENTS[message])
    many = MANY if before == "confirmed" else FEWER
    last = await grows_no_more(growth, numbered(lambda number: next(ways)(number)), many)
    assert last.written == 0, "an order remembers nothing of what can make no difference to it"


async def with_prices(growth: Growth) -> None:
    beside = growth.aggregate.related
    around = next(
        (
            decision_table.around
            for decision_table in DECISION_TABLES
            if decision_table.kind == growth.aggregate.kind
        ),
        {},
    )
    for key, state in around.items():
        assert beside is not None
        await growth.store.save([Change(Loaded(beside.kind, key), beside.codec.dump(state))])


REJECTIONS: dict[str, Callable[[int], Message]] = {
    reason: lambda _, reason=reason: orders.CancellationRefused(order_id=order_outcomes.ORDER, reason=reason)
    for reason in RefuseReason
} | {
    "placed again": lambda _: orders.PlacementRefused(
        order_id=order_outcomes.ORDER, reason=RefuseReason.ALREADY_PLACED
    )
}


@pytest.mark.parametrize("rejection", REJECTIONS)
async def test_rejections_do_not_make_the_gateways_projection_grow(rejection: str) -> None:
    growth = Growth(gateway_service(), kind(gateway_service(), "journeys"))
    await growth.deliver(
        item for item in order_outcomes.OUTCOMES["dispatched"] if isinstance(item, Message | SubmitOrder)
    )
    many = MANY if rejection == RefuseReason.ALREADY_DISPATCHED else FEWER
    await grows_no_more(growth, numbered(REJECTIONS[rejection]), many)


def kind(service: ServiceDefinition, name: str) -> Aggregate[Any]:
    return next(aggregate for aggregate in service.aggregates if aggregate.kind == name)


def signing_key(number: int) -> key_ring.SigningKey:
    return key_ring.SigningKey(str(number), "p" * 100, "q" * 200, "seal", BEGAN)


def address(number: int) -> user.Address:
    return user.Address(
        f"address {number % user.ADDRESSES_MAX}", "r" * 100, "s" * 100, "12345", "c" * 100, "DE"
    )


def at(number: int) -> datetime:
    return BEGAN + timedelta(hours=number)


UNTIL = BEGAN + timedelta(days=14)
EASY = timedelta(seconds=10)
ITEMS_MAX = 5_000
ITEMS = tuple(basket.BasketItem(f"ARTICLE-{number:020}", 1) for number in range(ITEMS_MAX + LINES_MAX))

# HTTP commands of users, and other messages of kinds without a decision table, from the start; with maximum
# sizes.
OVER_HTTP: dict[str, tuple[list[Any], list[Callable[[int], Any]]]] = {
    "gateway journeys": (
        [SubmitOrder(CUSTOMER, LINES, PRICE, BEGAN, sealed_address=SEALED), OrderSubmitted(BEGAN)],
        [
            lambda n: CancellationSubmitted(at(n)),
            lambda n: SubmitOrder(CUSTOMER, LINES, PRICE, at(n), sealed_address=SEALED),
            lambda n: OrderSubmitted(at(n)),
        ],
    ),
    "gateway access": ([], [lambda n: AccessChanged(user_id=CUSTOMER, version=n + 1)]),
    "gateway address_keys": (
        [],
        [lambda n: address_key.CreateKey("k" * 44), lambda n: UserErased(user_id=CUSTOMER)],
    ),
    "gateway requests": ([], [lambda n: idempotency.ClaimKey(ORDER, "f" * 64)]),
    "gateway baskets": (
        [],
        [
            lambda n: basket.SetQuantity(f"ARTICLE-{n % 200:020}", n % 100),
            lambda n: basket.AddItem(basket.BasketItem(f"ARTICLE-{n % 300:020}", 1)),
            lambda n: basket.Merge(ITEMS[n % ITEMS_MAX : n % ITEMS_MAX + LINES_MAX], f"{n:036}"),
            lambda n: basket.HandOver("user/" + "u" * 36, f"{n:036}"),
        ],
    ),
    "gateway sessions": (
        [session.OpenSession(CUSTOMER, ("customer", "staff"), BEGAN, BEGAN, UNTIL, "t" * 2_000)],
        [lambda n: session.RenewSession(("customer", "staff"), at(n), at(n), UNTIL, "t" * 2_000)],
    ),
    "user_svc users": (
        [user.Register(CUSTOMER, "e" * 254, "n" * 200, "h" * 200, BEGAN), user.Prove()],
        [
            lambda n: user.ChangeProfile("n" * 200),
            lambda n: user.AddAddress(address(n)),
            lambda n: user.RequestReset(UUID(int=n), at(n)),
            lambda n: user.RegisterAgain(UUID(int=n), at(n)),
            lambda n: user.EndAllLogins(),
            lambda n: user.SetPassword("h" * 200, n // 7, UUID(int=n)),
            lambda n: user.RemoveAddress("address 1"),
        ],
    ),
    "user_svc emails": (
        [],
        [
            lambda n: email_reservation.Reserve(UUID(int=n), at(n)),
            lambda n: email_reservation.CountMail(MailKind.PASSWORD_RESET, at(n)),
            lambda n: email_reservation.Release(UUID(int=max(0, n - 1))),
        ],
    ),
    "user_svc families": (
        [refresh_tokens.OpenFamily(CUSTOMER, 0, "l" * 64, "t1", BEGAN)],
        [
            lambda n: refresh_tokens.RotateToken(
                "l" * 64, f"t{n}", f"t{n + 1}", BEGAN + timedelta(seconds=n), EASY
            )
        ],
    ),
    "user_svc login_attempts": (
        [],
        [
            lambda n: CountAttempt(f"{n:036}", 10_000, BEGAN + timedelta(seconds=n)),
            lambda n: TakeBack(f"{n:036}", succeeded=False),
            lambda n: CountAttempt(f"{n % 3:036}", 10_000, BEGAN + timedelta(seconds=n)),
        ],
    ),
    "user_svc keys": ([], [lambda n: key_ring.RotateKey(signing_key(n), timedelta(hours=1), at(n))]),
}


@pytest.mark.parametrize("name", OVER_HTTP)
async def test_requests_over_http_make_no_document_grow(name: str) -> None:
    service = {"gateway": gateway_service, "user_svc": user_service}[name.partition(" ")[0]]()
    first, then = OVER_HTTP[name]
    growth, ways = Growth(service, kind(service, name.partition(" ")[2])), cycle(then)
    await growth.deliver(first)
    await grows_no_more(growth, numbered(lambda number: next(ways)(number)), FEWER)
    assert growth.size, "nothing was written"


def test_every_aggregate_kind_has_a_growth_test() -> None:
    kinds = {
        f"{name} {aggregate.kind}"
        for name, make in CONSUMING_SERVICES.items()
        for aggregate in make().aggregates
    }
    all_tables = {
        f"{decision_table.service().name} {decision_table.kind}" for decision_table in DECISION_TABLES
    }
    assert kinds == all_tables | OVER_HTTP.keys()


@pytest.mark.parametrize("decision_table", DECISION_TABLES, ids=lambda decision_table: decision_table.name)
async def test_no_message_in_any_state_makes_its_aggregate_grow(decision_table: DecisionTable) -> None:
    """Including messages that only services and staff may send."""
    for before, history in decision_table.histories.items():
        for name, message in decision_table.messages.items():
            growth = Growth(
                decision_table.service(),
                decision_table.aggregate,
                key=key_of(decision_table.aggregate, [*history, message]),
            )
            await with_prices(growth)
            await growth.deliver(history)
            await growth.deliver([message] * EVERY_PAIR)
            size = growth.size
            await growth.deliver([message] * BATCH_MAX)
            assert growth.size <= size * 1.01 and size <= BYTES_MAX, f"{name} while {before}"


async def test_an_account_mail_makes_no_order_document() -> None:
    growth = Growth(gateway_service(), kind(gateway_service(), "journeys"))
    await growth.deliver([notifications.MailSent(about=ORDER, kind=MailKind.PASSWORD_RESET)])
    assert await growth.store.find("journeys") == []


@pytest.mark.real
async def test_on_a_real_database_a_flood_grows_no_document(
    real_infrastructure: Infrastructure, database_prefix: str
) -> None:
    """With fewer messages.

    In "new", cancellations of unknown customers are recorded up to a limit; later none is.
    """
    service, name = order_service(), f"{database_prefix}order_svc"
    store = MongoStore(real_infrastructure.mongo_url, name)
    await store.start(service.kinds)
    growth = Growth(service, ORDERS.aggregate, store)
    await with_prices(growth)
    sizes = []
    async with AsyncMongoClient[dict[str, Any]](real_infrastructure.mongo_url) as client:
        for history in ([], [PLACE]):
            await growth.deliver(history)
            for _ in range(2):
                await growth.deliver(by_other_users(number) for number in range(1, 2_001))
                [document] = await client[name].orders.find({}).to_list()
                sizes.append(len(BSON.encode(document)))
    await store.stop()
    assert sizes[1] == sizes[0] and sizes[3] == sizes[2] and max(sizes) < BYTES_MAX
