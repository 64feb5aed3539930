"""`journey explain` and `journey stuck` with a real shop: one start, then one fault after the other."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chassis.bus.rabbitmq import RabbitBus
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from contracts import orders, payments
from contracts.catalog import CATALOG, NAMES
from contracts.values import OrderLine
from journey.admin.diagnosis.explain import Explanation, explain
from journey.admin.diagnosis.snapshot import LocationKind
from journey.admin.diagnosis.stuck_search import find
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import register
from tests.support.cli_runner import finish_journey, printed_json
from tests.support.eventually import until

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

WAIT_S_MAX = 300.0
ALL_WELL = 0
NOT_AS_PROMISED = 1
UNAVAILABLE = 3


class Asker:
    """Places orders in the running shop and explains them."""

    def __init__(self, system: ProcessShop, customer: UUID) -> None:
        self.system = system
        self.customer = customer

    def command(self, card: str = "tok_visa", sku: str = "TEA-GREEN") -> orders.PlaceOrder:
        lines = (OrderLine(sku=sku, quantity=1),)
        return orders.PlaceOrder(order_id=new_id(), customer_id=self.customer, lines=lines, card_token=card)

    async def place(self, card: str = "tok_visa", sku: str = "TEA-GREEN") -> str:
        command = self.command(card, sku)
        await self.system.send(NAMES.client, command)
        return command.subject

    async def place_on_a_journey_named(self, journey: str) -> str:
        """As a client in another language may do."""
        command = self.command()
        envelope = wrap(
            command, id=str(new_id()), source=NAMES.client, now=datetime.now(UTC), correlation_id=journey
        )
        bus = RabbitBus(self.system.endpoints.amqp_url(NAMES.client))
        await bus.start()
        try:
            assert await bus.publish([envelope.wire_message(CATALOG)]) == [None]
        finally:
            await bus.stop()
        return command.subject

    async def until(self, order_id: str, holds: Callable[[Explanation], bool]) -> Explanation:
        return await until(lambda: explain(self.system.endpoints, order_id), holds, within_s=WAIT_S_MAX)

    async def finished(self, order_id: str, status: str) -> Explanation:
        return await self.until(order_id, lambda found: found.status == status and not found.awaited)

    async def journey(self, *parts: str) -> tuple[int, str]:
        """Run the command line as a user would."""
        code, output = await finish_journey(self.system.state_dir, *parts)
        assert "Traceback" not in output, output
        return code, output


@pytest.fixture
async def asker(system: ProcessShop) -> Asker:
    return Asker(system, (await register(system, ["Ada"]))[0])


def locations(found: Explanation) -> dict[tuple[str, str], LocationKind]:
    return {(each.message.type, each.service): where.where for each, where in found.awaited}


@pytest.mark.parametrize("system", [{"delay_scale": 0.002}], indirect=True)
async def test_the_location_of_a_stuck_order_is_found_despite_faults(
    system: ProcessShop, asker: Asker
) -> None:
    done = await at_rest(asker)
    await service_is_down(asker, done)
    await service_gave_up(asker)
    quiet = await asker.place("tok_down")
    await provider_is_silent(asker, quiet)
    await broker_does_not_respond(asker, quiet)
    stuck = [order.order_id for order in (await find(system.endpoints, timedelta(0))).stuck]
    assert stuck == [quiet], "all others went on when their trouble was over"


async def at_rest(asker: Asker) -> str:
    """Orders at rest await nothing, whatever their outcome, and none is stuck."""
    done, foreign = await asker.place(), await asker.place_on_a_journey_named("a name of the client's own")
    rejected = await asker.place(sku="NO-SUCH-THING")
    found = await asker.finished(done, "confirmed")
    assert (found.partial, found.deadline_at, found.dead_letters) == (False, None, [])
    assert any(
        entry.kind == "mails" for entry in (await asker.finished(foreign, "confirmed")).history.entries
    )
    assert "NO-SUCH-THING is not in the price book" in (await asker.finished(rejected, "rejected")).verdict
    code, output = await asker.journey("explain", done)
    assert code == ALL_WELL and "nothing is awaited" in output and f"journey dispatch {done}" in output
    code, output = await asker.journey("explain", str(new_id()))
    assert code == NOT_AS_PROMISED and "no service knows" in output and "order_svc.commands holds" in output
    code, output = await asker.journey("stuck", "--older-than", "0s")
    assert code == ALL_WELL and "no order has waited" in output
    return done


async def service_is_down(asker: Asker, done: str) -> None:
    await asker.system.stop("inventory_svc")
    order_id = await asker.place()
    placed = (orders.OrderPlaced.TYPE, "inventory_svc")
    found = await asker.until(order_id, lambda found: locations(found) == {placed: LocationKind.SERVICE_DOWN})
    assert found.partial
    code, output = await asker.journey("explain", order_id)
    assert code == ALL_WELL and "inventory_svc, which does not respond" in output and "journey up" in output
    code, output = await asker.journey("stuck", "--older-than", "0s", "--json")
    reported = printed_json(output)
    [entry] = [order for order in reported["stuck"] if order["order_id"] == order_id]
    assert (code, reported["partial"], entry["awaited"][0]["certain"]) == (NOT_AS_PROMISED, True, False)
    assert done not in output, "that a silent service may have something to do makes no order stuck"
    code, output = await asker.journey("stuck", "--older-than", "1h")
    assert code == UNAVAILABLE and "not everything responded" in output
    asker.system.start("inventory_svc")
    await asker.system.ready(["inventory_svc"])
    await asker.finished(order_id, "confirmed")


async def service_gave_up(asker: Asker) -> None:
    """The commands that the explanation suggests solve the problem."""
    await asker.system.stop("notification_svc")
    asker.system.start("notification_svc", JOURNEY_ALLOW_FAULTS="1", NOTIFICATION_FAULT="raise")
    await asker.system.ready(["notification_svc"])
    order_id = await asker.place()
    confirmed = (orders.OrderConfirmed.TYPE, "notification_svc")
    found = await asker.until(order_id, lambda found: locations(found) == {confirmed: LocationKind.DEAD})
    [dead_letter], [remedy] = found.dead_letters, found.remedies
    assert "RuntimeError: NOTIFICATION_FAULT=raise" in found.awaited[0][1].sentence
    assert f"`journey dlq redrive {dead_letter.id}`" in remedy
    code, output = await asker.journey("stuck", "--older-than", "0s")
    assert code == NOT_AS_PROMISED and "1 dead: RuntimeError" in output
    await asker.system.stop("notification_svc")
    asker.system.start("notification_svc")
    await asker.system.ready(["notification_svc"])
    code, output = await asker.journey("dlq", "redrive", dead_letter.id, "--yes")
    assert code == ALL_WELL, output
    assert not (await asker.finished(order_id, "confirmed")).dead_letters


async def provider_is_silent(asker: Asker, order_id: str) -> None:
    authorize = (payments.Authorize.TYPE, "payment_svc")
    found = await asker.until(order_id, lambda found: set(locations(found)) == {authorize})
    assert locations(found)[authorize] in (LocationKind.ON_ITS_WAY, LocationKind.PAUSED)
    assert found.deadline_at is not None and "waits for payment_svc" in found.verdict
    code, output = await asker.journey("stuck", "--older-than", "0s")
    assert code == NOT_AS_PROMISED and order_id in output and "payment.authorize by payment_svc" in output
    assert (await asker.journey("stuck", "--older-than", "1h"))[0] == ALL_WELL


async def broker_does_not_respond(asker: Asker, order_id: str) -> None:
    """The services still report what they have handled; only the message's location is unknown."""
    nowhere = replace(
        asker.system.endpoints, amqp_base="amqp://127.0.0.1:1", rabbitmq_ui="http://127.0.0.1:1"
    )
    found = await explain(nowhere, order_id)
    assert [where.where for _, where in found.awaited] == [LocationKind.UNKNOWN] and found.partial
    findings = await find(nowhere, timedelta(0))
    assert [order.order_id for order in findings.stuck] == [order_id] and findings.partial
