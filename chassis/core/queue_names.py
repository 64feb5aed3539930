"""The names of a service's queues on the broker."""

from chassis.messaging.message import Message
from chassis.messaging.partitions import added_queue, partition_queues
from chassis.messaging.topology_names import input_queue


class ServiceQueues:
    """What a service definition derives from its name, its number of partitions and its added messages."""

    name: str
    partitions: int
    added: tuple[type[Message], ...]

    @property
    def events_queue(self) -> str:
        return f"{self.name}.events"

    @property
    def commands_queue(self) -> str:
        return f"{self.name}.commands"

    @property
    def events_queues(self) -> tuple[str, ...]:
        """All queues of events: the events queue or its partitions, and that of added events."""
        return self._queues(self.events_queue)

    @property
    def commands_queues(self) -> tuple[str, ...]:
        """All queues of commands: the commands queue or its partitions, and that of added commands."""
        return self._queues(self.commands_queue)

    @property
    def added_queues(self) -> tuple[str, ...]:
        """The queues of added messages; none if there are no such messages."""
        return tuple(dict.fromkeys(map(self.queue_of, self.added)))

    @property
    def dead_queue(self) -> str:
        return f"{self.name}.dead"

    @property
    def rejected_queue(self) -> str:
        return f"{self.name}.rejected"

    def queue_of(self, contract: type[Message]) -> str:
        """The queue to which messages of this type are routed. Partitions divide those of an input queue."""
        queue = input_queue(self.name, contract)
        return added_queue(queue) if contract in self.added else queue

    def _queues(self, queue: str) -> tuple[str, ...]:
        partitions = partition_queues(queue, self.partitions)
        added = added_queue(queue)
        return (*partitions, added) if added in self.added_queues else partitions
