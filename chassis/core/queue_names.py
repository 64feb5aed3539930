"""The names of a service's queues on the broker."""

from chassis.messaging.partitions import partition_queues


class ServiceQueues:
    """What a service definition derives from its name and its number of partitions."""

    name: str
    partitions: int

    @property
    def events_queue(self) -> str:
        return f"{self.name}.events"

    @property
    def commands_queue(self) -> str:
        return f"{self.name}.commands"

    @property
    def events_queues(self) -> tuple[str, ...]:
        """The events queue, or its partitions."""
        return partition_queues(self.events_queue, self.partitions)

    @property
    def commands_queues(self) -> tuple[str, ...]:
        """The commands queue, or its partitions."""
        return partition_queues(self.commands_queue, self.partitions)

    @property
    def dead_queue(self) -> str:
        return f"{self.name}.dead"

    @property
    def rejected_queue(self) -> str:
        return f"{self.name}.rejected"
