"""While the broker has a memory or disk alarm, orders get a 503 at once."""

from collections.abc import Sequence

from chassis.bus.protocol import PublishingBlocked
from chassis.messaging.envelope import WireMessage
from tests.support.shops.gateway import GatewayFixture, place_order


async def test_a_broker_alarm_gives_503_and_the_key_stays_usable() -> None:
    gateway, now = GatewayFixture(publish_s_max=10, publish_pause_s=2), 1000.0
    gateway.deps.orders._clock = lambda: now
    ada = gateway.program()
    listens = gateway.bus.publish

    async def blocked(wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        return [PublishingBlocked("low on disk")] * len(wire_messages)

    gateway.bus.publish = blocked  # type: ignore[method-assign]
    first = await place_order(ada, "k1")
    assert first.status_code == 503 and int(first.headers["Retry-After"]) >= 1
    gateway.bus.publish = listens  # type: ignore[method-assign]
    now += 2
    assert (await place_order(ada, "k1")).status_code == 202
