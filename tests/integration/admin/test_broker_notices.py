"""Notices of `journey doctor` about the broker, besides the invariants."""

import pytest

from journey.admin.broker.losses import Losses
from journey.admin.broker.management import Depth
from journey.admin.broker.notices import lost_messages, of, rejected_messages
from journey.admin.endpoints import ShopEndpoints
from journey.admin.registry import CONSUMING_SERVICES
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost


def test_rejected_messages_are_reported_by_queue() -> None:
    held = {
        "order_svc.rejected": 1_200,
        "user_svc.rejected": 0,
        "order_svc.dead": 3,
        "payment_svc.rejected": None,
    }
    assert rejected_messages({queue: Depth(ready, 0, 0) for queue, ready in held.items()}) == [
        "order_svc.rejected holds 1,200 messages that were rejected; `journey dlq list` shows them"
    ]
    every = rejected_messages({f"{name}.rejected": Depth(1, 0, 0) for name in CONSUMING_SERVICES})
    assert [sentence.split()[0] for sentence in every] == [f"{name}.rejected" for name in CONSUMING_SERVICES]


def test_losses_are_reported_with_one_remedy() -> None:
    assert lost_messages(Losses()) == []
    first, last = lost_messages(Losses({"order_svc.dead": 2, "user_svc.rejected": 1}))
    assert first == "order_svc.dead was full and discarded 2 messages"
    assert last.startswith(
        "user_svc.rejected was full and discarded 1 message; check `journey dlq list` regularly"
    )


@pytest.mark.real
@pytest.mark.every_service
async def test_notices_appear_only_for_losses_or_missing_topology(
    vhost: VirtualHost,
) -> None:
    endpoints = ShopEndpoints(
        kind="local",
        vhost=vhost.name,
        amqp_base=vhost.amqp_url,
        passwords=vhost.passwords,
        http={},
        rabbitmq_ui=f"http://{vhost.management_url.rpartition('@')[2]}",
        mailbox_url="",
    )

    async def notices() -> list[str]:
        return await of(endpoints)

    assert await notices() == []
    async with vhost.admin as admin:
        await admin.delete_queue(vhost.name, "lost")
    await until(
        notices, lambda reported: any("is unknown" in one and "topology apply" in one for one in reported)
    )
