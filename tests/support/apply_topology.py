"""`python -P apply_topology.py VHOST DELAY_SCALE`: apply the topology of the checkout in PYTHONPATH.

Environment: RABBITMQ_MANAGEMENT_URL. It runs as a program of its own, because the checkout may be that of
another release.
"""

import asyncio
import os
import sys

from journey.admin.broker.management import BrokerAdmin, derived_passwords
from journey.admin.registry import shop_topology


async def apply(vhost: str, delay_scale: float) -> None:
    url = os.environ["RABBITMQ_MANAGEMENT_URL"]
    topology = shop_topology(delay_scale)
    async with BrokerAdmin(url) as admin:
        await admin.apply(topology, vhost, derived_passwords(topology, url))


if __name__ == "__main__":
    asyncio.run(apply(sys.argv[1], float(sys.argv[2])))
