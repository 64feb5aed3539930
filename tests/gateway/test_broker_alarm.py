"""A broker that is short of memory or disk space takes no orders: the gateway says so at once."""

from collections.abc import Sequence

from chassis.bus import PublishingBlocked
from contracts.envelope import Parcel
from tests.gateway.house import GatewayHouse, place


async def test_a_broker_without_room_is_said_at_once_and_the_same_key_makes_one_order_later() -> None:
    house, now = GatewayHouse(publish_s_max=10, publish_pause_s=2), 1000.0
    house.house.orders._clock = lambda: now
    ada = house.program()
    listens = house.bus.publish

    async def blocked(parcels: Sequence[Parcel]) -> list[Exception | None]:
        return [PublishingBlocked("low on disk")] * len(parcels)

    house.bus.publish = blocked  # type: ignore[method-assign]
    first = await place(ada, "k1")
    assert first.status_code == 503 and int(first.headers["Retry-After"]) >= 1
    house.bus.publish = listens  # type: ignore[method-assign]
    now += 2
    assert (await place(ada, "k1")).status_code == 202
