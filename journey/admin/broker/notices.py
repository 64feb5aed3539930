"""Notices of `journey doctor` about the broker that are no violations: rejected and discarded messages."""

from collections.abc import Mapping

from chassis.bus.protocol import BusUnavailable
from chassis.bus.retry_ladder import REJECTED
from chassis.messaging.envelope import OPERATOR
from journey.admin.broker import losses
from journey.admin.broker.losses import Losses
from journey.admin.broker.management import BrokerAdmin, Depth
from journey.admin.endpoints import ShopEndpoints
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import CONSUMING_SERVICES


async def of(endpoints: ShopEndpoints) -> list[str]:
    """One sentence each.

    They do not fail the doctor: a loss cannot be undone, and anyone can send invalid messages.
    """
    async with BrokerAdmin(endpoints.management_url) as admin:
        rejected = rejected_messages(await admin.depths(endpoints.vhost))
    try:
        gone = lost_messages(await losses.read_losses(endpoints.amqp_url(OPERATOR)))
    except (InfrastructureUnavailable, BusUnavailable) as unknown:
        gone = [f"it is unknown what full queues discarded: {unknown}"]
    return rejected + gone


def rejected_messages(depths: Mapping[str, Depth]) -> list[str]:
    found = {
        queue: depths[queue].ready or 0
        for name in CONSUMING_SERVICES
        if (queue := f"{name}.{REJECTED}") in depths
    }
    return [
        f"{queue} holds {held:,} message{'s' * (held > 1)} that were rejected; `journey dlq list` shows them"
        for queue, held in found.items()
        if held
    ]


def lost_messages(found: Losses) -> list[str]:
    remedy = "; check `journey dlq list` regularly, before full queues discard messages"
    sentences = found.sentences
    return [*sentences[:-1], *(sentence + remedy for sentence in sentences[-1:])]
