"""A queue is deleted under load with all its messages,
and everything is repaired as an operator would do it.
"""

import asyncio
import random
from datetime import timedelta

from chassis.clock import utc_now
from journey.admin.progress_log import Log
from journey.devenv.process_shop import ProcessShop
from tests.chaos.environment import Fault
from tests.support.set_back_databases import backfilled

# Events are restored from the journal, and a service's commands to itself follow from the events. Other
# services' commands cannot be restored: order_svc's commands come from customers, and no journal has them.
LOSABLE = (
    "order_svc.events",
    "inventory_svc.events",
    "payment_svc.events",
    "payment_svc.commands",
    "notification_svc.events",
    "notification_svc.commands",
)
# RabbitMQ 3.10 loses a quorum queue that was declared less than this before a SIGKILL.
REMEMBERED_S = 2.0
# All queued messages are younger than this (no fault lasts longer); handled ones are recognized by their ids.
LONGEST_WAIT = timedelta(seconds=90)


def lost_queue(system: ProcessShop, log: Log) -> Fault:
    async def strike(moments: random.Random) -> None:
        queue = moments.choice(LOSABLE)
        since = utc_now() - LONGEST_WAIT
        async with system.admin as admin:
            await admin.delete_queue(system.endpoints.vhost, queue)
        await asyncio.sleep(moments.uniform(0, 3))
        await system.apply_topology()
        await asyncio.sleep(REMEMBERED_S)
        count = await backfilled(system, queue.partition(".")[0], since)
        log(f"{queue} was deleted; {count} events were backfilled")

    return Fault("broker: a queue deleted", strike)
