"""Whether the services on a broker in memory have nothing left to do."""

from chassis.bus.memory import MemoryBroker
from tests.support.eventually import until


def unsettled(broker: MemoryBroker) -> int:
    """How many messages a service holds, or wait for one.

    A service settles a message after the broker has what it emits, so there is no gap between two hops.
    Its stored document is earlier: there the message may be handled, and its event not yet published.
    Messages on the retry ladder, and in queues without a consumer, do not count.
    """
    consumed = {queue: consumers for queue, consumers in broker.subscriptions.items() if consumers}
    held = sum(len(each._held) for consumers in consumed.values() for each in consumers)
    return held + sum(len(broker.queues[queue]) for queue in consumed)


async def settled(broker: MemoryBroker) -> None:
    """Wait until nothing is unsettled."""
    await until(lambda: unsettled(broker), lambda count: count == 0)
