"""The queues that hold the messages of one input queue of a service.

Partitions are several queues in place of one. The first has the name of the input queue, the others that name
and a number: `order_svc.events`, `order_svc.events.1`. The setting PARTITIONS gives their number by service.

Messages that the release before does not know have a queue of their own, `order_svc.events.added`, so that
its instances do not receive them during an update.
"""

import re
from collections.abc import Mapping

PARTITIONS_MAX = 16
_ADDED = "added"
# Matches the rest of a partition's name after that of its input queue.
PARTITION_SUFFIX = "([.][1-9][0-9]*)?"
# The same, or that of the queue of added messages.
INPUT_QUEUE_SUFFIX = f"([.]([1-9][0-9]*|{_ADDED}))?"
_PART = re.compile(rf"([^.]+[.](?:commands|events))[.](?:[1-9][0-9]*|{_ADDED})")
_SERVICE = re.compile(r"[a-z][a-z0-9_]*")


def partition_queues(queue: str, partitions: int) -> tuple[str, ...]:
    """The queues that hold the messages of an input queue."""
    return (queue, *(f"{queue}.{number}" for number in range(1, partitions)))


def added_queue(queue: str) -> str:
    """The queue for the messages of an input queue that the release before does not know."""
    return f"{queue}.{_ADDED}"


def is_added_queue(queue: str) -> bool:
    return queue == added_queue(input_queue_of(queue))


def input_queue_of(queue: str) -> str:
    """The input queue that this queue belongs to; any other queue is returned as it is."""
    found = _PART.fullmatch(queue)
    return found[1] if found else queue


def parse_partitions(text: str) -> dict[str, int]:
    """`order_svc=3,payment_svc=2` -> the number of partitions by service.

    Raises ValueError, which names the faulty part and the remedy.
    """
    counts: dict[str, int] = {}
    for part in re.split(r"[,\s]+", text.strip()) if text.strip() else ():
        service, _, number = part.partition("=")
        if not _SERVICE.fullmatch(service) or not re.fullmatch("[0-9]{1,3}", number):
            raise ValueError(f"{part!r} is not SERVICE=NUMBER; write e.g. order_svc=3,payment_svc=2")
        if service in counts:
            raise ValueError(f"{service} is given twice; give each service one number")
        counts[service] = checked_partitions(service, int(number))
    return counts


def checked_partitions(service: str, number: int) -> int:
    """The number. Raises ValueError if a service cannot have so many partitions."""
    if not 1 <= number <= PARTITIONS_MAX:
        raise ValueError(f"{service} has {number} partitions; give it 1 to {PARTITIONS_MAX}")
    return number


def only_several(counts: Mapping[str, int]) -> dict[str, int]:
    """The services with more than one partition."""
    return {service: number for service, number in counts.items() if number > 1}
