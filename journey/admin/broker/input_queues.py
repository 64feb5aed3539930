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
