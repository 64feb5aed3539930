"""Figures of input queues: those of a queue's partitions, and of its added messages, as one."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TypeVar

from chassis.messaging.partitions import input_queue_of, is_added_queue
from journey.admin.broker.management import Depth

D = TypeVar("D", bound=Depth)


def by_input_queue(figures: Mapping[str, D]) -> dict[str, D]:
    """The figures of all queues, with those of partitions under the name of their input queue."""
    groups: dict[str, dict[str, D]] = {}
    for queue, figure in figures.items():
        groups.setdefault(input_queue_of(queue), {})[queue] = figure
    return {queue: _merged(group) for queue, group in groups.items()}


def waiting_for_update(figures: Mapping[str, Depth]) -> dict[str, int]:
    """Queues of added messages that wait for an update of their service, with the number of messages.

    Instances of the release before consume the input queue, but not that of added messages. Where neither is
    consumed the service is down, or pauses its effects.
    """
    return {
        queue: figure.ready
        for queue, figure in figures.items()
        if is_added_queue(queue) and figure.ready and figure.consumers == 0
        if (consumed := figures.get(input_queue_of(queue))) and consumed.consumers
    }


def _merged(group: Mapping[str, D]) -> D:
    """The sums; of consumers the fewest, because every partition needs one. None if one is unknown.

    Instances of the release before do not consume the queue of added messages, and are no fault.
    """
    partitions = [figure for queue, figure in group.items() if not is_added_queue(queue)]
    every = list(group.values())
    whole = {}
    for each in fields(every[0]):
        counted, combine = (partitions or every, min) if each.name == "consumers" else (every, sum)
        known = [getattr(figure, each.name) for figure in counted]
        whole[each.name] = None if None in known else combine(known)
    return replace(every[0], **whole)
