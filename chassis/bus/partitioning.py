"""Gives services of a topology several queues each in place of one: partitions.

The bindings of the input queue lead to an exchange of the same name. It is a consistent-hash exchange: it
hashes the header `subject` of each message, which every sender sets to the id of the message's aggregate, and
hands the message to one partition. So senders do not know how many partitions a consumer has, and all
messages about one aggregate are in one of them. A message without the header gets into some partition, which
is correct too: no guarantee rests on the partition.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from chassis.bus.topology_model import Definition, Policy, Queue, Topology
from chassis.messaging.partitions import checked_partitions, only_several, partition_queues

HASH_EXCHANGE = "x-consistent-hash"
HASH_PLUGIN = "rabbitmq_consistent_hash_exchange"
HASHED_HEADER = "subject"
# The routing key of a binding of the exchange: how many shares of the keys the queue gets.
ONE_SHARE = "1"
_LIMITS = ("max-length", "max-length-bytes")


def partitioned(topology: Topology, counts: Mapping[str, int]) -> Topology:
    """The topology with so many partitions per service; the same one if each has one.

    The limits of a bounded input queue are divided among its partitions. Raises ValueError for a service that
    the topology does not have, and for an impossible number.
    """
    inputs: dict[str, int] = {}
    names = {queue.name for queue in topology.queues}
    for service, count in only_several(counts).items():
        checked_partitions(service, count)
        own = {name for name in (f"{service}.events", f"{service}.commands") if name in names}
        if not own:
            raise ValueError(f"{service} has no queues; partitions are for services that consume messages")
        inputs |= dict.fromkeys(sorted(own), count)
    if not inputs:
        return topology
    return replace(
        topology,
        queues=tuple(_queues(topology, inputs)),
        policies=tuple(_divided(policy, inputs) for policy in topology.policies),
        partitions=inputs,
    )


def _queues(topology: Topology, inputs: Mapping[str, int]) -> Iterator[Queue]:
    for queue in topology.queues:
        for name in partition_queues(queue.name, inputs.get(queue.name, 1)):
            yield replace(queue, name=name)


def _divided(policy: Policy, inputs: Mapping[str, int]) -> Policy:
    count = next((count for queue, count in inputs.items() if re.search(policy.pattern, queue)), 1)
    shares: Definition = {
        limit: math.ceil(int(policy.definition[limit]) / count)
        for limit in _LIMITS
        if limit in policy.definition
    }
    return replace(policy, definition=policy.definition | shares)
